"""Wakes the loops that wait for work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from remediator.core.ports.store import Topic


class Wakers:
    """One flag per topic: it stays up until somebody has seen it, so that no call is lost in between."""

    def __init__(self) -> None:
        self._flags = {topic: asyncio.Event() for topic in Topic}

    def wake(self, topics: Iterable[Topic]) -> None:
        for topic in topics:
            self._flags[topic].set()

    async def wait(self, topic: Topic, timeout: timedelta) -> None:
        flag = self._flags[topic]
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await flag.wait()
        except TimeoutError:
            return
        flag.clear()
