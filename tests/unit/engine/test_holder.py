"""Law 5: a lease is renewed at a third of its TTL, and the work under it ends before the lease can."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from remediator.core.ids import Owner, RunId, Token
from remediator.core.leases import Demand, Held, Lease
from remediator.core.ports.store import Store, StoreUnavailableError
from remediator.engine.leases import Holder, LeaseLostError
from remediator.telemetry import Metrics
from tests.unit.core.values import CART
from tests.unit.engine.fast import ClockStore, in_no_time, passed

TTL = timedelta(seconds=15)


class Ledger(ClockStore):
    """Gives leases, and answers each renewal with the next word of its script, the last one for ever."""

    def __init__(self, *script: str) -> None:
        self._script = [*script[:-1]]
        self._last = script[-1]
        self._tokens = itertools.count(1)
        self.renewed: list[tuple[float, int]] = []
        self.released: list[int] = []

    async def acquire(self, run: RunId, owner: Owner, ttl: timedelta, _demand: Demand) -> Lease | Held:
        return Lease(CART, run, owner, Token(next(self._tokens)), await self.now() + ttl)

    async def renew(self, lease: Lease, ttl: timedelta) -> Lease | None:
        word = self._script.pop(0) if self._script else self._last
        self.renewed.append((round(passed(), 3), lease.token))
        if word == "hangs":
            await asyncio.sleep(3600)
        if word == "fails":
            message = "gone"
            raise StoreUnavailableError(message)
        if word == "slow":
            await asyncio.sleep(1)
        return None if word == "lost" else replace(lease, expires_at=await self.now() + ttl)

    async def release(self, lease: Lease) -> None:
        self.released.append(lease.token)


def holder(ledger: Ledger) -> Holder:
    return Holder(cast("Store", ledger), Metrics("0"), Owner("me"), RunId("r-1"), TTL)


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
