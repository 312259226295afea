"""Peers that answer as no Slack would: a fixed answer to everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from remediator.sandbox.serving import LoopbackServer


@asynccontextmanager
async def answering(
    status: int, body: str | bytes, content_type: str = "text/plain", headers: dict[str, str] | None = None
) -> AsyncIterator[str]:
    """The URL of a server that answers every request alike."""
    content = body.encode() if isinstance(body, str) else body

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.Response(status=status, body=content, content_type=content_type, headers=headers)

    async with LoopbackServer(handle) as server:
        yield server.url
