"""One ledger for all replicas: SQLite's real transactions, inline, behind messages that may be late or lost.

A replica's store is the real `SqliteStore` with another executor, and what differs on PostgreSQL is as there:
claims and the clock are the ledger's, asking for the time is a transaction, others hear of a commit by a
message that may get lost, and a caller whose answer is lost does not know whether its write was made.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from remediator.core.ports.store import StoreUnavailableError, Topic
from remediator.rehearse.clockwork import Clockwork, Node
from remediator.store.sqlite import SqliteStore
from remediator.store.sqlite.claims import Claims
from remediator.store.sqlite.clock import StoreClock
from remediator.store.sqlite.commits import Commits, Job, Outcome, deliver
from remediator.store.sqlite.memory import empty_ledger
from remediator.store.sqlite.transaction import Transaction, Work
from remediator.store.sqlite.writer import Wake
from tests.simulation.diary import Diary
from tests.simulation.dropped import judged, keep_what_is_dropped
from tests.simulation.weather import Fate, Sky, Weather

T = TypeVar("T")

#: A call is given up after this long, as on PostgreSQL (seconds).
DEADLINE = 10.0
FIRST_TOKEN = 1000
#: Those whose callbacks a backend may run again: they are run twice now and then.
_WITH_CALLBACKS = frozenset({"decide", "intend", "take_webhooks"})
_TWICE = 0.05
_READING = frozenset(
    {
        "_now",
        "active_hash",
        "active_rulebook",
        "attempt_in_doubt",
        "backlog",
        "episodes_of_run",
        "pauses_in_force",
        "quarantines",
        "run_rows",
        "runnable",
        "untaken_webhooks",
        "view_for",
    }
)
_MAYBE = 0.5


class _AgainError(Exception):
    """Takes back a transaction whose work is then done once more."""


@cache
def _empty() -> bytes:
    """A ledger in which nothing has happened."""
    sql = sqlite3.connect(":memory:", isolation_level=None)
    sql.deserialize(empty_ledger())
    sql.execute("UPDATE token_sequence SET last = ?", (FIRST_TOKEN,))
    return sql.serialize()


class SharedLedger:
    """The database. `seen` is called after each commit with who asked for it, and for what."""

    def __init__(self, clockwork: Clockwork, random: Random, diary: Diary) -> None:
        self.sql = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        self.sql.deserialize(_empty())
        keep_what_is_dropped(self.sql)
        self.clock = StoreClock(lambda: clockwork.wall, lambda: clockwork.now, timedelta(seconds=15))
        self._commits = Commits(self.sql, self.clock, "of the simulation")
        self._nobody: asyncio.Future[Any] = clockwork.node("nobody").create_future()
        self._claims = Claims()
        self._random = random
        self._diary = diary
        self.seen: Callable[[str, Work[Any]], None] = lambda _who, _work: None

    def close(self) -> None:
        self._commits.close()

    def run(self, who: str, work: Work[T]) -> tuple[Outcome, set[Topic]]:
        """Do the work as a transaction of its own; what it raised is in its outcome."""
        name = _name(work)
        if name in _READING:
            return self._read(work), set()
        if name in _WITH_CALLBACKS and self._random.random() < _TWICE:
            self._diary.count("transactions run twice")
            self._commits.commit([Job(_taken_back(work), self._nobody)])
        before = self.sql.total_changes
        outcomes, topics = self._commits.commit([Job(work, self._nobody)])
        if self.sql.total_changes != before:
            self.seen(who, work)
            if name == "prune":
                judged(self.sql)
        return outcomes[0], topics

    def _read(self, work: Work[T]) -> Outcome:
        """Without a transaction, which costs more than most of what is read; a failure is the reader's."""
        now = self.clock.read()
        try:
            result = work(Transaction(self.sql, now, self.clock.acting_from, self._claims, self._claims))
        except Exception as error:  # noqa: BLE001 - whatever it is, its caller judges it
            return Outcome(self._nobody, None, error)
        return Outcome(self._nobody, result, None)


