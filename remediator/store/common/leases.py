"""Leases as rows: what stands on the places that a contender asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from remediator.core.events import Event, EventKind
from remediator.core.ids import Owner, RunId
from remediator.core.leases import Cover, Occupied, Preempted, Side
from remediator.store.common.codecs import Row, maybe_moment, moment

COVER_COLUMNS = "place, shared, side"


@dataclass(frozen=True, slots=True)
class Leased:
    """Whose lease a token is of, and whom it has to give way to."""

    run: RunId
    preempted: Preempted | None


def preempted_from(by: str | None, expires_at: int) -> Preempted | None:
    return None if by is None else Preempted(RunId(by), moment(expires_at))


def cover_from(place: str, shared: object, side: str) -> Cover:
    return Cover(place, bool(shared), Side(side))


def occupied_from(row: Row) -> Occupied:
    """A row of place, shared, side, run, owner, expires_at, awaited_until, in_doubt, may_act_until."""
    place, shared, side, run, owner, expires_at, awaited_until, in_doubt, may_act_until = row
    ends = [end for end in (expires_at, awaited_until) if end is not None]
    return Occupied(
        cover=cover_from(place, shared, side),
        run=RunId(run),
        owner=Owner(owner or ""),
        until=maybe_moment(max(ends, default=None)),
        in_doubt=bool(in_doubt),
        may_act_until=maybe_moment(may_act_until),
    )


def preempted_events(rows: Iterable[Row], by: RunId, now: datetime) -> list[Event]:
    """An event for each (run, rule, target) whose lease has to give way."""
    return [
        Event(EventKind.LEASE_PREEMPTED, now, {"by": by}, run=RunId(run), rule=rule, target=target)
        for run, rule, target in rows
    ]
