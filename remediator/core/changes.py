"""Changes: what is to be written, as values, so that state, events and notices go in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from remediator.core.alerts import Alert
from remediator.core.approvals import Approval
from remediator.core.checks import Fact
from remediator.core.decide import Decision, DecisionKind
from remediator.core.episodes import Episode, Sighting
from remediator.core.events import Event
from remediator.core.guards import NO_LOOKBACK, Lookback, Pause, Quarantine, Question, Verdict
from remediator.core.ids import DecisionId, EpisodeId, RulebookHash, RunId, WebhookId
from remediator.core.inquiries import LeftOut
from remediator.core.notices import Envelope, Lane
from remediator.core.reasons import Reason
from remediator.core.retention import AUDIT
from remediator.core.runs import Attempt, Run, RunState
from remediator.core.targets import Target


@dataclass(frozen=True, slots=True)
class RawWebhook:
    """A webhook as it came in; ``body`` is the plain JSON text."""

    id: WebhookId
    source: str
    received_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Intake:
    """A webhook taken apart: its alerts, or the reason why it is no v4 payload.

    ``left_out`` is what Alertmanager left out of it, ``watchdog`` says that a Watchdog was in it, which is
    none of its ``alerts``. ``more`` says that these are not all alerts of the
    webhook: the rest follows, and until then it counts as not taken.
    """

    webhook: WebhookId
    alerts: tuple[Alert, ...] = ()
    quarantine: str | None = None
    left_out: LeftOut | None = None
    watchdog: bool = False
    more: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """What intake did with one webhook: how many alerts were what, and whose episodes just closed."""

    webhook: WebhookId
    sightings: Mapping[Sighting, int]
    closed: tuple[EpisodeId, ...] = ()
    opened: int = 0


@dataclass(frozen=True, slots=True)
class EpisodeWork:
    """An episode to be decided; ``decided`` are the rules that already gave their final answer on it.

    ``passed`` are those that waited for further alerts in vain: it has gone on to the rules after them.
    """

    episode: Episode
    decided: frozenset[str] = frozenset()
    passed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """One rule's question about one episode; ``rule`` is empty when no rule matches.

    ``lookback`` is how far its guards look back, and under which names.
    ``last`` marks the episode's last request: with it the episode counts as decided, unless one of its
    decisions is a deferral. ``run`` is the id that a new run would have.
    """

    episode: Episode
    rule: str
    target: Target | None
    severity: str
    rulebook: RulebookHash
    run: RunId
    facts: tuple[Fact, ...] = ()
    last: bool = True
    lookback: Lookback = NO_LOOKBACK


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision and what it entails; ``run`` is the new run of a ``run`` decision."""

    decision: Decision
    run: Run | None = None
    events: tuple[Event, ...] = ()
    envelopes: tuple[Envelope, ...] = ()


@dataclass(frozen=True, slots=True)
class RunChange:
    """One move of a run with all that belongs to it. ``was`` is the state that the row must still have.

    ``approval`` is a new request of the run, or its latest one with its end.
    """

    run: Run
    was: RunState
    attempt: Attempt | None = None
    quarantine: Quarantine | None = None
    events: tuple[Event, ...] = ()
    envelopes: tuple[Envelope, ...] = ()
    approval: Approval | None = None


class Refused(StrEnum):
    """Why the store did not write a run's change."""

    LEASE_LOST = "lease_lost"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Intended:
    """The answer to an intent: written (``change``), or what the guards said instead."""

    verdict: Verdict
    change: RunChange | None


@dataclass(frozen=True, slots=True)
class IntentRequest:
    """What guards are asked about before an intent; ``first`` also asks entry guards and takes a slot."""

    question: Question
    first: bool


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision as the ledger kept it."""

    id: DecisionId
    episode: EpisodeId
    rule: str
    target: str
    at: datetime
    decision: Decision
    rulebook: RulebookHash
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionFilter:
    """Which decisions: those on one episode, those of a rule by any of its names."""

    episode: EpisodeId | None = None
    rules: frozenset[str] | None = None


EVERY_DECISION = DecisionFilter()
#: Among so many of the latest episodes, or decisions of a rule, is looked for what people ask about.
MOST_SEARCHED = 20_000


@dataclass(frozen=True, slots=True)
class EpisodeFilter:
    """Which episodes: newest first, of the latest :data:`MOST_SEARCHED`, unless ``id`` names one.

    ``fingerprint`` is one, or the beginning of one; ``labels`` are those that they all bear.
    """

    limit: int
    id: EpisodeId | None = None
    before: EpisodeId | None = None
    fingerprint: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PastEpisode:
    """An episode with the final decisions on it, oldest first."""

    episode: Episode
    decisions: tuple[DecisionRow, ...]


@dataclass(frozen=True, slots=True)
class Past:
    """A page of what was, newest first; the next one begins at ``before``, ``None`` if this is the last."""

    episodes: tuple[PastEpisode, ...]
    before: EpisodeId | None


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How often a rule decided so for this reason, and when last."""

    kind: DecisionKind
    reason: Reason
    count: int
    latest: datetime


