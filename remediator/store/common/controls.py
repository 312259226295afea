"""What people and rule files steer, as events and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from remediator.core.changes import Proposal, Release, RulebookRow
from remediator.core.events import Event, EventKind
from remediator.core.guards import Pause, PauseScope, Quarantine
from remediator.core.ids import RulebookHash
from remediator.store.common.brakes import brake_released
from remediator.store.common.codecs import Row, moment, strings
from remediator.store.common.unread import Reading, readable

RULEBOOK_COLUMNS = "hash, first_seen, active, files"


def paused(pause: Pause) -> Event:
    data = {
        "scope": pause.scope.value,
        "value": pause.value,
        "why": pause.why,
        "who": pause.who,
        "until": pause.until,
        "id": pause.id,
        "name": pause.name,
    }
    return _steered(EventKind.AUTOMATION_PAUSED, pause.at, pause.scope, pause.value, data)


def resumed(lifted: Sequence[Pause], why: str, who: str, now: datetime) -> list[Event]:
    """What tells that these pauses, all of one scope and value, were lifted; the brake's tell it too."""
    one = lifted[0]
    data: dict[str, object] = {
        "scope": one.scope.value,
        "value": one.value,
        "why": why,
        "who": who,
        "lifted": len(lifted),
    }
    data["ids"] = [each.id for each in lifted]
    told = _steered(EventKind.AUTOMATION_RESUMED, now, one.scope, one.value, data)
    release = Release(now, who, why)
    return [told, *(brake_released(each, release) for each in lifted if each.brake is not None)]


def _steered(
    kind: EventKind, at: datetime, scope: PauseScope, value: str, data: Mapping[str, object]
) -> Event:
    rule = value if scope is PauseScope.RULE else None
    target = value if scope is PauseScope.TARGET else None
    return Event(kind, at, data, rule=rule, target=target)


def cleared(held: Quarantine, why: str, who: str, now: datetime) -> Event:
    data = {"why": why, "who": who, "quarantined_for": held.why, "since": held.at, "attempt": held.attempt}
    return Event(EventKind.TARGET_CLEARED, now, data, run=held.run, target=str(held.target))


def judge_proposal(
    active: RulebookHash | None,
    proposed: RulebookHash,
    expected: RulebookHash | None,
    *,
    seen: bool,
    forced: bool,
) -> Proposal:
    """What becomes of a proposed rulebook; ``seen`` says whether the ledger ever had its hash."""
    if active == proposed:
        return Proposal.UNCHANGED
    if seen and not forced:
        return Proposal.DRIFTED
    return Proposal.ACTIVATED if active == expected else Proposal.OVERTAKEN


_TOLD = {
    Proposal.ACTIVATED: EventKind.RULEBOOK_ACTIVATED,
    Proposal.DRIFTED: EventKind.RULEBOOK_DRIFTED,
    Proposal.OVERTAKEN: EventKind.RULEBOOK_DRIFTED,
}


def proposed_events(
    proposal: Proposal,
    active: RulebookHash | None,
    proposed: RulebookHash,
    *,
    forced: bool,
    now: datetime,
) -> list[Event]:
    kind = _TOLD.get(proposal)
    data = {"hash": proposed, "before": active, "forced": forced, "proposal": proposal.value}
    return [] if kind is None else [Event(kind, now, data)]


def rulebook_from(reading: Reading, row: Row | None) -> RulebookRow | None:
    """One that can't be read has no files, which is not what its hash says."""
    if row is None:
        return None
    read = readable(reading, "rulebooks", [row], _rulebook)
    return read[0] if read else RulebookRow(RulebookHash(row[0]), moment(0), bool(row[2]), {})


def _rulebook(row: Row) -> RulebookRow:
    hash_, first_seen, active, texts = row
    return RulebookRow(RulebookHash(hash_), moment(first_seen), bool(active), strings(texts))
