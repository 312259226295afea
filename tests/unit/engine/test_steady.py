"""Law 5: no step is taken once it may not, however late its turn comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from remediator.engine.steady import StoppedError, steady


def until(allowed: int) -> Callable[[], bool]:
    """Allows so many steps."""
    asked = iter(range(allowed))
    return lambda: next(asked, None) is not None


async def test_work_that_may_go_on_gives_what_it_gives() -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        return "done"

    assert await steady(work(), lambda: True) == "done"


async def test_what_the_work_raises_is_its_own() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await steady(work(), lambda: True)


@pytest.mark.parametrize("allowed", range(4))
async def test_the_step_that_may_not_be_taken_is_not(allowed: int) -> None:
    steps: list[int] = []

    async def work() -> None:
        for step in range(4):
            steps.append(step)
            await asyncio.sleep(0)

    with pytest.raises(StoppedError):
        await steady(work(), until(allowed))
    assert steps == list(range(allowed))


async def test_what_is_stopped_cleans_up_to_its_end() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(0)
            seen.append("went on")
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append("cleaned up")

    with pytest.raises(StoppedError):
        await steady(work(), until(1))
    assert seen == ["cleaned up"]


async def test_what_its_caller_cancels_is_cancelled_and_cleans_up_though_it_may_not_go_on() -> None:
    may = SimpleNamespace(go_on=True)
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            may.go_on = False
            await asyncio.sleep(0)
            seen.append("cleaned up")

    task = asyncio.ensure_future(steady(work(), lambda: bool(may.go_on)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cleaned up"]


async def test_what_finishes_in_spite_of_it_has_finished() -> None:
    async def work() -> str:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return "in the last moment"
        return "in time"

    assert await steady(work(), until(1)) == "in the last moment"
