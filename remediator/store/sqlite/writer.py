"""The one thread that reads and writes the ledger, and commits what has queued up as one group.

A commit costs a flush of the disk, whatever it holds: callers who wait at the same time share one.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from remediator.core.ports.store import StoreUnavailableError, Topic
from remediator.store.common.codecs import moment
from remediator.store.sqlite.clock import StoreClock
from remediator.store.sqlite.commits import Commits, Job, Outcome, deliver
from remediator.store.sqlite.connection import connect
from remediator.store.sqlite.transaction import Work

T = TypeVar("T")

#: Told once something is committed, in the event loop.
Wake = Callable[[Iterable[Topic]], None]

#: How many callers share a commit at most: bounds what the first of them waits for the others.
GROUP = 256
#: How many of those who don't wait for an answer to Alertmanager go between two groups of those who do.
BETWEEN = 16
#: Bytes that callers may have queued in all: a stalled disk must not fill the memory.
MOST_BYTES = 64 * 1024 * 1024


class _Nothing:
    """Only wakes the thread: what it is woken for is in the urgent lane."""


class Executor(Protocol):
    """Runs callers' work, each as a transaction of its own, and answers once it is durable."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def now(self) -> datetime: ...

    def submit(self, work: Work[T], size: int = 0, *, urgent: bool = False) -> asyncio.Future[T]: ...


class Writer:
    """The :class:`Executor` of the daemon: a thread that commits what has queued up as one group.

    There are two lanes. What somebody outside waits for goes first, in commits of its own; the engine's work
    goes between, a little at a time, so that neither waits for ever.
    """

    def __init__(self, path: Path, clock: StoreClock, wake: Wake) -> None:
        self._path = path
        self._clock = clock
        self._wake = wake
        self._jobs: queue.SimpleQueue[Job | _Nothing | None] = queue.SimpleQueue()
        self._urgent: deque[Job] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._bytes = 0

    async def open(self) -> None:
        """Start the thread.

        Raises:
            StoreError: the ledger can't be opened.
        """
        self._loop = asyncio.get_running_loop()
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
        job = Job(work, future, size)
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
            self._post([Outcome(opened, None, error)], set())
            return
        self._clock.start(None if mark is None else moment(mark))
        self._post([Outcome(opened, None, None)], set())
        commits = Commits(sql, self._clock, str(self._path))
        try:
            waiting: deque[Job] = deque()
            open_ = True
            while open_ or waiting or self._urgent:
                open_ = open_ and self._gather(waiting, block=not (waiting or self._urgent))
                urgent = _first(self._urgent, GROUP)
                if urgent:
                    # Without savepoints: they cost urgent work more than they would spare it.
                    self._run(commits, urgent, together=True)
                if waiting:
                    self._run(commits, _first(waiting, BETWEEN if urgent else GROUP))
        finally:
            commits.close()

    def _gather(self, waiting: deque[Job], *, block: bool) -> bool:
        """Take over what queued up, waiting for the first if asked to; false once nothing more will come."""
        with suppress(queue.Empty):
            while len(waiting) < GROUP:
                job = self._jobs.get(block=block)
                block = False
                if job is None:
                    return False
                if isinstance(job, Job):
                    waiting.append(job)
        return True

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


def _first(jobs: deque[Job], count: int) -> list[Job]:
    return [jobs.popleft() for _ in range(min(count, len(jobs)))]
