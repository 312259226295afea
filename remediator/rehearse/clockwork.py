"""Virtual time: one queue for everything that happens, and an event loop of its own for each process.

Nothing waits: when nothing is ready, time jumps to the next timer. A process that is frozen keeps what became
due until it is thawed, as a stopped process finds its sockets full and its timers overdue; what was due in
one that is dead never happens. Nothing is left to chance: the same calls give the same history.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: When time begins, unless something else is said.
EPOCH = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
#: More than this at one instant is a loop that never waits.
_MOST_AT_ONCE = 20_000
#: How often a coroutine of a dead process is closed before it is left alone: once for each waiting `finally`.
_CLOSINGS = 20
#: From so many on, those that are done are forgotten.
_MANY_TASKS = 500


class StuckError(Exception):
    """Something happens for ever without time passing, or nothing more can happen at all."""


class Node(asyncio.AbstractEventLoop):
    """One process' event loop; it has no sockets and no threads."""

    def __init__(self, clockwork: Clockwork, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen = False
        self._clockwork = clockwork
        self._tasks: list[asyncio.Task[Any]] = []
        self._overdue: list[tuple[bool, asyncio.Handle]] = []

    def freeze(self) -> None:
        """Stop it as SIGSTOP does."""
        self.frozen = True

    def thaw(self, *, timers_first: bool) -> None:
        """Go on; what had become due is done now, what came in and timers in either order."""
        self.frozen = False
        came = [handle for timer, handle in self._overdue if timer is timers_first]
        came += [handle for timer, handle in self._overdue if timer is not timers_first]
        self._overdue.clear()
        for handle in came:
            self._clockwork.soon(self, handle)

    def kill(self) -> None:
        """End it as SIGKILL does: nothing of it happens any more, not even what it would do at its end."""
        self.alive = False
        self._overdue.clear()

    def keep(self, handle: asyncio.Handle, *, timer: bool) -> None:
        """Keep what became due while it is frozen."""
        self._overdue.append((timer, handle))

    def bury(self) -> None:
        """Take its coroutines apart once nobody looks any more, so that none complains of being forgotten."""
        self.alive = False
        while self._tasks:  # some begin others at their end
            task = self._tasks.pop()
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined] # asyncio's own switch
                _close(task.get_coro())

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._clockwork.now

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._clockwork.soon(self, handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._clockwork.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._clockwork.at(when, self, timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time comes."""

    def run_in_executor(
        self, executor: object, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """There are no threads: it is done at once."""
        del executor
        future: asyncio.Future[T] = asyncio.Future(loop=self)
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is whoever waits that has to hear of it
            future.set_exception(error)
        return future

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def begin(self, coroutine: Coroutine[Any, Any, object]) -> None:
        """Start a task that nobody waits for; an error that ends it is one of the node's failures."""
        self.create_task(coroutine).add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.call_exception_handler({"message": f"task {task.get_name()}", "exception": error})

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > _MANY_TASKS:
            self._tasks = [each for each in self._tasks if not each.done()]
        return task

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.alive:
            self._clockwork.failed(f"{self.name}: {context['message']}", context.get("exception"))


class Clockwork:
    """What happens next, and when: ``now`` are seconds since ``began``."""

    def __init__(self, began: datetime = EPOCH) -> None:
        self.began = began
        self.now = 0.0
        self._ready: deque[tuple[Node, asyncio.Handle]] = deque()
        self._timers: list[tuple[float, int, Node, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        self._nodes: list[Node] = []
        #: Called with what failed, and why, when nobody else would hear of it.
        self.failed: Callable[[str, object], None] = lambda _what, _why: None

    def node(self, name: str) -> Node:
        """A new process."""
        node = Node(self, name)  # type: ignore[abstract] # what it lacks nothing here asks for
        self._nodes.append(node)
        return node

    @property
    def wall(self) -> datetime:
        """The time that clocks on walls show."""
        return self.began + timedelta(seconds=self.now)

    def soon(self, node: Node, handle: asyncio.Handle) -> None:
        self._ready.append((node, handle))

    def at(self, when: float, node: Node, timer: asyncio.TimerHandle) -> None:
        heapq.heappush(self._timers, (when, next(self._order), node, timer))

    def run(self, until: asyncio.Future[Any]) -> None:
        """Let things happen until the future is done.

        Raises:
            StuckError: that can never be, or time would never pass.
        """
        before = events._get_running_loop()
        try:
            while not until.done():
                self._advance()
                self._do_what_is_ready(until)
        finally:
            events._set_running_loop(before)

    def close(self) -> None:
        """Forget everything."""
        for node in self._nodes:
            events._set_running_loop(node)
            node.bury()
        events._set_running_loop(None)
        self._ready.clear()
        self._timers.clear()

    def _advance(self) -> None:
        """Take up the timers that are due; when nothing else is left to do, let time pass to the next."""
        if not self._ready:
            if not self._timers:
                raise StuckError("nothing can happen any more")
            self.now = max(self.now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self.now:
            _, _, node, timer = heapq.heappop(self._timers)
            if timer.cancelled() or not node.alive:
                continue
            if node.frozen:
                node.keep(timer, timer=True)
            else:
                self._ready.append((node, timer))

    def _do_what_is_ready(self, until: asyncio.Future[Any]) -> None:
        for _ in range(_MOST_AT_ONCE):
            if not self._ready or until.done():
                return
            node, handle = self._ready.popleft()
            if handle.cancelled() or not node.alive:
                continue
            if node.frozen:
                node.keep(handle, timer=False)
                continue
            events._set_running_loop(node)
            handle._run()
        raise StuckError(f"{_MOST_AT_ONCE} things happened at {self.now:.3f}, and more are to come")


def _close(coroutine: Any) -> None:
    for _ in range(_CLOSINGS):
        try:
            coroutine.close()
        except RuntimeError:  # a `finally` waits for something
            continue
        except Exception:  # noqa: BLE001 - whatever it says at its end, nobody hears it
            return
        return
