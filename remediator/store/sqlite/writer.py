"""The one thread that reads and writes the ledger, and commits what has queued up as one group.

A commit costs a flush of the disk, whatever it holds: callers who wait at the same time share one.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from remediator.core.ports.store import StoreUnavailableError, Topic
from remediator.store.common.codecs import moment
from remediator.store.sqlite.clock import StoreClock
from remediator.store.sqlite.commits import Commits, Job, Outcome, deliver
from remediator.store.sqlite.connection import connect
from remediator.store.sqlite.copying import copy_into, remove_copies
from remediator.store.sqlite.transaction import Work
from remediator.store.sqlite.witness import Witness

T = TypeVar("T")

#: Told once something is committed, in the event loop.
Wake = Callable[[Iterable[Topic]], None]

#: How many callers share a commit at most: bounds what the first of them waits for the others.
GROUP = 256
#: How many of those who don't wait for an answer to Alertmanager go between two groups of those who do.
BETWEEN = 16
#: Bytes that callers may have queued in all: a stalled disk must not fill the memory.
MOST_BYTES = 64 * 1024 * 1024


class _Copy(NamedTuple):
    """The file into which the ledger is to be copied, and who waits for it."""

    path: Path
    future: asyncio.Future[None]


class _ClosingError(Exception):
    """Ends a copy that is under way when the ledger is closed."""


class _Nothing:
    """Only wakes the thread: what it is woken for is in the urgent lane."""


class Executor(Protocol):
    """Runs callers' work, each as a transaction of its own, and answers once it is durable."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def now(self) -> datetime: ...

    def seen(self) -> int | None:
        """How far the ledger is known to have come from elsewhere than itself, in microseconds."""

    def saw(self, micros: int) -> None:
        """Note how far it has come."""

    def submit(self, work: Work[T], size: int = 0, *, urgent: bool = False) -> asyncio.Future[T]: ...

    async def copy(self, path: Path) -> None: ...


class Writer:
    """The :class:`Executor` of the daemon: a thread that commits what has queued up as one group.

    There are two lanes. What somebody outside waits for goes first, in commits of its own; the engine's work
    goes between, a little at a time, so that neither waits for ever.
    """

    def __init__(self, path: Path, clock: StoreClock, wake: Wake) -> None:
        self._path = path
        self._witness = Witness(path)
        self._clock = clock
        self._wake = wake
        self._jobs: queue.SimpleQueue[Job | _Copy | _Nothing | None] = queue.SimpleQueue()
        self._waiting: deque[Job] = deque()
        self._copies: deque[_Copy] = deque()
        self._ends = False
        self._urgent: deque[Job] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._bytes = 0

    async def open(self) -> None:
        """Start the thread.

        Raises:
            StoreError: the ledger can't be opened.
        """
        self._loop, self._ends = asyncio.get_running_loop(), False
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

    def seen(self) -> int | None:
        return self._witness.read()

    def saw(self, micros: int) -> None:
        self._witness.saw(micros)

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
        job = Job(work, future, size)
        if urgent:
            self._urgent.append(job)
            self._jobs.put(_Nothing())
        else:
            self._jobs.put(job)
        return future

    async def copy(self, path: Path) -> None:
        """Copy the ledger as it is into a file, a few pages between two groups of commits.

        Raises:
            StoreUnavailableError: the ledger is not open, is closed meanwhile, or the file can't be written.
        """
        if self._thread is None or self._loop is None:
            message = f"the ledger {self._path} is not open"
            raise StoreUnavailableError(message)
        copied: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put(_Copy(path, copied))
        await copied

    def _main(self, opened: asyncio.Future[None]) -> None:
        try:
            if _is_new(self._path):
                self._witness.forget()
            sql, mark = connect(self._path)
            remove_copies(self._path)
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who opens must hear of it
            self._post([Outcome(opened, None, error)], set())
            return
        self._clock.start(None if mark is None else moment(mark))
        self._post([Outcome(opened, None, None)], set())
        commits = Commits(sql, self._clock, str(self._path))
        try:
            while not self._ends or self._waiting or self._urgent or self._copies:
                self._go_round(commits, block=True)
                if self._copies:
                    self._make(self._copies.popleft(), sql, commits)
        finally:
            commits.close()

    def _go_round(self, commits: Commits, *, block: bool) -> None:
        """Commit a group of each lane, of what has queued up by now or, if there is nothing, next."""
        if not self._ends:
            self._ends = not self._gather(block=block and not (self._waiting or self._urgent or self._copies))
        urgent = _first(self._urgent, GROUP)
        if urgent:
            # Without savepoints: they cost urgent work more than they would spare it.
            self._run(commits, urgent, together=True)
        if self._waiting:
            self._run(commits, _first(self._waiting, BETWEEN if urgent else GROUP))

    def _gather(self, *, block: bool) -> bool:
        """Take over what queued up, waiting for the first if asked to; false once nothing more will come."""
        with suppress(queue.Empty):
            while len(self._waiting) < GROUP:
                job = self._jobs.get(block=block)
                block = False
                if job is None:
                    return False
                if isinstance(job, Job):
                    self._waiting.append(job)
                elif isinstance(job, _Copy):
                    self._copies.append(job)
        return True

    def _make(self, wanted: _Copy, sql: sqlite3.Connection, commits: Commits) -> None:
        """Copy the ledger; SQLite itself brings what is committed between two steps into the copy."""

        def between(_status: int, _left: int, _all: int) -> None:
            self._go_round(commits, block=False)
            if self._ends:
                raise _ClosingError

        try:
            copy_into(wanted.path, sql, between)
        except (sqlite3.Error, _ClosingError) as error:
            failure = StoreUnavailableError(f"the ledger {self._path} could not be copied: {error!r}")
            self._post([Outcome(wanted.future, None, failure)], set())
        else:
            self._post([Outcome(wanted.future, None, None)], set())

    def _run(self, commits: Commits, jobs: list[Job], *, together: bool = False) -> None:
        freed = sum(job.size for job in jobs)
        outcomes, topics = commits.commit(jobs, together=together)
        self._post(outcomes, topics, freed)

    def _post(self, outcomes: list[Outcome], topics: set[Topic], freed: int = 0) -> None:
        assert self._loop is not None  # noqa: S101 - open() sets it before the thread starts
        # A loop that closed meanwhile has nobody left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deliver, outcomes, topics, freed)

    def _deliver(self, outcomes: list[Outcome], topics: set[Topic], freed: int) -> None:
        self._bytes -= freed
        deliver(outcomes, topics, self._wake)


def _is_new(path: Path) -> bool:
    """Whether no ledger is there yet; one that was taken away on purpose is begun anew."""
    try:
        return path.stat().st_size == 0
    except OSError:
        return True


def _first(jobs: deque[Job], count: int) -> list[Job]:
    return [jobs.popleft() for _ in range(min(count, len(jobs)))]
