"""The one thread that reads and writes the ledger, and commits what has queued up as one group.

A commit costs a flush of the disk, whatever it holds: callers who wait at the same time share one.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from remediator.core.ports.store import StoreError, StoreUnavailableError, Topic
from remediator.store.common.codecs import micros, moment
from remediator.store.sqlite.claims import Claims
from remediator.store.sqlite.clock import StoreClock
from remediator.store.sqlite.connection import connect, primary_code
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.transaction import Transaction, Work

T = TypeVar("T")

#: How many callers share a commit at most: bounds what the first of them waits for the others.
GROUP = 256
#: How many of those who don't wait for an answer to Alertmanager go between two groups of those who do.
BETWEEN = 16
#: Bytes that callers may have queued in all: a stalled disk must not fill the memory.
MOST_BYTES = 64 * 1024 * 1024

#: Codes that blame one caller's statement or values, not the file or the disk.
_CALLERS_FAULT = frozenset(
    {
        None,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    }
)


class _Job(NamedTuple):
    """A caller's work, who waits for it, and the bytes that it holds in memory."""

    work: Work[Any]
    future: asyncio.Future[Any]
    size: int


class _Nothing:
    """Only wakes the thread: what it is woken for is in the urgent lane."""


_Outcome = tuple["asyncio.Future[Any]", Any, Exception | None]


