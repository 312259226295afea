"""Transactions on PostgreSQL: within a deadline, tried again after what passes, never done twice.

A transaction whose connection broke before its COMMIT was sent is rolled back by the server, and tried
again. Once COMMIT is out its answer may be lost, so each transaction leaves its id in ``ledger_commits``. Who
lost the answer inserts the same id on another connection: PostgreSQL lets that statement wait for the first
transaction to end, and then tells which of the two came first. If it was the question, the transaction can
commit no more.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.connection import Connection as RawConnection
from asyncpg.pool import Pool

from remediator.core.ports.store import StoreError, StoreUnavailableError, Topic
from remediator.store.common.codecs import moment
from remediator.store.common.unread import Unread
from remediator.store.postgres.address import checked, servers, shown
from remediator.store.postgres.clock import ToldTime
from remediator.store.postgres.failures import (
    IO_ERRORS,
    Failure,
    judge,
    needs_another_server,
    surely_rolled_back,
)
from remediator.store.postgres.transaction import Connection, Lock, Transaction, Work

T = TypeVar("T")

#: A call of the ledger is given up after this long, whatever it waits for.
DEADLINE = timedelta(seconds=10)
#: How many statements may run at once. The database has one ledger's worth of work, however many ask.
_CONNECTIONS = 10
#: How many of those may queue up for the ledger's locks. The rest is for what needs none, renewals above all.
_QUEUEING = 6
#: The longest pause between two tries, in seconds.
_LONGEST_PAUSE = 0.5

#: How long statements that are under way may take when the ledger is closed, in seconds.
_CLOSING = 2.0

_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# One that wrote nothing leaves nothing: it costs no flush of the disk, and may be repeated at will.
_KEEP_AND_COMMIT = (
    "INSERT INTO ledger_commits (id, at, happened) SELECT '{}', {}, true"
    " WHERE pg_current_xact_id_if_assigned() IS NOT NULL; COMMIT"
)
_ASK = (
    "INSERT INTO ledger_commits (id, at, happened) VALUES ($1, remediator_now(), false)"
    " ON CONFLICT (id) DO UPDATE SET at = ledger_commits.at RETURNING happened"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a transaction needs: whether it writes, and which lock it holds, alone or with others."""

    lock: Lock | None = None
    shared: bool = False
    writes: bool = True

    @property
    def begin(self) -> str:
        if not self.writes:
            return _BEGIN_READING
        if self.lock is None:
            return "BEGIN"
        take = "pg_advisory_xact_lock_shared" if self.shared else "pg_advisory_xact_lock"
        return f"BEGIN; SELECT {take}({self.lock.value})"


READS = Kind(writes=False)
WRITES = Kind()


@dataclass(slots=True)
class _Commit:
    """A transaction's id, and once its COMMIT is out, what it answers if that was done.

    ``at`` is its time if it wrote an event, and so surely left its id.
    """

    id: UUID
    sent: bool = False
    at: datetime | None = None
    result: Any = None
    topics: set[Topic] = field(default_factory=set)


