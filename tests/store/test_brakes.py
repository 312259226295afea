"""The brake in the ledger: demands, what trips, what is stopped meanwhile, and who was told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from remediator.core.changes import (
    BrakeRow,
    Decided,
    DecisionRequest,
    Intended,
    IntentRequest,
    Refused,
    Release,
    RunChange,
    Stopped,
)
from remediator.core.decide import Decision, DecisionKind
from remediator.core.events import Event, EventKind
from remediator.core.guards import (
    Answer,
    BudgetKey,
    Guard,
    GuardAnswer,
    GuardView,
    Lookback,
    Mark,
    Marks,
    PauseScope,
    Question,
    Tripped,
    Verdict,
    ask_at_first_intent,
)
from remediator.core.ids import Token
from remediator.core.leases import Preempted
from remediator.core.notices import Lane
from remediator.core.ports.store import Store
from remediator.core.reasons import Reason
from remediator.core.rules import AlertTrigger, Brake, Budget, Limits, Mode, Rule, Rulebook, Share
from remediator.core.runs import Run, RunState
from remediator.core.targets import Target
from remediator.core.templates import TargetTemplate
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import (
    BOOK,
    CART,
    CLAIM,
    NODE,
    Intending,
    a_request,
    advanced,
    an_alert,
    an_envelope,
    an_intent,
    begin,
    due,
    lease,
    take,
)

WINDOW, HOUR = timedelta(minutes=10), timedelta(hours=1)
LOOKBACK = Lookback(brake=WINDOW)
PAY = replace(CART, name="pay")
SHOP = "namespace/shop"
ALL = Tripped(PauseScope.ALL, "", BudgetKey.TARGETS, "6 targets, the budget is 5/10m")
IN_SHOP = Tripped(PauseScope.TARGET, SHOP, BudgetKey.FAILURES, "1 failed run", HOUR)
DEMAND = Decision(DecisionKind.SKIP, Reason.NO_RULE, demanded=True)
STOP = Decision(DecisionKind.SKIP, Reason.BRAKE, demanded=True)


async def decide(
    store: Store, decision: Decision, target: Target = CART, *, rule: str = "rule", alerts: int = 1
) -> list[GuardView]:
    """Decide so on new episodes; gives what the guards of each saw."""
    seen: list[GuardView] = []

    def judge(_request: DecisionRequest, view: GuardView) -> Decided:
        seen.append(replace(view, demanded=Marks.of(view.demanded)))
        return Decided(decision if len(seen) == 1 else replace(decision, tripped=()))

    before = len(await store.decisions(1000))
    await take(store, *(an_alert(f"{before + n}") for n in range(alerts)))
    requests = [a_request(each, rule, target=target, lookback=LOOKBACK) for each in await due(store)]
    await store.decide(requests, judge)
    return seen


async def intend(store: Store, verdict: Verdict, target: Target = CART, *, first: bool = True) -> None:
    run = await begin(store, f"r-{target.name}", target=target)
    held = await lease(store, run)
    ready = await advanced(store, held.token, run, RunState.READY)

    def ask(_request: IntentRequest, _view: GuardView) -> Verdict:
        return verdict

    await store.intend(held.token, an_intent(ready, first=first), ask, Intending(ready, held.token))


async def view_of(store: Store) -> GuardView:
    """What the guards of a run see that nothing happened to."""
    count = len(await store.events(0, 1000))
    run = await begin(store, f"r-looking-{count}", rule="looking", target=NODE, mode=Mode.OBSERVE)
    return await store.view(run, LOOKBACK)


async def demanded(store: Store) -> dict[Target, Mark]:
    return {mark.target: mark for mark in (await view_of(store)).demanded}


async def engaged(store: Store, tripped: Tripped = ALL) -> BrakeRow:
    await store.engage_brake(lambda _view: [tripped], WINDOW)
    return (await store.brakes(WINDOW)).rows[-1]


async def told(store: Store) -> list[Event]:
    events = await store.events(0, 1000)
    return [each for each in events if each.kind in (EventKind.BRAKE_ENGAGED, EventKind.BRAKE_RELEASED)]


async def test_what_a_decision_demands_counts_for_those_after_it(store: Store, clock: FakeClock) -> None:
    at = clock.wall()
    first, second = await decide(store, DEMAND, alerts=2)
    assert (list(first.demanded), list(second.demanded)) == ([], [Mark(CART, at)])
    clock.advance(60)
    await decide(store, DEMAND, NODE)
    await decide(store, replace(DEMAND, demanded=False), PAY)
    assert await demanded(store) == {CART: Mark(CART, at), NODE: Mark(NODE, clock.wall())}


async def test_of_a_target_its_latest_demand_counts(store: Store, clock: FakeClock) -> None:
    for _ in range(2):
        clock.advance(60)
        await decide(store, DEMAND)
    assert await demanded(store) == {CART: Mark(CART, clock.wall())}


def _saying(decision: Decision, _request: DecisionRequest, _view: GuardView) -> Decided:
    return Decided(decision)


async def test_a_decision_that_is_not_kept_demands_nothing(store: Store) -> None:
    await take(store, an_alert())
    (episode,) = await due(store)
    final = Decision(DecisionKind.SKIP, Reason.NO_RULE)
    for decision in (final, replace(STOP, tripped=(ALL,))):
        await store.decide([a_request(episode)], partial(_saying, decision))
    assert await demanded(store) == {}
    assert await store.pauses() == ()


@pytest.mark.parametrize("ago", [WINDOW, WINDOW - timedelta(microseconds=1)])
async def test_demands_are_looked_back_at_for_as_long_as_is_asked(
    store: Store, clock: FakeClock, ago: timedelta
) -> None:
    await decide(store, DEMAND)
    clock.advance(ago.total_seconds())
    assert bool(await demanded(store)) is (ago < WINDOW)
    assert (await store.brakes(WINDOW)).demanded == (ago < WINDOW)


async def test_a_first_intent_demands_whether_or_not_it_is_allowed(store: Store, clock: FakeClock) -> None:
    refused = Verdict((GuardAnswer(Guard.BRAKE, Answer.WAITS, "3 of 3", Reason.PARALLEL),), demanded=True)
    await intend(store, Verdict((), demanded=True), CART)
    await intend(store, refused, PAY)
    await intend(store, Verdict(()), NODE)
    now = clock.wall()
    assert await demanded(store) == {CART: Mark(CART, now), PAY: Mark(PAY, now)}


async def test_what_a_decision_trips_stops_those_after_it_and_everybody_else(store: Store) -> None:
    first, second = await decide(store, replace(STOP, tripped=(ALL,)), alerts=2)
    assert (first.pauses, len(second.pauses)) == ((), 1)
    (pause,) = await store.pauses()
    assert (pause.scope, pause.value, pause.brake, pause.why) == (ALL.scope, "", ALL.budget, ALL.detail)
    assert (await view_of(store)).pauses == (pause,)
    (event,) = await told(store)
    assert (event.kind, event.data["budget"], event.data["why"]) == (
        EventKind.BRAKE_ENGAGED,
        "targets",
        ALL.detail,
    )


async def test_what_an_intent_trips_is_engaged_though_the_intent_is_refused(store: Store) -> None:
    refused = GuardAnswer(Guard.BRAKE, Answer.REFUSES, ALL.detail, Reason.BRAKE)
    await intend(store, Verdict((refused,), demanded=True, tripped=(ALL, IN_SHOP)))
    assert [(each.value, each.brake) for each in await store.pauses()] == [
        ("", BudgetKey.TARGETS),
        (SHOP, BudgetKey.FAILURES),
    ]


async def test_an_engaged_brake_outlives_the_process(backend: Backend) -> None:
    store = backend.make()
    await store.open()
    brake = await engaged(store)
    await store.close()
    store = backend.make()
    await store.open()
    assert await store.pauses() == (brake.pause,)
    await store.close()


async def test_once_everything_is_stopped_nothing_is_counted_any_more(store: Store) -> None:
    await decide(store, DEMAND)
    await engaged(store)
    await decide(store, STOP, PAY)
    await store.resume(PauseScope.ALL, "", "mended", "ada")
    assert set(await demanded(store)) == {CART}


async def test_a_brake_is_released_by_a_person_and_says_by_whom_and_why(
    store: Store, clock: FakeClock
) -> None:
    brake = await engaged(store)
    await store.pause(PauseScope.ALL, "", "so do I", "kim", None)
    await engaged(store, IN_SHOP)
    clock.advance(60)
    assert await store.resume(PauseScope.ALL, "", "mended", "ada") == 2
    assert [each.value for each in await store.pauses()] == [SHOP]
    view = await view_of(store)
    assert view.released == {"": clock.wall()}
    (released, other) = (await store.brakes(WINDOW)).rows
    assert (released.pause, released.release) == (brake.pause, Release(clock.wall(), "ada", "mended"))
    assert other.release is None
    events = [each for each in await told(store) if each.kind is EventKind.BRAKE_RELEASED]
    assert [(each.data["who"], each.data["why"], each.data["value"]) for each in events] == [
        ("ada", "mended", "")
    ]


async def test_a_brake_lets_go_at_its_very_end(store: Store, clock: FakeClock) -> None:
    brake = await engaged(store, IN_SHOP)
    end = clock.wall() + HOUR
    clock.advance(HOUR.total_seconds() - 0.000_001)
    assert await store.pauses() == (brake.pause,)
    assert (await view_of(store)).released == {}
    clock.advance(0.000_001)
    assert await store.pauses() == ()
    assert (await view_of(store)).released == {SHOP: end}
    (over,) = (await store.brakes(WINDOW)).rows
    assert over.release is not None
    assert (over.release.at, over.release.by_time) == (end, True)
    assert await store.tell_brake(over, [])
    assert [each.kind for each in await told(store)] == [EventKind.BRAKE_ENGAGED, EventKind.BRAKE_RELEASED]


async def test_what_is_stopped_is_tallied_by_rule_and_target(store: Store, clock: FakeClock) -> None:
    await engaged(store)
    await decide(store, STOP, alerts=3)
    clock.advance(1)
    await decide(store, STOP, PAY)
    await decide(store, STOP, PAY, rule="other")
    await decide(store, DEMAND, NODE)
    (brake,) = (await store.brakes(WINDOW)).rows
    assert brake.stopped == (Stopped("rule", 4, 2), Stopped("other", 1, 1))
    assert (brake.alerts, brake.distinct, brake.targets) == (5, 2, (str(CART), str(PAY)))


async def test_each_brake_has_its_own_tally_and_that_of_everything_goes_first(store: Store) -> None:
    await engaged(store, IN_SHOP)
    await decide(store, STOP)
    await engaged(store)
    await decide(store, STOP)
    await decide(store, STOP, NODE)
    assert [each.alerts for each in (await store.brakes(WINDOW)).rows] == [1, 2]


async def test_a_long_list_of_targets_is_cut_but_counted(store: Store) -> None:
    await engaged(store)
    for number in range(25):
        await decide(store, STOP, replace(CART, name=f"t{number:02}"))
    (brake,) = (await store.brakes(WINDOW)).rows
    assert (brake.distinct, len(brake.targets), brake.targets[0]) == (25, 20, "deployment/shop/t00")


async def test_a_run_that_the_brake_refuses_is_tallied_with_its_alerts(store: Store) -> None:
    run = await begin(store)
    await take(store, an_alert("second"))
    join = Decision(DecisionKind.JOIN, Reason.JOINED, run=run.id)
    await store.decide([a_request(each) for each in await due(store)], lambda _r, _v: Decided(join))
    await engaged(store)
    refused = replace(run, state=RunState.REFUSED, reason=Reason.BRAKE, ended_at=await store.now())
    assert await store.advance(None, RunChange(refused, run.state)) is None
    other = await begin(store, "r-2", target=NODE)
    refused = replace(other, state=RunState.REFUSED, reason=Reason.PROTECTED, ended_at=await store.now())
    assert await store.advance(None, RunChange(refused, other.state)) is None
    (brake,) = (await store.brakes(WINDOW)).rows
    assert brake.stopped == (Stopped("rule", 2, 1),)


async def test_people_are_told_once_of_what_is_new(store: Store) -> None:
    """Several replicas look at once: who comes second has nothing to tell."""
    brake = await engaged(store)
    assert brake.told is None
    assert await store.tell_brake(brake, [an_envelope("engaged")])
    assert not await store.tell_brake(brake, [an_envelope("engaged again")])
    await decide(store, STOP)
    (brake,) = (await store.brakes(WINDOW)).rows
    assert (brake.told, brake.alerts) == (0, 1)
    assert await store.tell_brake(brake, [an_envelope("one more", thread="u")])
    await store.resume(PauseScope.ALL, "", "mended", "ada")
    (brake,) = (await store.brakes(WINDOW)).rows
    assert brake.told == 1
    assert await store.tell_brake(brake, [an_envelope("released", thread="v")])
    assert not await store.tell_brake(brake, [an_envelope("released again", thread="w")])
    assert (await store.brakes(WINDOW)).rows == ()
    sent = await store.due_envelopes(Lane.REPORTS, 9, CLAIM)
    assert [each.envelope.notice.title for each in sent] == ["engaged", "one more", "released"]


FAILED = {RunState.FAILED: True, RunState.UNKNOWN: True, RunState.SUCCEEDED: False, RunState.REFUSED: False}


@pytest.mark.parametrize("state", FAILED)
@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.OBSERVE])
async def test_live_runs_that_fail_or_end_unknown_count(
    store: Store, clock: FakeClock, state: RunState, mode: Mode
) -> None:
    run = await begin(store, mode=mode)
    held = await lease(store, run)
    await advanced(store, held.token, run, state)
    counts = FAILED[state] and mode is Mode.LIVE
    at = clock.wall()
    assert (await view_of(store)).failed == ((Mark(CART, at),) if counts else ())
    clock.advance(WINDOW.total_seconds())
    assert (await view_of(store)).failed == ()


async def test_failures_engage_the_brake_before_the_next_demand(store: Store) -> None:
    run = await begin(store)
    held = await lease(store, run)
    await advanced(store, held.token, run, RunState.FAILED)
    seen: list[GuardView] = []

    def look(view: GuardView) -> list[Tripped]:
        seen.append(view)
        return [] if view.pauses else [IN_SHOP]

    (made,) = await store.engage_brake(look, WINDOW)
    assert await store.engage_brake(look, WINDOW) == ()
    assert [len(view.failed) for view in seen] == [1, 1]
    assert [each.value for each in await store.pauses()] == [made.value] == [SHOP]


async def test_who_is_busy_is_seen_by_target(store: Store) -> None:
    await begin(store, "r-1")
    await begin(store, "r-2", target=NODE)
    (view,) = await decide(store, DEMAND)
    assert sorted(view.busy) == sorted((CART, NODE))


RULE = Rule("rule", AlertTrigger(()), TargetTemplate(()), limits=Limits(timedelta(0)))
QUARTER = Rulebook(BOOK, (RULE,), Brake(Budget(parallel=99, share=Share(25, WINDOW))))


async def test_of_all_that_race_for_a_share_no_more_get_a_slot_than_it_allows(store: Store) -> None:
    """A quarter of nine Deployments are two: the guards are asked in the very transaction of the slot."""
    ready = []
    for number in range(9):
        run = await begin(store, f"r-{number}", target=replace(CART, name=f"service-{number}"))
        held = await lease(store, run)
        ready.append((await advanced(store, held.token, run, RunState.READY), held.token))

    def ask(request: IntentRequest, view: GuardView) -> Verdict:
        return ask_at_first_intent(request.question, view)

    def intend(run: Run, token: Token) -> Awaitable[Intended | Refused | Preempted]:
        question = Question(RULE, run.target, run.mode, (QUARTER,), deployments=9)
        return store.intend(token, IntentRequest(question, first=True), ask, Intending(run, token))

    answers = await asyncio.gather(*(intend(*each) for each in ready))
    assert sum(isinstance(answer, Intended) and answer.change is not None for answer in answers) == 2
    (brake,) = (await store.brakes(WINDOW)).rows
    assert (brake.pause.brake, brake.pause.value) == (BudgetKey.SHARE, SHOP)
    assert brake.pause.why == "3 of 9 Deployments of shop, budget 2 (25%/10m)"
