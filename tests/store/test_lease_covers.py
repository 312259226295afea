"""Leases on more than one place: as a whole or not at all, shared or alone, and to their end exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from remediator.core.changes import Intended, RunChange
from remediator.core.coverage import covers
from remediator.core.events import EventKind
from remediator.core.guards import GuardView, Verdict
from remediator.core.ids import Owner
from remediator.core.leases import Cover, Demand, Held, Lease, Preempted, Side
from remediator.core.ports.store import Store, Topic
from remediator.core.reasons import Reason
from remediator.core.rules import Database
from remediator.core.runs import Outcome, Run, RunState
from remediator.core.targets import Target, parse_target
from tests.store.clock import FakeClock
from tests.store.values import (
    ME,
    PEER,
    TTL,
    Intending,
    advanced,
    agreeing,
    an_attempt,
    an_intent,
    begin,
    to,
)

DATABASES = (Database(parse_target("database/main"), (parse_target("statefulset/data/pg"),)),)
NODES = {parse_target("pod/shop/a"): parse_target("node/n1")}
BEFORE_END = TTL.total_seconds() - 0.000_001
OVERLAPPING = [
    ("deployment/shop/cart", "namespace/shop"),
    ("pod/shop/a", "namespace/shop"),
    ("pod/shop/a", "node/n1"),
    ("database/main", "statefulset/data/pg"),
    ("database/main", "namespace/data"),
    ("node/n1", "namespace/shop"),
]
BOTH_WAYS = [pair for one, other in OVERLAPPING for pair in ((one, other), (other, one))]


def demand(target: Target, *, shared: bool = False, preempts: bool = False) -> Demand:
    return Demand(shared, preempts, covers(target, DATABASES, NODES, shared=shared))


@dataclass
class Contender:
    """A run and what it asks of its lease."""

    store: Store
    run: Run
    wants: Demand

    async def ask(self, owner: Owner = ME) -> Lease | Held:
        return await self.store.acquire(self.run.id, owner, TTL, self.wants)

    async def take(self) -> Lease:
        taken = await self.ask()
        assert isinstance(taken, Lease), taken
        return taken

    async def waits(self) -> Held:
        held = await self.ask()
        assert isinstance(held, Held), held
        return held


async def contender(
    store: Store, on: str, id_: str = "r-1", *, shared: bool = False, preempts: bool = False
) -> Contender:
    target = parse_target(on)
    run = await begin(store, id_, rule=f"rule-{id_}", target=target)
    return Contender(store, run, demand(target, shared=shared, preempts=preempts))


async def two(store: Store, one: str, other: str) -> tuple[Contender, Contender]:
    return await contender(store, one), await contender(store, other, "r-2")


@pytest.mark.parametrize(("one", "other"), BOTH_WAYS)
async def test_who_overlaps_waits_to_the_end_of_the_lease_exactly(
    store: Store, clock: FakeClock, one: str, other: str
) -> None:
    first, second = await two(store, one, other)
    held = await first.take()
    clock.advance(BEFORE_END)
    assert await second.waits() == Held(first.run.id, ME, held.expires_at)
    clock.advance(0.000_001)
    assert (await second.take()).token > held.token
    assert await store.renew(held, TTL) is None
    assert (await first.waits()).run == second.run.id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("deployment/shop/cart", "deployment/shop/auth"),
        ("pod/shop/a", "node/n2"),
        ("pod/shop/a", "deployment/shop/cart"),
        ("database/main", "database/other"),
        ("namespace/shop", "namespace/data"),
        ("west/namespace/shop", "deployment/shop/cart"),
    ],
)
async def test_who_does_not_overlap_does_not_wait(store: Store, one: str, other: str) -> None:
    first, second = await two(store, one, other)
    assert (await first.take()).token < (await second.take()).token


async def test_a_lease_is_had_as_a_whole_or_not_at_all(store: Store) -> None:
    """Whoever waits for one of its places keeps none of the others from anybody."""
    first, second = await two(store, "statefulset/data/pg", "database/main")
    third = await contender(store, "deployment/data/reporter", "r-3")
    held = await first.take()
    await second.waits()
    await third.take()
    await store.release(held)
    await second.take()


async def test_a_run_that_ends_or_leaves_frees_every_place(store: Store) -> None:
    first, second = await two(store, "namespace/data", "database/main")
    held = await first.take()
    await second.waits()
    await store.release(held)
    left = await second.take()
    await advanced(store, left.token, second.run, RunState.REFUSED)
    again = await first.take()
    await advanced(store, again.token, first.run, RunState.REFUSED)
    third = await contender(store, "statefulset/data/pg", "r-3")
    await third.take()


async def test_shared_ones_get_along_and_the_last_of_them_keeps_others_out(
    store: Store, clock: FakeClock
) -> None:
    first = await contender(store, "database/main", "r-1", shared=True)
    second = await contender(store, "statefulset/data/pg", "r-2", shared=True)
    alone = await contender(store, "namespace/data", "r-3")
    held = await first.take()
    assert held.shared
    clock.advance(5)
    last = await second.take()
    assert await alone.waits() == Held(second.run.id, ME, last.expires_at)
    clock.advance(BEFORE_END)
    assert await store.renew(held, TTL) is None
    assert await alone.waits() == Held(second.run.id, ME, last.expires_at)
    clock.advance(0.000_001)
    await alone.take()
    for each in (first, second):
        assert (await each.waits()).run == alone.run.id


async def test_all_that_a_token_stands_for_is_renewed_and_ends_with_it(
    store: Store, clock: FakeClock
) -> None:
    first, second = await two(store, "database/main", "namespace/data")
    old = await first.take()
    new = await first.take()
    assert await store.renew(old, TTL) is None
    clock.advance(BEFORE_END)
    longer = await store.renew(new, TTL)
    assert isinstance(longer, Lease)
    assert (longer.token, longer.expires_at) == (new.token, clock.wall() + TTL)
    clock.advance(BEFORE_END)
    await second.waits()
    clock.advance(0.000_001)
    await second.take()


async def intends(
    store: Store, who: Contender, held: Lease, *, fenced: bool = True, within: timedelta = TTL
) -> Run:
    """Write an intent of the run, and give the run as it then is."""
    ready = await advanced(store, held.token, who.run, RunState.READY)
    answer = await store.intend(
        held.token,
        an_intent(ready),
        agreeing,
        Unfenced(ready, held, within) if not fenced else Intending(ready, held.token),
    )
    assert isinstance(answer, Intended)
    assert answer.change is not None
    return answer.change.run


@dataclass(frozen=True)
class Unfenced:
    """Writes the intent of an attempt that its target can't fence, with its deadline."""

    run: Run
    lease: Lease
    within: timedelta

    def __call__(self, view: GuardView, _verdict: Verdict) -> RunChange:
        attempt = replace(
            an_attempt(self.run, self.lease.token, view.now),
            fenced=False,
            deadline_at=view.now + self.within,
        )
        return RunChange(to(self.run, RunState.ACTING, view.now), self.run.state, attempt=attempt)


