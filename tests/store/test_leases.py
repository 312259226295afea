"""Leases: one at a time, until their end exactly, with tokens that only grow."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.core.ids import RunId
from remediator.core.leases import Held, Lease
from remediator.core.ports.store import Store, StoreError
from remediator.core.runs import RunState
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import (
    CART,
    ME,
    NODE,
    PEER,
    TTL,
    Intending,
    advanced,
    agreeing,
    an_intent,
    begin,
    lease,
)

BEFORE_END = TTL.total_seconds() - 0.000_001


async def test_a_lease_names_target_run_owner_and_end(store: Store, clock: FakeClock) -> None:
    run = await begin(store, target=NODE)
    held = await lease(store, run)
    assert held == Lease(NODE, run.id, ME, held.token, clock.wall() + TTL)


async def test_a_target_is_leased_to_one_run_until_the_end_exactly(store: Store, clock: FakeClock) -> None:
    first, second = await begin(store, "r-1"), await begin(store, "r-2", rule="other")
    held = await lease(store, first)
    clock.advance(BEFORE_END)
    assert await store.acquire(second.id, ME, TTL) == Held(first.id, ME, held.expires_at)
    clock.advance(0.000_001)
    assert (await lease(store, second)).token > held.token


async def test_a_peer_gets_no_lease_for_the_same_run_while_one_lives(store: Store, clock: FakeClock) -> None:
    run = await begin(store)
    held = await lease(store, run)
    assert await store.acquire(run.id, PEER, TTL) == Held(run.id, ME, held.expires_at)
    clock.advance(TTL.total_seconds())
    taken = await lease(store, run, PEER)
    assert taken.owner == PEER
    assert await store.renew(held, TTL) is None


async def test_taking_it_again_makes_the_old_token_useless(store: Store) -> None:
    run = await begin(store)
    old, new = await lease(store, run), await lease(store, run)
    assert new.token > old.token
    assert await store.renew(old, TTL) is None
    assert await store.renew(new, TTL) is not None


async def test_different_targets_are_leased_at_the_same_time(store: Store) -> None:
    first, second = await begin(store, "r-1", target=CART), await begin(store, "r-2", target=NODE)
    assert (await lease(store, first)).token < (await lease(store, second)).token


async def test_renewing_prolongs_with_the_same_token_until_the_end_exactly(
    store: Store, clock: FakeClock
) -> None:
    held = await lease(store, await begin(store))
    clock.advance(BEFORE_END)
    longer = await store.renew(held, TTL)
    assert longer == Lease(CART, held.run, ME, held.token, clock.wall() + TTL)
    clock.advance(TTL.total_seconds())
    assert await store.renew(longer, TTL) is None


async def test_a_released_target_is_free_at_once(store: Store) -> None:
    first, second = await begin(store, "r-1"), await begin(store, "r-2", rule="other")
    await store.release(await lease(store, first))
    await lease(store, second)


async def test_releasing_with_an_old_token_does_nothing(store: Store) -> None:
    run = await begin(store)
    old, new = await lease(store, run), await lease(store, run)
    await store.release(old)
    assert await store.renew(new, TTL) is not None


async def test_tokens_grow_over_releases_ends_and_restarts(backend: Backend, clock: FakeClock) -> None:
    tokens = []
    for number in range(4):
        store = backend.make()
        await store.open()
        run = await begin(store, f"r-{number}")
        held = await lease(store, run)
        tokens.append(held.token)
        if number % 2:
            await store.release(held)
        clock.advance(100)
        await store.close()
    assert tokens == sorted(set(tokens))


async def test_a_run_that_ends_frees_its_target_in_the_same_move(store: Store) -> None:
    first, second = await begin(store, "r-1"), await begin(store, "r-2", rule="other")
    held = await lease(store, first)
    await advanced(store, held.token, first, RunState.REFUSED)
    assert await store.renew(held, TTL) is None
    await lease(store, second)


async def test_runnable_are_the_unfinished_that_nobody_drives_oldest_first(
    store: Store, clock: FakeClock
) -> None:
    """One whose target another run holds is among them: it may have to be told, or to expire."""
    first = await begin(store, "r-9", target=CART)
    other = await begin(store, "r-5", target=CART, rule="other")
    third = await begin(store, "r-7", target=NODE)
    assert await store.runnable(10) == [first.id, other.id, third.id]
    assert await store.runnable(1) == [first.id]
    held = await lease(store, first, ttl=timedelta(seconds=5))
    clock.advance(4.999_999)
    assert await store.runnable(10) == [other.id, third.id]
    clock.advance(0.000_001)
    assert await store.runnable(10) == [first.id, other.id, third.id]
    held = await lease(store, first)
    await advanced(store, held.token, first, RunState.EXPIRED)
    assert await store.runnable(10) == [other.id, third.id]


async def test_no_lease_for_a_run_that_is_not_there(store: Store) -> None:
    with pytest.raises(StoreError, match="r-none"):
        await store.acquire(RunId("r-none"), ME, TTL)


async def test_a_target_with_an_attempt_in_doubt_is_leased_to_nobody_but_its_run(
    store: Store, clock: FakeClock
) -> None:
    """Another's write would wipe out the only trace by which a probe can find that attempt."""
    doubted, other = await begin(store, "r-1"), await begin(store, "r-2", rule="other")
    held = await lease(store, doubted)
    ready = await advanced(store, held.token, doubted, RunState.READY)
    await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    clock.advance(TTL.total_seconds())
    refused = await store.acquire(other.id, ME, TTL)
    assert isinstance(refused, Held)
    assert refused.run == doubted.id
    assert isinstance(await store.acquire(doubted.id, PEER, TTL), Lease)
