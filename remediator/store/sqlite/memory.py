"""The ledger in memory, for rehearsals: SQLite's real transactions, each done at once and none kept.

Nothing else uses it, so what nobody has work for need not be looked for every second: waits last until the
first moment at which the ledger itself says that something falls due, or until something is written.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from remediator.core.ports.store import StoreUnavailableError, Topic
from remediator.store.common.codecs import micros
from remediator.store.common.wakers import Wakers
from remediator.store.sqlite.clock import StoreClock
from remediator.store.sqlite.commits import Commits, Job, deliver
from remediator.store.sqlite.connection import migrate
from remediator.store.sqlite.store import SqliteStore
from remediator.store.sqlite.transaction import Work
from remediator.store.sqlite.writer import Wake

T = TypeVar("T")

#: Where no file can be: nothing beside it tells that it was put back.
_NO_FILE = Path("/dev/null/ledger")
#: The longest that nobody looks (seconds).
_LONGEST = 600.0
#: While there are such, they are looked at as often as ever, or this often (seconds).
_AT_ONCE = (
    "SELECT EXISTS (SELECT 1 FROM webhooks WHERE taken_at IS NULL)"
    " OR EXISTS (SELECT 1 FROM runs WHERE final = 0 AND state IN ('pending', 'ready'))"
    " OR EXISTS (SELECT 1 FROM inquiries)"
)
_NOW_AND_THEN, _PACE = (
    (
        "SELECT EXISTS (SELECT 1 FROM watchdogs)"
        " OR EXISTS (SELECT 1 FROM pauses WHERE lifted_at IS NULL AND until IS NULL)"
    ),
    5.0,
)
#: When the next of all else falls due, in microseconds.
_DUE = """
    SELECT min(due) FROM (
        SELECT min(due_at) AS due FROM episodes WHERE due_at IS NOT NULL
        UNION ALL SELECT min(deadline_at) FROM runs WHERE final = 0 AND state != 'asking'
        UNION ALL SELECT min(until) FROM approvals WHERE settled IS NULL
        UNION ALL SELECT min(due_at) FROM outbox WHERE state = 'unsent'
        UNION ALL SELECT min(next_at) FROM pages WHERE over_at IS NULL
        UNION ALL SELECT min(until) FROM pauses WHERE lifted_at IS NULL AND until > ?
    )
"""


@cache
def empty_ledger() -> bytes:
    """A ledger in which nothing has happened, as SQLite serializes it."""
    sql = sqlite3.connect(":memory:", isolation_level=None)
    migrate(sql, Path(":memory:"))
    return sql.serialize()


class MemoryStore(SqliteStore):
    """A ledger that is gone once it is closed. ``clock`` and ``monotonic`` as of any.

    With ``patient`` false every loop looks as often as it would on a disk: the same happens, more slowly.
    """

    def __init__(
        self, *, clock: Callable[[], datetime], monotonic: Callable[[], float], patient: bool = True
    ) -> None:
        ledger = _Ledger(patient=patient)
        super().__init__(
            _NO_FILE, clock=clock, monotonic=monotonic, executor=ledger.made_of, wakers=ledger.wakers
        )

    async def _prove(self) -> None:
        """Nothing in memory is durable."""


class _Ledger:
    """The executor: work is done when it is submitted, and its future answered."""

    def __init__(self, *, patient: bool) -> None:
        self.wakers = _PatientWakers(self._idle_for if patient else lambda: 0.0)
        self._sql = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        self._sql.deserialize(empty_ledger())

    def made_of(self, path: Path, clock: StoreClock, wake: Wake) -> _Ledger:
        self._clock = clock
        self._wake = wake
        self._commits = Commits(self._sql, clock, str(path))
        return self

    async def open(self) -> None:
        """It is always open."""

    async def close(self) -> None:
        self._commits.close()

    def seen(self) -> None:
        """Nothing lies beside it."""

    def saw(self, micros: int) -> None:
        """Nothing lies beside it."""

    async def copy(self, path: Path) -> None:
        message = f"nobody copies a ledger that is in memory into {path}"
        raise StoreUnavailableError(message)

    def now(self) -> datetime:
        return self._clock.read()

    def submit(self, work: Work[T], size: int = 0, *, urgent: bool = False) -> asyncio.Future[T]:
        del size, urgent
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        before = self._sql.total_changes
        outcomes, topics = self._commits.commit([Job(work, answer)])
        deliver(outcomes, topics, self._wake)
        if self._sql.total_changes != before and not _is_lease(work):
            self.wakers.stir()
        return answer

    def _idle_for(self) -> float:
        """For how many seconds nothing falls due, if nothing is written meanwhile."""
        if self._found(_AT_ONCE):
            return 0.0
        longest = _PACE if self._found(_NOW_AND_THEN) else _LONGEST
        now = micros(self._clock.read())
        due = self._found(_DUE, now)
        return longest if due is None else min(longest, (due - now) / 1e6)

    def _found(self, query: str, *values: int) -> int | None:
        found: int | None = self._sql.execute(query, values).fetchone()[0]
        return found


class _PatientWakers(Wakers):
    """Waits take whole multiples of what was asked for: as many as ``idle_for`` has seconds for."""

    def __init__(self, idle_for: Callable[[], float]) -> None:
        super().__init__()
        self._idle_for = idle_for
        self._waiting: dict[asyncio.Timeout, tuple[float, float]] = {}

    def stir(self) -> None:
        """Something was written: whoever waits looks when it would have looked next."""
        for limit, (begun, pace) in self._waiting.items():
            when = limit.when()
            looks = begun + pace * (math.floor((asyncio.get_running_loop().time() - begun) / pace) + 1)
            if when is not None and looks < when and not limit.expired():
                limit.reschedule(looks)

    @asynccontextmanager
    async def limit(self, topic: Topic, timeout: timedelta) -> AsyncIterator[None]:
        begun, pace = asyncio.get_running_loop().time(), timeout.total_seconds()
        # Who holds a lease waits for no work: it has to be renewed.
        idle_for = 0.0 if topic is Topic.LEASES else self._idle_for()
        times = max(math.floor(idle_for / pace), 1)
        async with asyncio.timeout_at(begun + pace * times) as limit:
            self._waiting[limit] = begun, pace
            try:
                yield
            finally:
                del self._waiting[limit]


def _is_lease(work: Work[Any]) -> bool:
    """A renewal is nobody else's business."""
    return isinstance(work, partial) and work.func.__name__ == "renew"
