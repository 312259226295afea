"""What people and rule files steer, as events and values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from remediator.core.changes import Proposal, RulebookRow
from remediator.core.events import Event, EventKind
from remediator.core.guards import Pause, PauseScope, Quarantine
from remediator.core.ids import RulebookHash
from remediator.core.ports.channels import RuleFiles
from remediator.store.common.codecs import Row, moment, strings

RULEBOOK_COLUMNS = "hash, first_seen, active, files"


def paused(pause: Pause) -> Event:
    data = {
        "scope": pause.scope.value,
        "value": pause.value,
        "why": pause.why,
        "who": pause.who,
        "until": pause.until,
    }
    return _steered(EventKind.AUTOMATION_PAUSED, pause.at, pause.scope, pause.value, data)


def resumed(scope: PauseScope, value: str, why: str, who: str, *, lifted: int, now: datetime) -> Event:
    data = {"scope": scope.value, "value": value, "why": why, "who": who, "lifted": lifted}
    return _steered(EventKind.AUTOMATION_RESUMED, now, scope, value, data)


def _steered(
    kind: EventKind, at: datetime, scope: PauseScope, value: str, data: Mapping[str, object]
) -> Event:
    rule = value if scope is PauseScope.RULE else None
    target = value if scope is PauseScope.TARGET else None
    return Event(kind, at, data, rule=rule, target=target)


def cleared(held: Quarantine, why: str, who: str, now: datetime) -> Event:
    data = {"why": why, "who": who, "quarantined_for": held.why, "since": held.at, "attempt": held.attempt}
    return Event(EventKind.TARGET_CLEARED, now, data, run=held.run, target=str(held.target))


def judge_proposal(active: RulebookRow | None, proposed: RuleFiles, *, seen: bool, forced: bool) -> Proposal:
    """What becomes of a proposed rulebook; ``seen`` says whether the ledger ever had its hash."""
    if active is not None and active.hash == proposed.hash:
        return Proposal.UNCHANGED
    return Proposal.DRIFTED if seen and not forced else Proposal.ACTIVATED


_TOLD = {
    Proposal.ACTIVATED: EventKind.RULEBOOK_ACTIVATED,
    Proposal.DRIFTED: EventKind.RULEBOOK_DRIFTED,
}


def proposed_events(
    proposal: Proposal, active: RulebookRow | None, proposed: RuleFiles, *, forced: bool, now: datetime
) -> list[Event]:
    kind = _TOLD.get(proposal)
    before = None if active is None else active.hash
    data = {"hash": proposed.hash, "before": before, "forced": forced}
    return [] if kind is None else [Event(kind, now, data)]


def rulebook_from(row: Row | None) -> RulebookRow | None:
    if row is None:
        return None
    hash_, first_seen, active, texts = row
    return RulebookRow(RulebookHash(hash_), moment(first_seen), bool(active), strings(texts))
