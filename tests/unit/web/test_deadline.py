"""A deadline that many share ends each waiter's own wait, and nobody else's."""

from __future__ import annotations

import asyncio

import pytest

from remediator.web.deadline import SharedDeadline


async def _forever() -> None:
    await asyncio.Event().wait()


async def _soon() -> str:
    await asyncio.sleep(0)
    return "done"


async def test_what_is_in_time_is_left_alone() -> None:
    deadline = SharedDeadline(0.05)
    assert await asyncio.gather(*(deadline.run(_soon()) for _ in range(100))) == ["done"] * 100


async def test_only_those_overdue_are_ended_and_their_tasks_live_on() -> None:
    deadline = SharedDeadline(0.05)

    async def waits() -> str:
        with pytest.raises(TimeoutError):
            await deadline.run(_forever())
        return await deadline.run(_soon())

    assert await asyncio.gather(*(waits() for _ in range(20)), deadline.run(_soon())) == ["done"] * 21


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    waiting = asyncio.create_task(SharedDeadline(60).run(_forever()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_failure_passes_through() -> None:
    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await SharedDeadline(1).run(fails())


async def test_it_ends_again_and_again() -> None:
    deadline = SharedDeadline(0.02)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await deadline.run(_forever())
