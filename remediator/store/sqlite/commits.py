"""One connection and what is committed on it: callers' work in groups, each in its savepoint.

It knows no thread and no event loop: whoever owns the connection calls it, and passes the outcomes on.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from remediator.core.ports.store import StoreError, StoreUnavailableError, Topic
from remediator.store.common.codecs import micros
from remediator.store.common.unread import Unread
from remediator.store.sqlite.claims import Claims
from remediator.store.sqlite.clock import StoreClock
from remediator.store.sqlite.connection import primary_code
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.transaction import Transaction, Work

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


class Job(NamedTuple):
    """A caller's work, who waits for it, and the bytes that it holds in memory.

    Once the future is done, nobody waits any more, and the work is not begun.
    """

    work: Work[Any]
    future: asyncio.Future[Any]
    size: int = 0


class Outcome(NamedTuple):
    """What a job's future is to be answered with."""

    future: asyncio.Future[Any]
    result: Any
    error: Exception | None


class Commits:
    """Runs jobs in order and commits them as one group. ``name`` is the ledger's, for error messages."""

    def __init__(self, sql: sqlite3.Connection, clock: StoreClock, name: str) -> None:
        self._sql = sql
        self._clock = clock
        self._name = name
        self._episode_claims = Claims()
        self._outbox_claims = Claims()
        self._unread = Unread()
        self._told = 0

    def commit(self, jobs: Sequence[Job], *, together: bool = False) -> tuple[list[Outcome], set[Topic]]:
        """Run the jobs and commit; gives their outcomes, and the topics of which others are to be woken.

        Each has a savepoint of its own, so that one that fails costs the others nothing, unless they are to
        fail or succeed ``together``. When the commit itself fails, so has every one of them.
        """
        now, claims = self._clock.read(), (self._episode_claims, self._outbox_claims)
        transaction = Transaction(self._sql, now, None, *claims, unread=self._unread)
        run = self._run_bare if together else self._run
        try:
            self._sql.execute("BEGIN IMMEDIATE")
            before = self._sql.total_changes
            outcomes = [run(transaction, job) for job in jobs]
            self._keep_time(transaction, written=self._sql.total_changes != before)
            self._sql.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            self._roll_back()
            self._settle(committed=False)
            return [Outcome(job.future, None, self._unavailable(error)) for job in jobs], set()
        # Those alone: another may have been noticed since.
        del self._clock.jumps[: self._told]
        self._settle(committed=True)
        return outcomes, transaction.topics

    def close(self) -> None:
        self._sql.close()

    def _run_bare(self, transaction: Transaction, job: Job) -> Outcome:
        return Outcome(job.future, None if job.future.done() else job.work(transaction), None)

    def _run(self, transaction: Transaction, job: Job) -> Outcome:
        work, future = job.work, job.future
        if future.done():  # cancelled: its caller has told that it was not done, and may come again
            return Outcome(future, None, None)
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
            return Outcome(future, None, error)
        sql.execute("RELEASE work")
        return Outcome(future, result, None)

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
        failure = StoreUnavailableError(f"the ledger {self._name} can't be written: {error}")
        failure.__cause__ = error
        return failure

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors, a full disk among them.
        if self._sql.in_transaction:
            with suppress(sqlite3.Error):
                self._sql.execute("ROLLBACK")


def deliver(outcomes: Sequence[Outcome], topics: set[Topic], wake: Callable[[set[Topic]], None]) -> None:
    """Answer those who still wait, then wake whoever waits for work of these topics."""
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
    if topics:
        wake(topics)


def _refused(error: sqlite3.Error) -> StoreError:
    failure = StoreError(f"the ledger refused a write: {error}")
    failure.__cause__ = error
    return failure
