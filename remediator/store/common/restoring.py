"""A ledger that was put back from a copy: what it does not know of may have happened, so people decide."""

from __future__ import annotations

from datetime import datetime

from remediator.core.changes import Release, Restoration
from remediator.core.events import Event, EventKind
from remediator.core.guards import Pause, PauseScope
from remediator.store.common.codecs import Row, micros, moment

RESTORATION_COLUMNS = "id, why, at, told, lifted_at, lifted_who, lifted_why"
#: What ``pauses.told`` is while people have heard of it, and once they heard of its end.
TOLD, TOLD_OF_END = 0, -1
#: Leases that may have been given since the copy beyond one a millisecond: also what clocks may be apart.
_MARGIN = 3_600_000


def token_floor(last: int, now: datetime) -> int:
    """Above every token that may have been given since the copy, whose last one is known.

    They begin at the time in milliseconds and grow by one with each lease, of which there are fewer.
    """
    return max(last, micros(now) // 1000) + _MARGIN


def pause_for(how: str, now: datetime) -> Pause:
    """The pause that waits for a person; it has no id until it is written."""
    why = f"ledger restored: {how}. Look at what has happened since, then resume"
    return Pause(0, PauseScope.ALL, "", why, "remediator", now)


def restored(how: str, floor: int, now: datetime) -> Event:
    return Event(EventKind.LEDGER_RESTORED, now, {"detail": how, "tokens_from": floor})


def restoration_from(row: Row) -> Restoration:
    id_, why, at, told, lifted_at, lifted_who, lifted_why = row
    release = None if lifted_at is None else Release(moment(lifted_at), lifted_who, lifted_why)
    return Restoration(id_, why, moment(at), told is not None, release)
