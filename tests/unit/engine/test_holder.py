"""Law 5: a lease is renewed at a third of its TTL, and the work under it ends before the lease can."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
import uvloop

from remediator.core.ids import Owner, RunId, Token
from remediator.core.leases import Demand, Held, Lease, Preempted
from remediator.core.ports.store import Store, StoreUnavailableError, Topic
from remediator.engine.leases import Holder, LeaseLostError, PreemptedError
from tests.unit.core.values import CART
from tests.unit.engine.fast import ClockStore, in_no_time, passed

TTL = timedelta(seconds=15)


class Ledger(ClockStore):
    """Gives leases, and answers each renewal with the next word of its script, the last one for ever."""

    def __init__(self, *script: str) -> None:
        self._script = [*script[:-1]]
        self._last = script[-1]
        self._tokens = itertools.count(1)
        self.shared = False
        self.woken = asyncio.Event()
        self.renewed: list[tuple[float, int]] = []
        self.released: list[int] = []

    async def acquire(self, run: RunId, owner: Owner, ttl: timedelta, _demand: Demand) -> Lease | Held:
        until = await self.now() + ttl
        return Lease(CART, run, owner, Token(next(self._tokens)), until, self.shared)

    async def renew(self, lease: Lease, ttl: timedelta) -> Lease | Preempted | None:
        word = self._script.pop(0) if self._script else self._last
        self.renewed.append((round(passed(), 3), lease.token))
        if word == "hangs":
            await asyncio.sleep(3600)
        if word == "fails":
            message = "gone"
            raise StoreUnavailableError(message)
        if word == "slow":
            await asyncio.sleep(1)
        if word == "preempted":
            return Preempted(RunId("r-2"), lease.expires_at)
        return None if word == "lost" else replace(lease, expires_at=await self.now() + ttl)

    async def wait(self, topic: Topic, timeout: timedelta) -> None:
        assert topic is Topic.LEASES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout.total_seconds()):
                await self.woken.wait()
        self.woken.clear()

    async def release(self, lease: Lease) -> None:
        self.released.append(lease.token)


def holder(ledger: Ledger) -> Holder:
    return Holder(cast("Store", ledger), Owner("me"), RunId("r-1"), TTL)


async def cancelled_at(ledger: Ledger) -> float:
    """When work that would take for ever is cancelled."""
    mine, at = holder(ledger), []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            at.append(passed())

    await mine.acquire()
    with pytest.raises(LeaseLostError):
        await mine.keep_during(work())
    assert mine.lease is None
    return at[0]


def test_a_lease_is_renewed_at_a_third_of_its_ttl_for_as_long_as_the_work_takes() -> None:
    async def scene() -> None:
        ledger = Ledger("renews")
        mine = holder(ledger)
        await asyncio.sleep(100)
        await mine.acquire()
        await mine.keep_during(asyncio.sleep(22))
        assert [at for at, _ in ledger.renewed] == [105, 110, 115, 120]
        await mine.release()
        await mine.release()
        assert ledger.released == [1]

    in_no_time(scene())


@pytest.mark.parametrize("word", ["hangs", "fails"])
@pytest.mark.parametrize("good", [0, 1, 3])
def test_when_the_ledger_is_gone_the_work_ends_before_the_last_renewed_lease_can(
    word: str, good: int
) -> None:
    ledger = Ledger(*["renews"] * good, word)
    at = in_no_time(cancelled_at(ledger))
    last_renewal = good * 5
    assert last_renewal + 5 <= at < last_renewal + 15


def test_a_lease_that_another_holds_ends_the_work_at_once() -> None:
    assert in_no_time(cancelled_at(Ledger("renews", "lost"))) == 10


def test_a_ledger_that_comes_back_in_time_costs_nothing() -> None:
    async def scene() -> None:
        mine = holder(Ledger("fails", "renews", "fails", "renews"))
        await mine.acquire()
        await mine.keep_during(asyncio.sleep(40))

    in_no_time(scene())


def test_a_token_taken_anew_is_the_one_that_is_renewed_even_while_renewing() -> None:
    async def scene() -> None:
        ledger = Ledger("slow")
        mine = holder(ledger)

        async def work() -> None:
            await asyncio.sleep(5.5)
            await mine.acquire()
            assert mine.lease is not None
            assert mine.lease.token == 2
            await asyncio.sleep(20)
            assert mine.lease.token == 2

        await mine.acquire()
        await mine.keep_during(work())
        assert [token for _, token in ledger.renewed] == [1, *[2] * (len(ledger.renewed) - 1)]
        assert len(ledger.renewed) > 2

    in_no_time(scene())


def test_the_work_s_own_failure_is_its_own() -> None:
    async def scene() -> None:
        mine = holder(Ledger("renews"))

        async def work() -> None:
            raise ZeroDivisionError

        await mine.acquire()
        with pytest.raises(ZeroDivisionError):
            await mine.keep_during(work())

    in_no_time(scene())


def preempted(ledger: Ledger, woken_after: float | None = None) -> tuple[float, PreemptedError]:
    """When work is cancelled that another run preempts, and how that is said."""

    async def scene() -> tuple[float, PreemptedError]:
        ledger.shared = True
        mine, at = holder(ledger), []
        await mine.acquire()
        if woken_after is not None:
            asyncio.get_running_loop().call_later(woken_after, ledger.woken.set)

        async def work() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                at.append(passed())

        with pytest.raises(PreemptedError) as said:
            await mine.keep_during(work())
        assert mine.lease is not None, "it has still to end its run under it"
        await mine.release()
        return at[0], said.value

    return in_no_time(scene())


def test_who_is_preempted_learns_it_by_its_next_renewal_and_cancels() -> None:
    ledger = Ledger("renews", "preempted")
    at, said = preempted(ledger)
    assert (at, said.by) == (10, "r-2")
    assert ledger.released == [1]


def test_who_is_preempted_learns_it_at_once_when_it_is_told() -> None:
    assert preempted(Ledger("preempted"), woken_after=2)[0] == 2


def test_what_is_done_before_it_is_noticed_is_done() -> None:
    async def scene() -> None:
        ledger = Ledger("preempted")
        ledger.shared = True
        mine = holder(ledger)
        await mine.acquire()
        await mine.keep_during(asyncio.sleep(4))

    in_no_time(scene())


def test_work_that_is_cancelled_before_its_first_step_leaves_nothing_behind() -> None:
    async def scene() -> None:
        mine = holder(Ledger("renews"))
        await mine.acquire()
        keeping = asyncio.ensure_future(mine.keep_during(asyncio.sleep(10)))
        await asyncio.sleep(0)
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping

    in_no_time(scene())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_after_a_stall_no_step_is_taken_before_the_loss_is_noticed(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """The next step of the work is due already when the loop stalls, as when a process is stopped there."""
    ttl = timedelta(seconds=0.2)

    async def scene() -> list[str]:
        mine = Holder(cast("Store", Ledger("renews")), Owner("me"), RunId("r-1"), ttl)
        due, steps = asyncio.Event(), []

        async def work() -> None:
            steps.append("before")
            await due.wait()
            steps.append("after")

        def stall() -> None:
            due.set()
            time.sleep(ttl.total_seconds())

        await mine.acquire()
        asyncio.get_running_loop().call_later(0.02, stall)
        with pytest.raises(LeaseLostError):
            await mine.keep_during(work())
        return steps

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(scene()) == ["before"]
