"""A TCP proxy on loopback that loses replies and delays requests, TLS or not, at a chosen moment."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK = 1 << 16


@dataclass(slots=True)
class _Connection:
    client: asyncio.StreamReader
    to_client: asyncio.StreamWriter
    server: asyncio.StreamReader
    to_server: asyncio.StreamWriter
    cutting: bool = False

    def abort(self) -> None:
        self.to_client.transport.abort()
        self.to_server.transport.abort()


class Proxy:
    """Passes connections on to `url`. A fault is armed for what a client sends next, on any connection.

    `cuts` counts what was kept from its receiver; `holding` is set while a request is held.
    """

    def __init__(self, url: str) -> None:
        self.cuts = 0
        self.holding = asyncio.Event()
        self._to = urlsplit(url)
        self._server: asyncio.Server
        self._serving: set[asyncio.Task[None]] = set()
        self._cut_next = False
        self._refuse_next = False
        self._held: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """The same URL by way of this proxy."""
        host, port = self._server.sockets[0].getsockname()[:2]
        return self._to._replace(netloc=f"{host}:{port}").geturl()

    def cut_next_reply(self) -> None:
        """Let the next request through; once the server answers it, cut the connection instead."""
        self._cut_next = True

    def cut_next_request(self) -> None:
        """Cut the connection when the next request comes, and let nothing of it through."""
        self._refuse_next = True

    def hold_next_request(self) -> asyncio.Event:
        """Keep the next request, and all that follows on its connection, until the returned event is set."""
        self._held = asyncio.Event()
        return self._held

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        # in a task of ours, since asyncio reports one of its own that is cancelled
        task = asyncio.create_task(self._pass(client, to_client))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _pass(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self._to.hostname, self._to.port)
        connection = _Connection(client, to_client, server, to_server)
        try:
            async with asyncio.TaskGroup() as both:
                replies = both.create_task(self._pass_replies(connection))
                await self._pass_requests(connection)
                replies.cancel()
        finally:
            connection.abort()

    async def _pass_requests(self, connection: _Connection) -> None:
        with suppress(ConnectionError):
            while data := await connection.client.read(CHUNK):
                if self._held is not None:
                    held, self._held = self._held, None
                    self.holding.set()
                    await held.wait()
                    self.holding.clear()
                if self._refuse_next:
                    self._refuse_next = False
                    self.cuts += 1
                    break
                if self._cut_next:
                    self._cut_next, connection.cutting = False, True
                connection.to_server.write(data)
                await connection.to_server.drain()

    async def _pass_replies(self, connection: _Connection) -> None:
        with suppress(ConnectionError):
            while data := await connection.server.read(CHUNK):
                if connection.cutting:
                    self.cuts += 1
                    break
                if not connection.to_client.is_closing():
                    connection.to_client.write(data)
        connection.to_client.transport.abort()
