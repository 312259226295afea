"""A wire between the store and PostgreSQL that tests cut, hold and slow."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_COMMIT = b"; COMMIT\x00"


class At(Enum):
    """What happens to the next COMMIT that changes the ledger."""

    LOST = auto()  # the connection breaks before it arrives
    UNANSWERED = auto()  # it is done, and the answer does not arrive
    LATE = auto()  # the connection breaks, and it arrives much later


class Wire:
    """A TCP port that leads to the server's socket."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._socket = Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432"
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._plan: list[At] = []
        self.struck: list[At] = []
        #: Set to let LATE commits go on.
        self.release = asyncio.Event()
        #: Cleared, nothing gets through in either direction.
        self.flows = asyncio.Event()
        self.flows.set()

    async def open(self) -> str:
        """The URI by which the database is reached through here."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"postgresql://postgres@127.0.0.1:{port}{self._path}"

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    def strike(self, *at: At) -> None:
        self._plan.extend(at)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        self._go(self._up(reader, up_writer, writer))
        self._go(self._down(up_reader, writer, up_writer))

    def _go(self, work: asyncio.Future[None] | object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]  # a coroutine
        self._tasks.add(task)

    async def _up(
        self, reader: asyncio.StreamReader, up: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while data := await _read(reader):
            await self.flows.wait()
            if self._plan and data.endswith(_COMMIT):
                await self._break(self._plan.pop(0), data, up, client)
                return
            up.write(data)
        up.transport.abort()

    async def _break(
        self, at: At, data: bytes, up: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        self.struck.append(at)
        if at is not At.UNANSWERED:
            client.transport.abort()
        if at is At.LATE:
            await self.release.wait()
        if at is At.LOST:
            up.transport.abort()
        else:
            up.write(data)
            await up.drain()
        if at is At.UNANSWERED:
            client.transport.abort()

    async def _down(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, _up: asyncio.StreamWriter
    ) -> None:
        while data := await _read(reader):
            await self.flows.wait()
            if not client.transport.is_closing():
                client.write(data)
        client.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(1 << 16)
    except OSError:
        return b""