async def outcome_known(store: Store, held: Lease, run: Run) -> Run:
    doubted = await store.attempt_in_doubt(run.id)
    assert doubted is not None
    ready = to(run, RunState.READY)
    done = replace(doubted, outcome=Outcome.FAILED, ended_at=await store.now())
    assert await store.advance(held.token, RunChange(ready, run.state, attempt=done)) is None
    return ready


@pytest.mark.parametrize("leaves", [True, False], ids=["left", "expired"])
@pytest.mark.parametrize(("one", "other"), BOTH_WAYS)
async def test_an_attempt_in_doubt_keeps_all_that_its_lease_covered_from_others(
    store: Store, clock: FakeClock, one: str, other: str, *, leaves: bool
) -> None:
    first, second = await two(store, one, other)
    held = await first.take()
    acting = await intends(store, first, held)
    if leaves:
        await store.release(held)
    clock.advance(10 * TTL.total_seconds())
    assert (await second.waits()).run == first.run.id
    alone = await store.acquire(first.run.id, PEER, TTL)
    assert isinstance(alone, Lease)
    assert (await second.waits()).until == alone.expires_at
    await outcome_known(store, alone, acting)
    await store.release(alone)
    await second.take()


async def test_who_takes_over_an_attempt_covers_what_was_covered_before_whatever_it_knows(
    store: Store, clock: FakeClock
) -> None:
    """The pod may be gone by now, and with it the knowledge of where it ran."""
    pod, node = await two(store, "pod/shop/a", "node/n1")
    await intends(store, pod, await pod.take())
    clock.advance(TTL.total_seconds())
    taken = await store.acquire(pod.run.id, PEER, TTL, Demand())
    assert isinstance(taken, Lease)
    assert await node.waits() == Held(pod.run.id, PEER, taken.expires_at)


