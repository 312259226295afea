"""Rows that can't be read: passed over where many are read, so that one never hides the others, and told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog

from remediator.core.changes import Unreadable
from remediator.core.events import Event, EventKind
from remediator.core.ports.store import UnreadableRowError
from remediator.store.common.codecs import Row

T = TypeVar("T")

_log = structlog.get_logger(__name__)
#: As many are remembered; there may be more.
_MOST = 1000
#: What nobody has met for so long was mended, or is out of the way.
_FORGET_AFTER = timedelta(minutes=10)


class Unread:
    """The rows of one ledger that one process met and could not read."""

    def __init__(self) -> None:
        self._met: dict[tuple[str, str], Unreadable] = {}

    def note(self, table: str, id_: object, error: Exception, now: datetime) -> Unreadable:
        """Remember one, and log it the first time."""
        key = table, str(id_)[:80]
        found = Unreadable(*key, f"{type(error).__name__}: {error}"[:300], now, newer=_is_newer(error))
        if key not in self._met:
            _log.error("row can't be read, it is passed over", table=table, id=key[1], why=found.why)
        if key in self._met or len(self._met) < _MOST:
            self._met[key] = found
        return found

    def lately(self, now: datetime) -> tuple[Unreadable, ...]:
        """Those that were met of late, by table and id."""
        # Of another thread's dict nothing is iterated while it may grow.
        met = list(self._met.items())
        for key, found in met:
            if now - found.met_at > _FORGET_AFTER:
                self._met.pop(key, None)
        return tuple(found for _, found in sorted(met) if now - found.met_at <= _FORGET_AFTER)


class Reading(Protocol):
    """A transaction, as far as reading rows concerns it."""

    @property
    def now(self) -> datetime: ...

    @property
    def unread(self) -> Unread: ...


def sift(
    reading: Reading, table: str, rows: Iterable[Row], read: Callable[[Row], T]
) -> tuple[list[T], list[Unreadable]]:
    """The rows as values, and those that can't be; the first column of each is its id."""
    values, others = [], []
    for row in rows:
        try:
            values.append(read(row))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is this row alone
            others.append(reading.unread.note(table, row[0], error, reading.now))
    return values, others


def readable(reading: Reading, table: str, rows: Iterable[Row], read: Callable[[Row], T]) -> list[T]:
    """The rows as values, without those that can't be."""
    return sift(reading, table, rows, read)[0]


def whole(reading: Reading, table: str, rows: Iterable[Row], read: Callable[[Row], T]) -> list[T]:
    """The rows as values, where one that is missing would make the others say something else.

    Raises:
        UnreadableRowError: one can't be read.
    """
    values, others = sift(reading, table, rows, read)
    if others:
        raise UnreadableRowError(others[0])
    return values


#: How what can't be read is got out of the way of what follows it. An alert that still fires is told again,
#: and opens an episode that can be read.
ASIDE: Mapping[str, str] = {
    "episodes": "UPDATE episodes SET due_at = NULL, closed = coalesce(closed, 'superseded'),"
    " closed_at = coalesce(closed_at, :now), ended_at = coalesce(ended_at, :now) WHERE id = :id",
    "outbox": "UPDATE outbox SET state = 'parked', ended_at = :now, error = :why WHERE id = :id",
    "pages": "UPDATE pages SET over_at = :now, over_why = :why WHERE id = :id",
}


def set_aside(found: Unreadable) -> Event:
    return Event(
        EventKind.ROW_SET_ASIDE, found.met_at, {"table": found.table, "id": found.id, "why": found.why}
    )


def _is_newer(error: Exception) -> bool:
    """Whether it is about a word that this version does not know; what it says is Python's and msgspec's."""
    return " is not a valid " in str(error) or str(error).startswith("Invalid enum value")
