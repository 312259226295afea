"""Whoever outside waits for heartbeats: an HTTP server that counts them."""

from __future__ import annotations

from aiohttp import web

from remediator.sandbox.serving import Served


class HeartbeatReceiver(Served):
    """Answers with `status`; `beats` are the requests that came, as method and path."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.beats: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        """With a path that nobody should be told."""
        return f"{self._server.url}/ping/s3cr3t-value"

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        self.beats.append((http.method, http.path))
        return web.Response(status=self.status, text="OK")