async def test_what_a_run_covers_may_grow_under_way_but_not_over_others(store: Store) -> None:
    first, second = await two(store, "deployment/shop/cart", "node/n1")
    held = await first.take()
    other = await second.take()
    wide = Demand(covers=first.wants.covers | {Cover("node/n1", side=Side.WITHIN)})
    assert await store.acquire(first.run.id, ME, TTL, wide) == Held(second.run.id, ME, other.expires_at)
    assert isinstance(await store.renew(held, TTL), Lease), "what it has it keeps"
    await store.release(other)
    wider = await store.acquire(first.run.id, ME, TTL, wide)
    assert isinstance(wider, Lease)
    assert wider.token > held.token
    await second.waits()


async def events_of(store: Store, kind: EventKind) -> list[tuple[object, ...]]:
    return [
        (event.run, event.target, event.data) for event in await store.events(0, 1000) if event.kind is kind
    ]


async def preempting(store: Store) -> tuple[Contender, Lease, Contender]:
    """A backup that shares a database, and a failover of it."""
    backup = await contender(store, "database/main", "r-backup", shared=True)
    failover = await contender(store, "statefulset/data/pg", "r-failover", preempts=True)
    return backup, await backup.take(), failover


async def test_a_preempted_lease_is_renewed_no_more_and_ends_when_it_would_have(
    store: Store, clock: FakeClock
) -> None:
    backup, held, failover = await preempting(store)
    clock.advance(5)
    renewed = await store.renew(held, TTL)
    assert isinstance(renewed, Lease)
    clock.advance(1)
    assert await failover.waits() == Held(backup.run.id, ME, renewed.expires_at)
    for _ in range(2):
        assert await store.renew(renewed, TTL) == Preempted(failover.run.id, renewed.expires_at)
        await failover.waits()
    clock.advance(TTL.total_seconds() - 1.000_001)
    await failover.waits()
    clock.advance(0.000_001)
    assert (await failover.take()).token > held.token
    assert await store.renew(renewed, TTL) is None
    told = await events_of(store, EventKind.LEASE_PREEMPTED)
    assert told == [(backup.run.id, "database/main", {"by": failover.run.id})]


async def test_who_gives_way_ends_its_run_although_its_alert_fires_and_is_followed_at_once(
    store: Store,
) -> None:
    backup, held, failover = await preempting(store)
    await failover.waits()
    given_up = replace(to(backup.run, RunState.CANCELLED, await store.now()), reason=Reason.PREEMPTED)
    assert await store.advance(held.token, RunChange(given_up, RunState.PENDING)) is None
    await failover.take()


async def test_who_has_to_give_way_begins_nothing_more(store: Store) -> None:
    backup, held, failover = await preempting(store)
    ready = await advanced(store, held.token, backup.run, RunState.READY)
    await failover.waits()

    def ask(*_: object) -> Verdict:
        raise AssertionError

    answer = await store.intend(held.token, an_intent(ready), ask, Intending(ready, held.token))
    assert answer == Preempted(failover.run.id, held.expires_at)
    assert await store.attempt_in_doubt(backup.run.id) is None


async def test_a_holder_that_waits_is_woken_when_it_has_to_give_way(store: Store) -> None:
    _, _, failover = await preempting(store)
    waiting = asyncio.create_task(store.wait(Topic.LEASES, timedelta(seconds=30)))
    await asyncio.sleep(0)
    await failover.waits()
    async with asyncio.timeout(20):
        await waiting


async def test_exclusive_holders_and_what_does_not_ask_preempt_nobody(store: Store) -> None:
    _, held, failover = await preempting(store)
    plain = await contender(store, "namespace/data", "r-plain")
    await plain.waits()
    assert isinstance(await store.renew(held, TTL), Lease)
    await store.release(held)
    alone = await plain.take()
    await failover.waits()
    assert isinstance(await store.renew(alone, TTL), Lease)
    assert await events_of(store, EventKind.LEASE_PREEMPTED) == []


async def test_nobody_overtakes_who_waits_for_those_it_preempted(store: Store, clock: FakeClock) -> None:
    _, held, failover = await preempting(store)
    await failover.waits()
    late = await contender(store, "database/main", "r-late", shared=True)
    rival = await contender(store, "database/main", "r-rival", preempts=True)
    for other in (late, rival):
        assert (await other.waits()).run == failover.run.id
    await store.release(held)
    for other in (late, rival):
        assert await other.waits() == Held(failover.run.id, Owner(""), clock.wall() + TTL)
    taken = await failover.take()
    await store.release(taken)
    await late.take()


