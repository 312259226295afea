"""Tells the other replicas what was committed, and hears from them, by LISTEN and NOTIFY.

It tells after the commit and in a transaction of its own: a NOTIFY within would make all commits of the
database queue up for one lock. What gets lost on the way is found by those who look again after a while.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

from asyncpg.connection import Connection

from remediator.core.ports.store import Topic
from remediator.store.postgres.failures import IO_ERRORS

_CHANNEL = "remediator"
#: How often a quiet connection is tried, and how long one waits before the next after a broken one (seconds).
_HEARTBEAT, _PAUSE = 15.0, 0.5
#: How long a connection may be too busy to delete old rows of ``ledger_commits`` (seconds).
_FORGET_EVERY = 60.0
#: They are asked about within seconds; an hour later nobody is left who could. The time is read once, since
#: no index helps to compare with a volatile function.
_FORGET = "DELETE FROM ledger_commits WHERE at < (SELECT remediator_now() - 3600000000)"


class Wire:
    """One connection, made anew for as long as it takes."""

    def __init__(
        self,
        me: UUID,
        connect: Callable[[], Awaitable[Connection[Any]]],
        hear: Callable[[Iterable[Topic]], None],
    ) -> None:
        self._me = str(me)
        self._connect = connect
        self._hear = hear
        self._untold: set[Topic] = set()
        self._stir = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._forgot_at = -math.inf

    def open(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="ledger wire")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def tell(self, topics: Iterable[Topic]) -> None:
        self._untold.update(topics)
        if self._untold:
            self._stir.set()

    async def _run(self) -> None:
        while True:
            with suppress(*IO_ERRORS):
                connection = await self._connect()
                try:
                    await self._serve(connection)
                finally:
                    connection.terminate()
            await asyncio.sleep(_PAUSE)

    async def _serve(self, connection: Connection[Any]) -> None:
        connection.add_termination_listener(lambda _connection: self._stir.set())
        await connection.add_listener(_CHANNEL, self._on_notify)
        # Whatever was told while nobody listened.
        self._hear(Topic)
        while not connection.is_closed():
            with suppress(TimeoutError):
                async with asyncio.timeout(_HEARTBEAT):
                    await self._stir.wait()
            self._stir.clear()
            quiet = not self._untold
            if not quiet:
                await self._send(connection)
            if quiet or asyncio.get_running_loop().time() - self._forgot_at >= _FORGET_EVERY:
                await self._forget(connection)

    async def _forget(self, connection: Connection[Any]) -> None:
        await connection.execute(_FORGET)
        self._forgot_at = asyncio.get_running_loop().time()

    async def _send(self, connection: Connection[Any]) -> None:
        topics, self._untold = self._untold, set()
        told = [f"{self._me} {topic}" for topic in topics]
        await connection.execute("SELECT pg_notify($1, said) FROM unnest($2::text[]) said", _CHANNEL, told)

    def _on_notify(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        sender, _, topic = str(payload).partition(" ")
        if sender != self._me and topic in set(Topic):
            self._hear([Topic(topic)])