class Database:
    """The ledger's connections, and the running of work on them."""

    def __init__(
        self, url: str, committed: Callable[[set[Topic]], None], deadline: timedelta, clock: ToldTime
    ) -> None:
        self._url = checked(url)
        self.shown = shown(url)
        self.clock = clock
        self.claimer = uuid4()
        self._unread = Unread()
        self._committed = committed
        self._deadline = deadline.total_seconds()
        self._pool: Pool[Any] | None = None
        self._queueing = asyncio.Semaphore(_QUEUEING)
        #: The latest commits that were answered, and when they were: as many as may be under way at once.
        self.kept: deque[tuple[UUID, datetime]] = deque(maxlen=_CONNECTIONS)

    async def open(self) -> None:
        """Begin to take work; a connection is made when it is needed."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=_CONNECTIONS,
            reset=_leave_as_it_is,
            connect=self.connect,
        )

    async def connect(self, *_args: object, **_given: object) -> RawConnection[Any]:
        """A new connection with the ledger's limits on it, to the first of its servers that will do."""
        each = servers(self._url)
        last: BaseException | None = None
        for url in each:
            try:
                return await self._connect_to(url, self._deadline / 2 / len(each))
            except IO_ERRORS as error:
                last = error
        raise last or AssertionError

    async def _connect_to(self, url: str, timeout: float) -> RawConnection[Any]:
        statement = self._deadline / 2
        millis = str(int(statement * 1000))
        connection: RawConnection[Any] = await asyncpg.connect(
            url,
            timeout=timeout,
            command_timeout=statement * 1.2,
            statement_cache_size=256,
            target_session_attrs=None if "target_session_attrs" in self._url else SessionAttribute.read_write,
            server_settings={
                "application_name": "remediator",
                "statement_timeout": millis,
                # A replica that was stopped in a transaction must not keep its locks from the others.
                "idle_in_transaction_session_timeout": millis,
                # 2xx means that it is on the disk, whatever the database's default is.
                "synchronous_commit": "on",
                "jit": "off",
            },
        )
        return connection

    @property
    def is_open(self) -> bool:
        return self._pool is not None

    async def prepare(self, step: Callable[[RawConnection[Any], str], Awaitable[None]]) -> None:
        """Run a step before work begins, on a connection of its own and for as long as it takes.

        Raises:
            StoreError: the database refuses this user, is not there, or the step says so.
            StoreUnavailableError: it can't be reached.
        """
        connection = await self._first_connection()
        try:
            await step(connection, self.shown)
        except IO_ERRORS as error:
            raise self._opening_failed(error) from error
        finally:
            connection.terminate()

    async def _first_connection(self) -> RawConnection[Any]:
        last: BaseException | None = None
        try:
            async with asyncio.timeout(self._deadline):
                for pause in _pauses():
                    try:
                        return await self.connect()
                    except IO_ERRORS as error:
                        last = error
                        if judge(error) is not Failure.AGAIN:
                            raise self._opening_failed(error) from error
                    await asyncio.sleep(pause)
        except TimeoutError as error:
            raise self._opening_failed(last or error) from error
        raise AssertionError  # pauses never end

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_CLOSING):
                await pool.close()
        except (TimeoutError, *IO_ERRORS):
            pool.terminate()

    async def read(self, work: Work[T]) -> T:
        """Run work on one snapshot of the ledger."""
        return await self.run(work, READS)

    async def write(self, work: Work[T], lock: Lock | None = None, *, shared: bool = False) -> T:
        """Run work, and answer once it is durable; only then are those woken who wait for its topics."""
        return await self.run(work, Kind(lock, shared))

    async def run(self, work: Work[T], kind: Kind) -> T:
        """Run work as one transaction.

        Raises:
            StoreError: the database refused what it was given.
            StoreUnavailableError: it could not be reached, or did not answer in time.
        """
        if self._pool is None:
            message = f"the ledger {self.shown} is not open"
            raise StoreUnavailableError(message)
        last: BaseException | None = None
        try:
            async with asyncio.timeout(self._deadline):
                for pause in _pauses():
                    try:
                        async with self._queueing if kind.lock is not None else nullcontext():
                            return await self._once(self._pool, work, kind)
                    except IO_ERRORS as error:
                        last = error
                        await self._pass_over(error)
                    await asyncio.sleep(pause)
        except TimeoutError as error:
            message = f"the ledger {self.shown} did not answer within {self._deadline:g} s" + _because(last)
            raise StoreUnavailableError(message) from error
        raise AssertionError  # pauses never end

    async def _pass_over(self, error: BaseException) -> None:
        """Go on after an error that passes; raise what others mean."""
        match judge(error):
            case Failure.REFUSED:
                message = f"the ledger refused a write: {error}"
                raise StoreError(message) from error
            case Failure.UNAVAILABLE:
                message = f"the ledger {self.shown} can't be written: {error}"
                raise StoreUnavailableError(message) from error
        if needs_another_server(error) and self._pool is not None:
            await self._pool.expire_connections()

    async def _once(self, pool: Pool[Any], work: Work[T], kind: Kind) -> T:
        commit = _Commit(uuid4())
        try:
            await self._transact(pool, work, kind, commit)
        except IO_ERRORS as error:
            unknown = commit.sent and not surely_rolled_back(error)
            if not unknown or not await self._happened(pool, commit.id):
                raise
        if commit.at is not None:
            self.kept.append((commit.id, commit.at))
        self._committed(commit.topics)
        result: T = commit.result
        return result

    async def _transact(self, pool: Pool[Any], work: Work[T], kind: Kind, commit: _Commit) -> None:
        async with _borrowed(pool) as connection:
            await connection.execute(kind.begin)
            now = moment(await connection.fetchval("SELECT remediator_now()"))
            self.clock.hear(now)
            transaction = Transaction(connection, now, self.claimer, commit.topics, unread=self._unread)
            commit.result = await work(transaction)
            commit.at = now if transaction.events else None
            await transaction.write_events()
            if kind.writes:
                commit.sent = True
                await connection.execute(_KEEP_AND_COMMIT.format(commit.id, transaction.micros))
            else:
                await connection.execute("COMMIT")

    async def _happened(self, pool: Pool[Any], commit: UUID) -> bool:
        for pause in _pauses():
            with suppress(*IO_ERRORS):
                async with _borrowed(pool) as connection:
                    return bool(await connection.fetchval(_ASK, commit))
            await asyncio.sleep(pause)
        raise AssertionError  # pauses never end

    def _opening_failed(self, error: BaseException) -> StoreError:
        if isinstance(
            error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError
        ):
            return StoreError(
                f"the ledger {self.shown} can't be opened: {error}; set REMEDIATOR_STORE, and give its user"
                " the right to connect"
            )
        if isinstance(error, ValueError) and not isinstance(error, asyncpg.PostgresError):
            return StoreError(
                f"the ledger {self.shown} can't be opened: its URI has a part that is not understood"
            )
        return StoreUnavailableError(f"the ledger {self.shown} can't be reached{_because(error)}")


@asynccontextmanager
async def _borrowed(pool: Pool[Any]) -> AsyncIterator[Connection]:
    """A connection of the pool; whatever is under way on it when it fails is rolled back."""
    connection = await pool.acquire()
    try:
        yield connection
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        _abandon(connection)
        raise
    except Exception:
        await _roll_back(connection)
        raise
    except BaseException:
        # The caller waits no more: the server finds the connection closed, and rolls back.
        _abandon(connection)
        raise
    finally:
        with suppress(*IO_ERRORS):
            await pool.release(connection)


async def _roll_back(connection: Connection) -> None:
    try:
        await connection.execute("ROLLBACK")
    except BaseException as error:
        _abandon(connection)
        if not isinstance(error, IO_ERRORS):
            raise


def _abandon(connection: Connection) -> None:
    # One that broke by itself has left the pool already, and says so.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _leave_as_it_is(_connection: object) -> None:
    """Transactions leave nothing behind that would have to be reset, so no exchange is spent on it."""


def _pauses() -> Iterator[float]:
    """Seconds to wait before each further try: longer and longer, and no two replicas in step."""
    pause = 0.01
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
        pause = min(2 * pause, _LONGEST_PAUSE)


def _because(error: BaseException | None) -> str:
    return "" if error is None else f": {str(error) or type(error).__name__}"
