"""Whoever outside waits for heartbeats: an HTTP server that counts them."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aiohttp import web

from remediator.sandbox.serving import LoopbackServer


class HeartbeatReceiver:
    """Answers with `status`; `beats` are the requests that came, as method and path."""

    def __init__(self) -> None:
        self.status = 200
        self.beats: list[tuple[str, str]] = []
        self._server = LoopbackServer(self._take)

    async def __aenter__(self) -> Self:
        await self._server.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.down()

    @property
    def url(self) -> str:
        """With a path that nobody should be told."""
        return f"{self._server.url}/ping/s3cr3t-value"

    async def down(self) -> None:
        """Refuse connections."""
        await self._server.down()

    async def _take(self, request: web.BaseRequest) -> web.Response:
        self.beats.append((request.method, request.path))
        return web.Response(status=self.status, text="OK")
