"""What was handed out is held on to while it is worked on, and left alone once another may have it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from remediator.core.ports.store import StoreUnavailableError
from remediator.engine.claims import Claim, ClaimLostError

LENGTH = timedelta(seconds=0.3)


class _Ledger:
    """Answers as it is told to; ``asked`` counts how often it was."""

    def __init__(self, *, holds: bool = True, gone: bool = False) -> None:
        self.asked = 0
        self.holds = holds
        self.gone = gone

    async def hold(self, length: timedelta) -> bool:
        assert length == LENGTH
        self.asked += 1
        if self.gone:
            raise StoreUnavailableError("gone")
        return self.holds


def claim(ledger: _Ledger) -> Claim:
    return Claim(ledger.hold, LENGTH, asyncio.get_running_loop().time())


class _Work:
    """Goes on step by step until it is cancelled, or told to end."""

    def __init__(self) -> None:
        self.ends = asyncio.Event()
        self.steps = 0

    async def __call__(self) -> str:
        while not self.ends.is_set():
            self.steps += 1
            await asyncio.sleep(0.01)
        return "done"


async def test_work_that_takes_longer_than_its_claim_keeps_it() -> None:
    ledger, work = _Ledger(), _Work()
    asyncio.get_running_loop().call_later(5 * LENGTH.total_seconds(), work.ends.set)
    assert await claim(ledger).during(work()) == "done"
    assert ledger.asked >= 3


@pytest.mark.parametrize("ledger", [_Ledger(holds=False), _Ledger(gone=True)], ids=["taken", "gone"])
async def test_what_another_may_have_is_stopped(ledger: _Ledger) -> None:
    work = _Work()
    async with asyncio.timeout(10):
        with pytest.raises(ClaimLostError):
            await claim(ledger).during(work())
    assert ledger.asked


async def test_after_a_pause_of_the_whole_process_no_step_is_taken() -> None:
    """As SIGSTOP does: the loop may run the work before it looks at its timers."""
    work = _Work()

    async def pausing() -> str:
        await asyncio.sleep(0)
        time.sleep(LENGTH.total_seconds())  # noqa: ASYNC251 - the process itself stands still
        await asyncio.sleep(0)
        return await work()

    with pytest.raises(ClaimLostError):
        await claim(_Ledger()).during(pausing())
    assert work.steps == 0


async def test_what_the_work_raises_is_its_own() -> None:
    async def failing() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await claim(_Ledger()).during(failing())
