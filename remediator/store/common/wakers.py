"""Wakes the loops that wait for work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

from remediator.core.ports.store import Topic

#: How many calls each task has heard, by topic.
_Heard = WeakKeyDictionary["asyncio.Task[Any]", dict[Topic, int]]


class Wakers:
    """Counts the calls of each topic: every task hears of each, even of one that came while it worked."""

    def __init__(self) -> None:
        self._calls = dict.fromkeys(Topic, 0)
        self._next = {topic: asyncio.Event() for topic in Topic}
        self._heard: _Heard = WeakKeyDictionary()

    def wake(self, topics: Iterable[Topic]) -> None:
        for topic in topics:
            self._calls[topic] += 1
            called, self._next[topic] = self._next[topic], asyncio.Event()
            called.set()

    def limit(self, topic: Topic, timeout: timedelta) -> AbstractAsyncContextManager[object]:
        """Raises :class:`TimeoutError` within itself once the time is over, whatever it is waited for."""
        del topic
        return asyncio.timeout(timeout.total_seconds())

    async def wait(self, topic: Topic, timeout: timedelta) -> None:
        task = asyncio.current_task()
        heard = {} if task is None else self._heard.setdefault(task, {})
        if heard.get(topic, 0) == self._calls[topic]:
            try:
                async with self.limit(topic, timeout):
                    await self._next[topic].wait()
            except TimeoutError:
                return
        heard[topic] = self._calls[topic]
