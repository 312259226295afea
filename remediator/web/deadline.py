"""One timer for many waiters: a timer each costs more than checking a small webhook's JSON does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

_Value = TypeVar("_Value")
#: How often overdue waiters are looked for, within the deadline; they may wait that much longer.
_LOOKS = 8


class SharedDeadline:
    """Gives up what takes longer than ``seconds``, up to an eighth late."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[asyncio.Task[object], float] = {}
        self._overdue: set[asyncio.Task[object]] = set()
        self._armed = False

    async def run(self, work: Coroutine[object, object, _Value]) -> _Value:
        """Await ``work`` in the running task.

        Raises:
            TimeoutError: it took too long and was cancelled.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a deadline needs a task to cancel")
        self._since[task] = loop.time()
        if not self._armed:
            self._arm(loop)
        try:
            return await work
        except asyncio.CancelledError:
            # Cancelled by somebody else as well: that goes on.
            if task in self._overdue and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            del self._since[task]
            self._overdue.discard(task)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._armed = True
        loop.call_later(self._seconds / _LOOKS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._armed = False
        latest = loop.time() - self._seconds
        for task, since in self._since.items():
            if since > latest:
                break  # they are in the order in which they came
            if task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        if self._since:
            self._arm(loop)
