"""Work that takes no further step once it may not: what stalled or was stopped for a while notices first.

A timer alone is not enough for that. After a pause the loop may go on with the work before it looks at its
timers, and that very step may be the one that writes.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

_T = TypeVar("_T")


class StoppedError(Exception):
    """The work was cancelled, and has ended, because it may not go on."""


@types.coroutine
def steady(work: Coroutine[Any, Any, _T], may_go_on: Callable[[], bool]) -> Generator[Any, Any, _T]:
    """Do the work, and ask before each of its steps whether it may be taken; if not, cancel the work.

    A step is what runs between two waits. Once the work is being cancelled, by this or by its caller, its
    cleanup is left to run to its end.

    Raises:
        StoppedError: it was cancelled here.
    """
    raised: BaseException | None = None
    sent: Any = None
    stopped = cancelled = False
    while True:
        if not (stopped or cancelled or may_go_on()):
            stopped, raised = True, asyncio.CancelledError()
        try:
            waits_for = work.throw(raised) if raised is not None else work.send(sent)
        except StopIteration as done:
            result: _T = done.value
            return result
        except asyncio.CancelledError:
            if stopped and not cancelled:
                raise StoppedError from None
            raise
        raised = sent = None
        try:
            sent = yield waits_for
        except BaseException as error:  # noqa: BLE001 - whatever the wait came to is the work's to judge
            raised = error
            cancelled = cancelled or isinstance(error, asyncio.CancelledError | GeneratorExit)