async def test_who_asks_no_more_keeps_nobody_waiting(store: Store, clock: FakeClock) -> None:
    _, held, failover = await preempting(store)
    await failover.waits()
    await store.release(held)
    late = await contender(store, "database/main", "r-late", shared=True)
    clock.advance(BEFORE_END)
    await late.waits()
    clock.advance(0.000_001)
    await late.take()


async def test_a_run_that_waits_for_others_to_give_way_is_driven_by_nobody(store: Store) -> None:
    _, _, failover = await preempting(store)
    await failover.waits()
    assert failover.run.id in await store.runnable(10)


async def test_a_shared_attempt_in_doubt_keeps_out_who_does_not_preempt_it(
    store: Store, clock: FakeClock
) -> None:
    """Its action leaves the target as it is, so that a failover need not wait until somebody probes it."""
    backup, held, failover = await preempting(store)
    plain = await contender(store, "namespace/data", "r-plain")
    await intends(store, backup, held, fenced=False, within=timedelta(hours=1))
    await failover.waits()
    clock.advance(TTL.total_seconds())
    await plain.waits()
    await failover.take()


LONG = 4 * TTL
BEFORE_DEADLINE = LONG.total_seconds() - 0.000_001


async def unfenced(store: Store) -> tuple[Contender, Lease, Run, datetime]:
    """An attempt that its target can't fence, under a lease that would end long before it."""
    who = await contender(store, "deployment/shop/cart")
    held = await who.take()
    acting = await intends(store, who, held, fenced=False, within=LONG)
    return who, held, acting, await store.now() + LONG


async def test_a_lease_outlives_the_deadline_of_what_its_target_cannot_fence(
    store: Store, clock: FakeClock
) -> None:
    who, held, _, deadline = await unfenced(store)
    assert who.run.id not in await store.runnable(10)
    clock.advance(1)
    renewed = await store.renew(held, TTL)
    assert isinstance(renewed, Lease)
    assert renewed.expires_at == deadline
    clock.advance(BEFORE_DEADLINE - 1)
    assert await who.ask(PEER) == Held(who.run.id, ME, deadline)
    renewed = await store.renew(held, TTL)
    assert isinstance(renewed, Lease)
    assert renewed.expires_at == clock.wall() + TTL


@pytest.mark.parametrize("leaves", [True, False], ids=["left", "expired"])
@pytest.mark.parametrize("owner", [ME, PEER])
async def test_nobody_looks_at_what_may_still_take_effect(
    store: Store, clock: FakeClock, owner: Owner, *, leaves: bool
) -> None:
    """Not even who wrote the intent: it may have lost the reply, and the effect may be on its way."""
    who, held, _, deadline = await unfenced(store)
    other = await contender(store, "namespace/shop", "r-2")
    if leaves:
        await store.release(held)
    clock.advance(BEFORE_DEADLINE)
    waiting = await who.ask(owner)
    assert isinstance(waiting, Held)
    assert (waiting.run, waiting.until) == (who.run.id, deadline)
    assert (await other.waits()).run == who.run.id
    clock.advance(0.000_001)
    assert isinstance(await who.ask(owner), Lease)


async def test_one_whose_outcome_is_known_is_waited_for_by_nobody(store: Store) -> None:
    who, held, acting, _ = await unfenced(store)
    ready = await outcome_known(store, held, acting)
    await store.release(held)
    assert isinstance(await who.ask(PEER), Lease)
    assert await store.run(who.run.id) == ready


async def test_what_its_target_fences_is_looked_at_at_once(store: Store) -> None:
    who = await contender(store, "deployment/shop/cart")
    held = await who.take()
    await intends(store, who, held)
    await store.release(held)
    assert isinstance(await who.ask(PEER), Lease)


async def test_of_many_contenders_one_has_each_place(store: Store) -> None:
    """All at once, for targets that overlap in every way."""
    targets = ["namespace/shop", "node/n1", "pod/shop/a", "deployment/shop/cart", "deployment/shop/auth"]
    contenders = [await contender(store, on, f"r-{n}") for n, on in enumerate(targets * 2)]
    answers = await asyncio.gather(*(each.ask() for each in contenders))
    won = [each for each, answer in zip(contenders, answers, strict=True) if isinstance(answer, Lease)]
    assert won
    for one in won:
        for other in won:
            assert one is other or not overlaps(one.wants.covers, other.wants.covers)


def overlaps(one: Iterable[Cover], other: Iterable[Cover]) -> bool:
    return any(a.bars(b) for a in one for b in other)
