"""Events: immutable, versioned facts in the ledger. History, audit and post-mortems are views over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from remediator.core.ids import EpisodeId, RunId

#: The version of every event's ``data``; raised when a reader of the version before could not cope.
EVENT_VERSION = 1


class EventKind(StrEnum):
    """What happened; the part before the dot is what it happened to."""

    WEBHOOK_QUARANTINED = "webhook.quarantined"
    INQUIRY_ANSWERED = "inquiry.answered"
    INQUIRY_LAPSED = "inquiry.lapsed"
    EPISODE_OPENED = "episode.opened"
    EPISODE_REFIRED = "episode.refired"
    EPISODE_RESOLVED = "episode.resolved"
    EPISODE_STALE = "episode.stale"
    EPISODE_VANISHED = "episode.vanished"
    EPISODE_LAPSED = "episode.lapsed"
    WATCHDOG_MISSED = "watchdog.missed"
    WATCHDOG_RETURNED = "watchdog.returned"
    DECISION_MADE = "decision.made"
    RUN_CREATED = "run.created"
    RUN_JOINED = "run.joined"
    RUN_ASKED = "run.asked"
    RUN_APPROVED = "run.approved"
    RUN_DENIED = "run.denied"
    RUN_LAPSED = "run.lapsed"
    RUN_LEASED = "run.leased"
    RUN_WAITING = "run.waiting"
    RUN_PAUSE_WAITS = "run.pause_waits"
    RUN_PLANNED = "run.planned"
    RUN_VERIFYING = "run.verifying"
    RUN_CHECKED = "run.checked"
    RUN_DISPROVEN = "run.disproven"
    RUN_FALLING_BACK = "run.falling_back"
    RUN_OBSERVED = "run.observed"
    RUN_CANCELLED = "run.cancelled"
    RUN_PREEMPTED = "run.preempted"
    RUN_REFUSED = "run.refused"
    RUN_EXPIRED = "run.expired"
    RUN_SUCCEEDED = "run.succeeded"
    RUN_FAILED = "run.failed"
    RUN_UNKNOWN = "run.unknown"
    GUARDS_ASKED = "guards.asked"
    STEP_FAILED = "step.failed"
    ATTEMPT_INTENDED = "attempt.intended"
    ATTEMPT_SUCCEEDED = "attempt.succeeded"
    ATTEMPT_FAILED = "attempt.failed"
    ATTEMPT_LOST = "attempt.lost"
    ATTEMPT_TAKEN_OVER = "attempt.taken_over"
    LEASE_LOST = "lease.lost"
    LEASE_PREEMPTED = "lease.preempted"
    TARGET_QUARANTINED = "target.quarantined"
    TARGET_CLEARED = "target.cleared"
    AUTOMATION_PAUSED = "automation.paused"
    AUTOMATION_RESUMED = "automation.resumed"
    BRAKE_ENGAGED = "brake.engaged"
    BRAKE_RELEASED = "brake.released"
    RULEBOOK_ACTIVATED = "rulebook.activated"
    RULEBOOK_REFUSED = "rulebook.refused"
    RULEBOOK_DRIFTED = "rulebook.drifted"
    PAGE_OPENED = "page.opened"
    PAGE_CALLED = "page.called"
    PAGE_UNANSWERED = "page.unanswered"
    PAGE_ACKNOWLEDGED = "page.acknowledged"
    PAGE_OVER = "page.over"
    NOTICE_PARKED = "notice.parked"
    ALARM_RAISED = "alarm.raised"
    CLOCK_JUMPED = "clock.jumped"
    ROW_SET_ASIDE = "row.set_aside"
    LEDGER_RESTORED = "ledger.restored"
    LEDGER_FAILED_OVER = "ledger.failed_over"


#: What each alert that joins a run adds to its story.
OF_JOINING = frozenset({EventKind.RUN_JOINED, EventKind.DECISION_MADE})


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. ``data`` is JSON-able; ``id`` is 0 until the ledger has given it one."""

    kind: EventKind
    at: datetime
    data: Mapping[str, object] = field(default_factory=dict)
    episode: EpisodeId | None = None
    run: RunId | None = None
    rule: str | None = None
    target: str | None = None
    version: int = EVENT_VERSION
    id: int = 0