class Line:
    """One replica's connection to the ledger: an executor of its store's transactions."""

    def __init__(
        self,
        ledger: SharedLedger,
        node: Node,
        outside: Node,
        sky: Sky,
        weather: Weather,
        diary: Diary,
        tell: Callable[[Line, list[Topic]], None],
        wake: Wake,
    ) -> None:
        self._ledger = ledger
        self.node = node
        self._outside = outside
        self._sky = sky
        self._weather = weather
        self._diary = diary
        self._tell = tell
        self.wake = wake

    async def open(self) -> None:
        """It is always open."""

    async def close(self) -> None:
        """It needs no closing."""

    def seen(self) -> None:
        """Nothing lies beside it."""

    def saw(self, micros: int) -> None:
        """Nothing lies beside it."""

    async def copy(self, path: Path) -> None:
        message = f"nobody copies a ledger of the simulation into {path}"
        raise StoreUnavailableError(message)

    def now(self) -> datetime:
        return self._ledger.clock.read()

    def submit(self, work: Work[T], size: int = 0, *, urgent: bool = False) -> asyncio.Future[T]:
        """Send the work on its way; the future is answered when and if the answer comes back."""
        del size, urgent
        answer: asyncio.Future[T] = self.node.create_future()
        if not self.node.alive:
            return answer
        sky, outside, now = self._sky, self._outside, self.node.time()
        fate = sky.fate(self._weather.ledger, self.node.name, "ledger", now)
        if fate.arrives:
            outside.call_later(fate.there, self._arrive, work, answer, fate, now)
            if fate.there + fate.back >= DEADLINE or not fate.answered:
                wait = fate.there + fate.back if fate.told and not fate.answered else DEADLINE
                outside.call_later(min(wait, DEADLINE), self._fail, work, answer, "its answer was lost")
        else:
            self._diary.count("ledger errors before a write")
            wait = fate.there + fate.back if fate.told else DEADLINE
            outside.call_later(wait, self._fail, work, answer, "it can't be reached")
        return answer

    def hear(self, topics: list[Topic]) -> None:
        """Another replica has committed something."""
        if self.node.alive:
            self.node.call_soon(self.wake, topics)

    def _arrive(self, work: Work[T], answer: asyncio.Future[T], fate: Fate, sent: float) -> None:
        given_up = answer.done() or not self.node.alive
        if given_up and self._sky.random.random() < _MAYBE:
            return
        outcome, topics = self._ledger.run(self.node.name, work)
        if given_up:
            self._diary.count("ledger writes made after their caller gave up")
        if not fate.answered:
            self._diary.count("ledger answers lost after a write")
        elif self._outside.time() - sent + fate.back < DEADLINE:
            self._outside.call_later(fate.back, self._answer, outcome._replace(future=answer), topics)

    def _answer(self, outcome: Outcome, topics: set[Topic]) -> None:
        if self.node.alive:
            deliver([outcome], set(), self.wake)
            if topics:
                # In an order that is the same in every process.
                self.node.call_soon(self.wake, sorted(topics))
                self._tell(self, sorted(topics))

    def _fail(self, work: Work[T], answer: asyncio.Future[T], why: str) -> None:
        if self.node.alive and not answer.done():
            self._diary.note(self.node.name, f"ledger: {_name(work)} failed: {why}")
            answer.set_exception(StoreUnavailableError(f"the ledger: {why}"))


class ReplicaStore(SqliteStore):
    """A replica's store, for which the ledger's time is an answer like any other."""

    async def now(self) -> datetime:
        return await self._writer.submit(_now)


def _now(transaction: Transaction) -> datetime:
    return transaction.now


def _taken_back(work: Work[T]) -> Work[T]:
    def once(transaction: Transaction) -> T:
        work(transaction)
        raise _AgainError

    return once


def _name(work: Work[Any]) -> str:
    return work.func.__name__ if isinstance(work, partial) else getattr(work, "__name__", "work")
