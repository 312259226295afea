"""Reading bodies that come in pieces: each up to a limit, and all that are on their way up to another."""

from __future__ import annotations

import asyncio

from aiohttp import web

from remediator.web.ports import Limits


class CrowdedError(Exception):
    """More bytes are on their way than may be in memory at once; this body was not read to its end."""


class Bodies:
    """Reads bodies whole; however many arrive at once, they hold ``limits.arriving_bytes`` at most."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._arriving = 0

    async def read(self, request: web.Request) -> bytes:
        """Read a webhook's body.

        Raises:
            HTTPRequestEntityTooLarge: it is longer than a webhook may be.
            CrowdedError: there is no room for it beside the others.
            TimeoutError: it did not arrive in time.
        """
        told = request.content_length or 0
        self._check(told)
        reserved = 0
        body = bytearray()
        try:
            reserved += self._reserve(told)
            async with asyncio.timeout(self._limits.arrival):
                while piece := await request.content.readany():
                    self._check(len(body) + len(piece))
                    reserved += self._reserve(max(len(body) + len(piece) - reserved, 0))
                    body += piece
            return bytes(body)
        finally:
            self._arriving -= reserved

    def _check(self, size: int) -> None:
        if size > self._limits.webhook_bytes:
            raise web.HTTPRequestEntityTooLarge(self._limits.webhook_bytes)

    def _reserve(self, size: int) -> int:
        if size and self._arriving + size > self._limits.arriving_bytes:
            raise CrowdedError
        self._arriving += size
        return size
