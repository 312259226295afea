"""One HTTP server on a loopback port, which can go away and come back as a real peer does."""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

LOOPBACK = "127.0.0.1"
SHUTDOWN_SECONDS = 1.0
LARGEST_BODY = 32 * 1024 * 1024


class LoopbackServer:
    """Serves one handler on `127.0.0.1`; the port stays the same from the first start on.

    `closing` is set before the server stops, so that a handler which hangs on purpose can let go. With `tls`
    it speaks HTTPS.
    """

    def __init__(self, handler: Handler, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.closing = asyncio.Event()
        self._handler = handler
        self._port = port
        self._tls = tls
        self._runner: web.ServerRunner | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self._port}"

    async def up(self) -> None:
        """Start listening; does nothing when it already does."""
        if self._runner is not None:
            return
        self.closing.clear()
        server = web.Server(self._handler, request_factory=_request, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        site = web.TCPSite(runner, LOOPBACK, self._port, ssl_context=self._tls, reuse_address=True)
        await site.start()
        self._port = int(runner.addresses[0][1])
        self._runner = runner

    async def down(self) -> None:
        """Stop listening and drop every connection, so that clients are refused; `up` brings it back."""
        runner, self._runner = self._runner, None
        if runner is not None:
            self.closing.set()
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()


class Served(ABC):
    """A stand-in that serves on loopback for as long as it is entered, and may be out of reach meanwhile."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._server = LoopbackServer(self._handle, tls=tls)

    @abstractmethod
    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""

    async def __aenter__(self) -> Self:
        await self._server.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.down()

    async def down(self) -> None:
        """Refuse connections until `up`."""
        await self._server.down()

    async def up(self) -> None:
        """Take connections again."""
        await self._server.up()


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    # web.Server builds requests with aiohttp's 1 MiB limit, and offers no other way to raise it
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY)
