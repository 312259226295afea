"""What limits count: slots by rule and target, in the very transaction that takes the next one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.core.changes import Decided, DecisionRequest, Intended, IntentRequest
from remediator.core.guards import Answer, Guard, GuardAnswer, GuardView, Lookback, Slot, Verdict
from remediator.core.ids import RunId
from remediator.core.ports.store import Store
from remediator.core.reasons import Reason
from remediator.core.rules import Mode
from remediator.core.runs import Run, RunState
from remediator.core.targets import Target
from tests.store.clock import FakeClock
from tests.store.values import (
    CART,
    NODE,
    Intending,
    a_request,
    advanced,
    agreeing,
    an_episode,
    an_intent,
    begin,
    lease,
    running,
    skipping,
)

HOUR = timedelta(hours=1)
LOOKBACK = Lookback(frozenset({"rule"}), HOUR)
NO = Verdict((GuardAnswer(Guard.RATE, Answer.REFUSES, "too often", Reason.RATE),))


async def acted(store: Store, id_: str, *, rule: str = "rule", target: Target = CART) -> Run:
    """A run that took its slot and is acting."""
    run = await begin(store, id_, rule=rule, target=target)
    held = await lease(store, run)
    ready = await advanced(store, held.token, run, RunState.READY)
    answer = await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    assert isinstance(answer, Intended)
    assert answer.change is not None
    return answer.change.run


async def failed(store: Store, run: Run) -> Run:
    held = await lease(store, run)
    probing = await advanced(store, held.token, run, RunState.PROBING)
    return await advanced(store, held.token, probing, RunState.UNKNOWN)


async def decided_by(store: Store, **asked: object) -> GuardView:
    """What a decision's guards see."""
    seen: list[GuardView] = []

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        seen.append(view)
        return skipping(request, view)

    episode = await an_episode(store, f"asking of {asked}")
    await store.decide([a_request(episode, **{"lookback": LOOKBACK, **asked})], judge)  # type: ignore[arg-type]  # a request's own
    return seen[0]


def names(view: GuardView) -> set[tuple[str, bool]]:
    return {(slot.run, slot.taken) for slot in view.slots}


async def test_a_slot_is_seen_by_its_rule_and_by_its_target_and_by_nobody_else(
    store: Store, clock: FakeClock
) -> None:
    first = await acted(store, "r-1")
    at = clock.wall()
    await failed(store, first)
    other = await begin(store, "r-2", rule="other", target=NODE)
    mine = await begin(store, "r-3", rule="rule", target=NODE)
    same = await begin(store, "r-4", rule="other", target=CART)
    expected = (Slot(RunId("r-1"), "rule", CART, at),)
    for run, lookback in ((mine, LOOKBACK), (same, Lookback(frozenset({"other"}), HOUR))):
        assert (await store.view(run, lookback)).slots == expected
    assert (await store.view(other, Lookback(frozenset({"other"}), HOUR))).slots == ()


@pytest.mark.parametrize("ago", [HOUR, HOUR - timedelta(microseconds=1)])
async def test_slots_are_looked_back_at_for_as_long_as_is_asked(
    store: Store, clock: FakeClock, ago: timedelta
) -> None:
    await failed(store, await acted(store, "r-1"))
    other = await begin(store, "r-2", target=NODE)
    clock.advance(ago.total_seconds())
    assert bool((await store.view(other, LOOKBACK)).slots) is (ago < HOUR)
    assert (await store.view(other)).slots == ()


async def test_a_slot_is_never_given_back(store: Store, clock: FakeClock) -> None:
    """Whatever became of its run, and after a restart."""
    run = await acted(store, "r-1")
    clock.advance(1)
    await failed(store, run)
    await store.close()
    await store.open()
    assert names(await decided_by(store)) == {("r-1", True)}


async def test_a_renamed_rule_keeps_its_slots(store: Store) -> None:
    await failed(store, await acted(store, "r-1", rule="old"))
    asking = {"rule": "new", "target": NODE}
    kept = await decided_by(store, lookback=Lookback(frozenset({"new", "old"}), HOUR), **asking)
    assert names(kept) == {("r-1", True)}


async def test_another_rule_of_that_name_has_no_past(store: Store) -> None:
    await failed(store, await acted(store, "r-1", rule="old"))
    lookback = Lookback(frozenset({"new"}), HOUR)
    assert names(await decided_by(store, rule="new", target=NODE, lookback=lookback)) == set()


async def test_who_asks_for_its_slot_does_not_count_itself(store: Store) -> None:
    """Neither before it has it, nor for a later look."""
    run = await begin(store, "r-1")
    assert (await store.view(run, LOOKBACK)).slots == ()
    acting = await acted(store, "r-2", target=NODE)
    assert (await store.view(acting, LOOKBACK)).slots == ()


async def test_decisions_count_runs_that_have_yet_to_take_their_slot(store: Store) -> None:
    await begin(store, "r-1")
    await begin(store, "r-2", mode=Mode.OBSERVE, rule="watch")
    taken = await acted(store, "r-3", target=NODE)
    assert names(await decided_by(store, target=NODE)) == {("r-1", False), ("r-3", True)}
    refused = await begin(store, "r-4")
    held = await lease(store, refused)
    await advanced(store, held.token, refused, RunState.REFUSED)
    await failed(store, taken)
    other = await begin(store, "r-5", rule="other")
    assert names(await store.view(other, LOOKBACK)) == {("r-3", True)}, "at the intent they don't count"


async def test_later_requests_see_the_runs_of_earlier_ones_as_about_to_act(store: Store) -> None:
    first, second = await an_episode(store, "f1"), await an_episode(store, "f2")
    seen: list[set[tuple[str, bool]]] = []

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        seen.append(names(view))
        return running(request, view)

    requests = [
        a_request(episode, target=target, run=f"r-{episode.id}", lookback=LOOKBACK)
        for episode, target in ((first, CART), (second, NODE))
    ]
    await store.decide(requests, judge)
    assert seen == [set(), {(f"r-{first.id}", False)}]


async def test_the_last_run_on_a_target_is_seen_whatever_rule_it_was_of(
    store: Store, clock: FakeClock
) -> None:
    await failed(store, await acted(store, "r-1", rule="a"))
    clock.advance(1)
    newest = await failed(store, await acted(store, "r-2", rule="b"))
    clock.advance(1)
    idle = await begin(store, "r-3", rule="c")
    held = await lease(store, idle)
    await advanced(store, held.token, idle, RunState.REFUSED)
    for view in (await decided_by(store, rule="d"), await store.view(idle, LOOKBACK)):
        assert view.last_on_target is not None
        assert (view.last_on_target.id, view.last_on_target.ended_at) == (newest.id, newest.ended_at)
        assert view.last_acted is None
    assert (await decided_by(store, target=NODE)).last_on_target is None
    assert (await store.view(newest, LOOKBACK)).last_on_target is not None


async def test_a_refused_intent_takes_no_slot(store: Store) -> None:
    run = await begin(store, "r-1")
    held = await lease(store, run)
    ready = await advanced(store, held.token, run, RunState.READY)

    def ask(_request: IntentRequest, _view: GuardView) -> Verdict:
        return NO

    await store.intend(held.token, an_intent(ready), ask, Intending(ready, held.token))
    other = await begin(store, "r-2", target=NODE)
    assert (await store.view(other, LOOKBACK)).slots == ()