class Writer:
    """Runs callers' work in order, each in its savepoint, and answers once the group is durable.

    There are two lanes. What somebody outside waits for goes first, in commits of its own; the engine's work
    goes between, a little at a time, so that neither waits for ever.
    """

    def __init__(self, path: Path, clock: StoreClock, wake: Callable[[set[Topic]], None]) -> None:
        self._path = path
        self._clock = clock
        self._wake = wake
        self._jobs: queue.SimpleQueue[_Job | _Nothing | None] = queue.SimpleQueue()
        self._urgent: deque[_Job] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._bytes = 0
        self._episode_claims = Claims()
        self._outbox_claims = Claims()
        self._told = 0

    async def open(self) -> None:
        """Start the thread.

        Raises:
            StoreError: the ledger can't be opened.
        """
        self._loop = asyncio.get_running_loop()
        self._episode_claims, self._outbox_claims = Claims(), Claims()
        opened: asyncio.Future[None] = self._loop.create_future()
        thread = threading.Thread(target=self._main, args=(opened,), name="ledger", daemon=True)
        thread.start()
        await opened
        self._thread = thread

    async def close(self) -> None:
        """Finish what is queued and close the file; further work is refused."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)

    def now(self) -> datetime:
        """The store's time. No trip to the thread: it is asked for many times a run, and writes nothing.

        Raises:
            StoreUnavailableError: the ledger is not open.
        """
        if self._thread is None:
            raise StoreUnavailableError(f"the ledger {self._path} is not open")
        return self._clock.read()

    def submit(self, work: Work[T], size: int = 0, *, urgent: bool = False) -> asyncio.Future[T]:
        """Queue work; the future is answered when it is durable. Cancelled before its turn, it is not done.

        ``size`` is the bytes that it holds in memory, if they are many; ``urgent`` work goes before the rest.

        Raises:
            StoreUnavailableError: the ledger is not open, or :data:`MOST_BYTES` are queued already.
        """
        if self._thread is None or self._loop is None:
            message = f"the ledger {self._path} is not open"
            raise StoreUnavailableError(message)
        if self._bytes and self._bytes + size > MOST_BYTES:
            message = f"the ledger {self._path} is behind: {self._bytes} bytes wait to be written"
            raise StoreUnavailableError(message)
        self._bytes += size
        future: asyncio.Future[T] = self._loop.create_future()
        job = _Job(work, future, size)
        if urgent:
            self._urgent.append(job)
            self._jobs.put(_Nothing())
        else:
            self._jobs.put(job)
        return future

    def _main(self, opened: asyncio.Future[None]) -> None:
        try:
            sql, mark = connect(self._path)
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who opens must hear of it
            self._post([(opened, None, error)], set())
            return
        self._clock.start(None if mark is None else moment(mark))
        self._post([(opened, None, None)], set())
        try:
            waiting: deque[_Job] = deque()
            open_ = True
            while open_ or waiting or self._urgent:
                open_ = open_ and self._gather(waiting, block=not (waiting or self._urgent))
                urgent = _first(self._urgent, GROUP)
                if urgent:
                    self._run_group(sql, urgent, self._run_bare)
                if waiting:
                    self._run_group(sql, _first(waiting, BETWEEN if urgent else GROUP), self._run)
        finally:
            sql.close()

    def _gather(self, waiting: deque[_Job], *, block: bool) -> bool:
        """Take over what queued up, waiting for the first if asked to; false once nothing more will come."""
        with suppress(queue.Empty):
            while len(waiting) < GROUP:
                job = self._jobs.get(block=block)
                block = False
                if job is None:
                    return False
                if isinstance(job, _Job):
                    waiting.append(job)
        return True

    def _run_group(
        self, sql: sqlite3.Connection, jobs: list[_Job], run: Callable[[Transaction, _Job], _Outcome]
    ) -> None:
        transaction = Transaction(sql, self._clock.read(), None, self._episode_claims, self._outbox_claims)
        freed = sum(job.size for job in jobs)
        try:
            sql.execute("BEGIN IMMEDIATE")
            before = sql.total_changes
            outcomes = [run(transaction, job) for job in jobs]
            self._keep_time(transaction, written=sql.total_changes != before)
            sql.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            _roll_back(sql)
            self._settle(committed=False)
            self._post([(job.future, None, self._unavailable(error)) for job in jobs], set(), freed)
        else:
            # Those alone: another may have been noticed since.
            del self._clock.jumps[: self._told]
            self._settle(committed=True)
            self._post(outcomes, transaction.topics, freed)

    def _run_bare(self, transaction: Transaction, job: _Job) -> _Outcome:
        """Without a savepoint: urgent work fails or succeeds as a group, for what it costs to keep apart."""
        return job.future, None if job.future.done() else job.work(transaction), None

    def _run(self, transaction: Transaction, job: _Job) -> _Outcome:
        work, future = job.work, job.future
        if future.done():  # cancelled: its caller has told that it was not done, and may come again
            return future, None, None
        sql = transaction.sql
        transaction.now = self._clock.read()
        transaction.acting_from = self._clock.acting_from
        sql.execute("SAVEPOINT work")
        try:
            result = work(transaction)
        except Exception as error:
            if isinstance(error, sqlite3.Error):
                if primary_code(error) not in _CALLERS_FAULT or not sql.in_transaction:
                    raise
                error = _refused(error)
            sql.execute("ROLLBACK TO work")
            sql.execute("RELEASE work")
            return future, None, error
        sql.execute("RELEASE work")
        return future, result, None

    def _keep_time(self, transaction: Transaction, *, written: bool) -> None:
        self._told = len(self._clock.jumps)
        if self._told:
            append_events(transaction, self._clock.jumps[: self._told])
        elif not written:
            return
        transaction.sql.execute(
            "INSERT INTO meta (key, value) VALUES ('time', ?)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (micros(self._clock.now),),
        )

    def _settle(self, *, committed: bool) -> None:
        self._episode_claims.settle(committed=committed)
        self._outbox_claims.settle(committed=committed)

    def _unavailable(self, error: Exception) -> StoreUnavailableError:
        failure = StoreUnavailableError(f"the ledger {self._path} can't be written: {error}")
        failure.__cause__ = error
        return failure

    def _post(self, outcomes: list[_Outcome], topics: set[Topic], freed: int = 0) -> None:
        assert self._loop is not None  # noqa: S101 - open() sets it before the thread starts
        # A loop that closed meanwhile has nobody left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deliver, outcomes, topics, freed)

    def _deliver(self, outcomes: list[_Outcome], topics: set[Topic], freed: int) -> None:
        self._bytes -= freed
        for future, result, error in outcomes:
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        if topics:
            self._wake(topics)


def _first(jobs: deque[_Job], count: int) -> list[_Job]:
    return [jobs.popleft() for _ in range(min(count, len(jobs)))]


def _roll_back(sql: sqlite3.Connection) -> None:
    # SQLite has rolled back by itself after some errors, a full disk among them.
    if sql.in_transaction:
        with suppress(sqlite3.Error):
            sql.execute("ROLLBACK")


def _refused(error: sqlite3.Error) -> StoreError:
    failure = StoreError(f"the ledger refused a write: {error}")
    failure.__cause__ = error
    return failure
