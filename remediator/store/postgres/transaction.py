"""What a caller's work is given: statements, the ledger's time, and whom to wake once it is committed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from asyncpg.pool import PoolConnectionProxy

from remediator.core.events import Event
from remediator.core.ports.store import Topic
from remediator.store.common.codecs import Row, micros
from remediator.store.common.events import INSERTED, event_row
from remediator.store.common.unread import Unread

T = TypeVar("T")

#: What every connection of the pool is.
Connection: TypeAlias = "PoolConnectionProxy[Any]"

_APPEND_EVENTS = f"INSERT INTO events ({INSERTED}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"

# PostgreSQL's text holds every character but U+0000, and alerts may bring one. Kept as a private character,
# whose own occurrences are kept apart from it.
_NUL, _ESCAPE = "\x00", "\ue000"


class Lock(IntEnum):
    """Advisory locks, which a transaction holds to its end; "REM" in the upper bytes keeps others' away."""

    MIGRATE = 0x52454D00
    GUARDS = 0x52454D01
    FOLD = 0x52454D02
    EVENTS = 0x52454D03
    PLACES = 0x52454D04


def places(count: int) -> str:
    """``$1, $2, ...``: the places of so many values."""
    return ", ".join(f"${n}" for n in range(1, count + 1))


def kept(value: Any) -> Any:
    """A value as PostgreSQL can keep it."""
    if isinstance(value, str):
        if _NUL in value or _ESCAPE in value:
            return value.replace(_ESCAPE, f"{_ESCAPE}1").replace(_NUL, f"{_ESCAPE}0")
    elif isinstance(value, list):
        return [kept(each) for each in value]
    return value


def told(value: Any) -> Any:
    """A value as it was before :func:`kept`."""
    if isinstance(value, str) and _ESCAPE in value:
        return value.replace(f"{_ESCAPE}0", _NUL).replace(f"{_ESCAPE}1", _ESCAPE)
    return value


@dataclass(slots=True)
class Transaction:
    """One transaction. ``claimer`` is this replica; events that are appended are written last of all."""

    connection: Connection
    now: datetime
    claimer: UUID
    topics: set[Topic] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    unread: Unread = field(default_factory=Unread)

    @property
    def micros(self) -> int:
        """The ledger's time as it is written."""
        return micros(self.now)

    async def rows(self, statement: str, *values: object) -> list[Row]:
        found = await self.connection.fetch(statement, *map(kept, values))
        return [tuple(map(told, row)) for row in found]

    async def row(self, statement: str, *values: object) -> Row | None:
        rows = await self.rows(statement, *values)
        return rows[0] if rows else None

    async def value(self, statement: str, *values: object) -> Any:
        row = await self.row(statement, *values)
        return None if row is None else row[0]

    async def run(self, statement: str, *values: object) -> int:
        """Run a statement; gives how many rows it touched."""
        status = await self.connection.execute(statement, *map(kept, values))
        return int(status.rpartition(" ")[2])

    async def run_for_each(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of values, all in one exchange with the server."""
        bound = [tuple(map(kept, row)) for row in rows]
        if bound:
            await self.connection.executemany(statement, bound)

    async def rows_for_each(self, statement: str, rows: Iterable[Sequence[object]]) -> list[Row]:
        """As :meth:`run_for_each`, with the rows that the statement returned."""
        bound = [tuple(map(kept, row)) for row in rows]
        found = await self.connection.fetchmany(statement, bound) if bound else []
        return [tuple(map(told, row)) for row in found]

    def append_events(self, events: Iterable[Event]) -> None:
        self.events.extend(events)

    async def write_events(self) -> None:
        """Write the events, last of all: from here to the commit nobody else writes any."""
        if not self.events:
            return
        rows = [event_row(event) for event in self.events]
        await self.connection.execute(f"SELECT pg_advisory_xact_lock({Lock.EVENTS.value})")
        await self.run_for_each(_APPEND_EVENTS, rows)
        self.topics.add(Topic.EVENTS)


#: A caller's work: it touches nothing but what it is given, and may be run more than once.
Work = Callable[[Transaction], Awaitable[T]]