#: How much of a story is told, however many alerts joined its run.
MOST_OF_STORY, MOST_EVENTS = 100, 1000


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run's story, as who drives it and who reads it need it; also one that thousands of alerts joined.

    ``episodes`` and ``decisions``, some of those included by which the alerts that it counted waited for each
    other, are the first :data:`MOST_OF_STORY`; ``joined`` counts all episodes, and
    ``firing`` says whether any of them is open. Of ``events`` the last :data:`MOST_EVENTS` are there, and of
    those that each further alert brings (:data:`~remediator.core.events.OF_JOINING`) the first few.
    """

    run: Run
    episodes: tuple[Episode, ...]
    decisions: tuple[DecisionRow, ...]
    attempts: tuple[Attempt, ...]
    events: tuple[Event, ...]
    joined: int
    firing: bool
    approvals: tuple[Approval, ...] = ()

    @property
    def pruned(self) -> bool:
        """Whether what happened step by step is no longer known: of old runs an audit's events are kept."""
        return self.run.state.is_final and all(event.kind in AUDIT for event in self.events)


@dataclass(frozen=True, slots=True)
class Asking:
    """A run that waits for a person, with the request that it made of them."""

    run: Run
    approval: Approval


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """An envelope that is due; ``head`` and ``sent`` are what its notifier is told."""

    id: int
    envelope: Envelope
    tries: int
    created_at: datetime
    head: str = ""
    sent: str = ""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far behind the daemon is; ages are those of the oldest, ``None`` when there is nothing.

    ``episodes`` are those due to be decided now; ``oldest_undecided`` is since when the first of them, or
    of the webhooks not taken apart yet, has been due. ``quarantined`` counts targets, ``inquiries`` those
    that nobody has answered yet, ``asking`` the runs that wait for a person, the first of which lapses at
    ``next_lapse``.
    """

    webhooks: int
    episodes: int
    outbox: int
    parked_notices: int
    oldest_undecided: datetime | None
    oldest_unsent: datetime | None
    quarantined: int
    unfinished_runs: int
    asking: int = 0
    next_lapse: datetime | None = None
    by_lane: Mapping[Lane, int] = field(default_factory=dict)
    oldest_page: datetime | None = None
    inquiries: int = 0
    oldest_inquiry: datetime | None = None


@dataclass(frozen=True, slots=True, order=True)
class Unreadable:
    """A row of the ledger that can't be read, met last at ``met_at``, and left where it is.

    ``newer`` says that it holds a word which this version does not know: a newer one may have written it.
    """

    table: str
    id: str
    why: str
    met_at: datetime
    newer: bool


@dataclass(frozen=True, slots=True)
class RulebookRow:
    """A rulebook that the ledger has seen."""

    hash: RulebookHash
    first_seen: datetime
    active: bool
    files: Mapping[str, str] = field(default_factory=dict)


class Proposal(StrEnum):
    """What became of a proposed rulebook.

    ``drifted``: it was replaced before. ``overtaken``: what it was to replace had been replaced meanwhile.
    """

    ACTIVATED = "activated"
    UNCHANGED = "unchanged"
    DRIFTED = "drifted"
    OVERTAKEN = "overtaken"


@dataclass(frozen=True, slots=True)
class Stopped:
    """What the brake kept a rule from: so many alerts, on so many distinct targets."""

    rule: str
    alerts: int
    targets: int


@dataclass(frozen=True, slots=True)
class Release:
    """The end of an engaged brake: who resumed automation, and why; ``by_time`` if nobody had to."""

    at: datetime
    who: str
    why: str
    by_time: bool = False


@dataclass(frozen=True, slots=True)
class BrakeRow:
    """A brake that is engaged, or whose end people have not been told of.

    ``targets`` are the first of the ``distinct`` ones on which something was stopped, by name. ``told`` is
    how many stopped alerts people were last told of, ``None`` while nobody has heard that it is engaged.
    """

    pause: Pause
    stopped: tuple[Stopped, ...] = ()
    targets: tuple[str, ...] = ()
    distinct: int = 0
    told: int | None = None
    release: Release | None = None

    @property
    def alerts(self) -> int:
        """How many alerts it stopped."""
        return sum(each.alerts for each in self.stopped)


@dataclass(frozen=True, slots=True)
class Brakes:
    """Where the brake stands: what is engaged, and on how many distinct targets runs were demanded lately."""

    rows: tuple[BrakeRow, ...]
    demanded: int


@dataclass(frozen=True, slots=True)
class Restoration:
    """That the ledger turned out to be one from before, and was paused by ``pause``.

    ``told`` says that people have heard of it; ``release`` is who lifted the pause, of which they have not.
    """

    pause: int
    why: str
    at: datetime
    told: bool
    release: Release | None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs `history` shows, newest first."""

    limit: int = 50
    rule: str | None = None
    target: str | None = None
    since: datetime | None = None
    before: RunId | None = None
