"""Many webhooks to a commit: those that come in while one is under way share the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import zstandard

from remediator.core.ports.store import StoreError, StoreUnavailableError

#: How many webhooks, and bytes of bodies, share a commit at most: bounds what the first waits for the rest.
_GROUP, _GROUP_BYTES = 256, 8 << 20
#: Bytes that may wait in all: a stalled database must not fill the memory.
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Packed:
    """A webhook as it is kept: its body in zstd, and the size of the plain one."""

    source: str
    size: int
    body: bytes


def pack(told: Sequence[tuple[str, bytes]]) -> list[Packed]:
    """Bodies by their sources, as they are kept."""
    compress = zstandard.ZstdCompressor(level=1).compress
    return [Packed(source, len(body), compress(body)) for source, body in told]


@dataclass(frozen=True, slots=True)
class _Waiting:
    source: str
    body: bytes
    saved: asyncio.Future[None]


class WebhookGroups:
    """Saves webhooks in groups, in the order in which they came, and answers when theirs is durable."""

    def __init__(self, save: Callable[[list[Packed]], Awaitable[None]]) -> None:
        self._save = save
        self._queue: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self._bytes = 0

    async def add(self, source: str, body: bytes) -> None:
        if self._bytes and self._bytes + len(body) > _MOST_BYTES:
            message = f"the ledger is behind: {self._bytes} bytes wait to be written"
            raise StoreUnavailableError(message)
        waiting = _Waiting(source, body, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._bytes += len(body)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain(), name="ledger webhooks")
        try:
            await waiting.saved
        finally:
            self._bytes -= len(body)

    async def close(self) -> None:
        """Wait until all that came in is answered; who is cancelled meanwhile fails what is left."""
        if self._task is not None:
            await self._task

    async def _drain(self) -> None:
        try:
            while self._queue:
                await self._flush(self._next_group())
        except BaseException:
            _fail(list(self._queue), StoreUnavailableError("the ledger was closed before this was saved"))
            self._queue.clear()
            raise

    def _next_group(self) -> list[_Waiting]:
        group = [self._queue.popleft()]
        size = len(group[0].body)
        while self._queue and len(group) < _GROUP and size + len(self._queue[0].body) <= _GROUP_BYTES:
            size += len(self._queue[0].body)
            group.append(self._queue.popleft())
        return group

    async def _flush(self, came: list[_Waiting]) -> None:
        # Who was cancelled before its turn has told that it was not saved, and may come again.
        group = [waiting for waiting in came if not waiting.saved.done()]
        if not group:
            return
        try:
            told = [(waiting.source, waiting.body) for waiting in group]
            await self._save(await asyncio.to_thread(pack, told))
        except StoreUnavailableError as error:
            _fail(group, error)
        except StoreError as error:
            if len(group) == 1:
                _fail(group, error)
                return
            # One of them is refused: the others must not pay for it.
            for waiting in group:
                await self._flush([waiting])
        except BaseException as error:
            # Whatever it is, nobody may wait for ever.
            _fail(group, StoreUnavailableError(f"the webhook was not saved: {error!r}"))
            raise
        else:
            for waiting in group:
                if not waiting.saved.done():
                    waiting.saved.set_result(None)


def _fail(group: list[_Waiting], error: StoreError) -> None:
    for waiting in group:
        if not waiting.saved.done():
            # Each its own: an exception that is raised twice gathers both tracebacks.
            failure = type(error)(str(error))
            failure.__cause__ = error
            waiting.saved.set_exception(failure)
