"""The brake at its boundaries: what counts, what stops, and for whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.core.decide import DecisionKind, Obstacle, decide, stands_without_facts
from remediator.core.guards import (
    Answer,
    BudgetKey,
    Guard,
    GuardAnswer,
    GuardView,
    Lookback,
    Mark,
    Marks,
    Override,
    Pause,
    PauseScope,
    Question,
    Slot,
    Tripped,
    Verdict,
    ask_at_decision,
    ask_at_first_intent,
    ask_before_step,
    ask_of_plan,
    failures_spent,
)
from remediator.core.ids import RunId
from remediator.core.reasons import Reason
from remediator.core.rules import Brake, Budget, Limits, Mode, Rate, Rule, Rulebook, Share
from remediator.core.selections import Selection
from remediator.core.sights import Sight
from remediator.core.targets import Target
from tests.unit.core.values import BOOK, CART, NOW, after, episode, past, question, rule

MINUTE, MICROSECOND = timedelta(minutes=1), timedelta(microseconds=1)
WINDOW = 10 * MINUTE
VIEW = GuardView(NOW)
SHOP = "namespace/shop"


def at(name: str, ago: timedelta = MINUTE, *, namespace: str = "shop", cluster: str = "default") -> Mark:
    return Mark(Target(cluster, "deployment", namespace, name), NOW - ago)


def pause(scope: PauseScope = PauseScope.ALL, value: str = "", *, by: BudgetKey | None = None) -> Pause:
    return Pause(1, scope, value, "too much", "remediator", after(-1), brake=by)


def asking(*brakes: Brake, mode: Mode = Mode.LIVE, of: Rule | None = None) -> Question:
    asked = of or rule(cooldown=0)
    return question(asked, *(Rulebook(BOOK, (asked,), each) for each in brakes or (Brake(),)), mode=mode)


def own_answer(verdict: Verdict) -> GuardAnswer:
    return verdict.answers[-1]


ALL_ASK = (ask_at_decision, ask_at_first_intent)
OTHERS = [at(f"t{n}") for n in range(9)]


@pytest.mark.parametrize(("busy", "allowed"), [(0, True), (2, True), (3, False), (4, False)])
def test_exactly_so_many_may_act_at_once(busy: int, *, allowed: bool) -> None:
    for ask in ALL_ASK:
        verdict = ask(asking(), replace(VIEW, busy=(CART,) * busy))
        assert verdict.allows is allowed
        assert allowed or (verdict.objection and verdict.objection.reason) is Reason.PARALLEL


@pytest.mark.parametrize(
    ("namespace", "cluster", "allowed"),
    [("shop", "default", False), ("bank", "default", True), ("shop", "west", True)],
)
def test_a_namespace_may_have_fewer_at_once(namespace: str, cluster: str, *, allowed: bool) -> None:
    brake = Brake(namespaces={"shop": Budget(parallel=1)})
    busy = Target(cluster, "deployment", namespace, "x")
    assert ask_at_decision(asking(brake), replace(VIEW, busy=(busy,))).allows is allowed


EDGE = WINDOW - MICROSECOND
FOUR = tuple(OTHERS[:4])
TARGETS: dict[str, tuple[tuple[Mark, ...], bool]] = {
    "none": ((), True),
    "one less than the budget": (FOUR, True),
    "as many others": (tuple(OTHERS[:5]), False),
    "this one among as many": ((*FOUR, Mark(CART, NOW)), True),
    "the earliest just within": ((*FOUR, at("e", EDGE)), False),
    "the earliest just out": ((*FOUR, at("e", WINDOW)), True),
    "wherever they are": ((*FOUR, at("e", namespace="bank", cluster="west")), False),
}


@pytest.mark.parametrize("name", TARGETS)
def test_so_many_targets_may_be_demanded_and_the_next_stops_everything(name: str) -> None:
    demanded, allowed = TARGETS[name]
    for ask in ALL_ASK:
        verdict = ask(asking(), replace(VIEW, demanded=Marks.of(demanded)))
        assert (verdict.allows, verdict.demanded) == (allowed, True)
        if not allowed:
            detail = "6 targets, the budget is 5/10m"
            assert own_answer(verdict) == GuardAnswer(Guard.BRAKE, Answer.REFUSES, detail, Reason.BRAKE)
            assert verdict.tripped == (Tripped(PauseScope.ALL, "", BudgetKey.TARGETS, detail),)


FAILURES: dict[str, tuple[tuple[Mark, ...], bool]] = {
    "one less": ((at("a"), at("b")), True),
    "as many": ((at("a"), at("b"), at("c")), False),
    "as many on one target": ((at("a"), at("a"), at("a")), False),
    "the earliest just within": ((at("a"), at("b"), at("c", 60 * MINUTE - MICROSECOND)), False),
    "the earliest just out": ((at("a"), at("b"), at("c", 60 * MINUTE)), True),
}


@pytest.mark.parametrize("name", FAILURES)
def test_so_many_runs_may_fail_and_the_next_demand_stops_everything(name: str) -> None:
    failed, allowed = FAILURES[name]
    view = replace(VIEW, failed=failed)
    for ask in ALL_ASK:
        verdict = ask(asking(), view)
        assert verdict.allows is allowed
        assert [each.budget for each in verdict.tripped] == [BudgetKey.FAILURES] * (not allowed)
    told = [each.budget for each in failures_spent(asking().books, view)]
    assert told == [BudgetKey.FAILURES] * (not allowed), "people hear of it before the next demand"


SHOPS = Brake(namespaces={"shop": Budget(targets=Rate(2, WINDOW), failures=Rate(1, WINDOW))})
IN_SHOP: dict[str, tuple[GuardView, list[tuple[str, BudgetKey]]]] = {
    "one less": (replace(VIEW, demanded=Marks.of((at("a"),))), []),
    "as many": (replace(VIEW, demanded=Marks.of((at("a"), at("b")))), [(SHOP, BudgetKey.TARGETS)]),
    "one elsewhere": (replace(VIEW, demanded=Marks.of((at("a"), at("b", namespace="bank")))), []),
    "one of another cluster": (replace(VIEW, demanded=Marks.of((at("a"), at("b", cluster="west")))), []),
    "a failure": (replace(VIEW, failed=(at("a"),)), [(SHOP, BudgetKey.FAILURES)]),
    "a failure elsewhere": (replace(VIEW, failed=(at("a", namespace="bank"),)), []),
    "of both": (
        replace(VIEW, demanded=Marks.of(OTHERS)),
        [("", BudgetKey.TARGETS), (SHOP, BudgetKey.TARGETS)],
    ),
}


@pytest.mark.parametrize("name", IN_SHOP)
def test_a_namespace_has_a_budget_of_its_own_where_one_is_written(name: str) -> None:
    view, stopped = IN_SHOP[name]
    verdict = ask_at_decision(asking(SHOPS), view)
    assert [(each.value, each.budget) for each in verdict.tripped] == stopped
    assert verdict.allows is (not stopped)
    elsewhere = Question(rule(), Target("default", "deployment", "bank", "x"), Mode.LIVE, asking(SHOPS).books)
    assert {each.value for each in ask_at_decision(elsewhere, view).tripped} <= {""}


def test_what_lies_in_no_namespace_has_the_budget_of_everything_alone() -> None:
    node = Question(rule(), Target("default", "node", "", "shop"), Mode.LIVE, asking(SHOPS).books)
    assert ask_at_decision(node, replace(VIEW, demanded=Marks.of((at("a"), at("b"))))).allows
    space = Question(rule(), Target("default", "namespace", "", "shop"), Mode.LIVE, asking(SHOPS).books)
    assert not ask_at_decision(space, replace(VIEW, demanded=Marks.of((at("a"), at("b"))))).allows


@pytest.mark.parametrize(("released", "allowed"), [(-1, True), (-0.9, True), (-1.1, False)])
def test_after_a_release_only_what_came_later_counts(released: float, *, allowed: bool) -> None:
    view = replace(VIEW, demanded=Marks.of(OTHERS), failed=tuple(OTHERS), released={"": after(released)})
    assert ask_at_decision(asking(), view).allows is allowed
    assert (not list(failures_spent(asking().books, view))) is allowed


def test_a_release_of_one_place_is_none_of_another() -> None:
    view = replace(VIEW, demanded=Marks.of(OTHERS), released={SHOP: NOW})
    assert [each.value for each in ask_at_decision(asking(SHOPS), view).tripped] == [""]


ENGAGED = replace(VIEW, pauses=(pause(by=BudgetKey.TARGETS),))


def test_an_engaged_brake_refuses_what_has_not_begun_and_lets_what_has_go_on() -> None:
    for ask in ALL_ASK:
        objection = ask(asking(), ENGAGED).objection
        assert objection is not None
        assert (objection.answer, objection.reason) == (Answer.REFUSES, Reason.BRAKE)
    assert ask_before_step(asking(), ENGAGED).allows


def test_an_engaged_brake_is_told_by_itself_and_by_no_decision() -> None:
    decision = decide(episode(), asking(), ENGAGED)
    assert (decision.kind, decision.reason) == (DecisionKind.SKIP, Reason.BRAKE)
    assert (decision.report, decision.page) == (False, False)


@pytest.mark.parametrize(
    ("scope", "value", "stops"),
    [
        (PauseScope.ALL, "", True),
        (PauseScope.TARGET, SHOP, True),
        (PauseScope.TARGET, "namespace/bank", False),
        (PauseScope.TARGET, "west/namespace/shop", False),
    ],
)
def test_a_brake_stops_its_place(scope: PauseScope, value: str, *, stops: bool) -> None:
    view = replace(VIEW, pauses=(pause(scope, value, by=BudgetKey.TARGETS),))
    assert ask_at_decision(asking(), view).allows is not stops


def test_a_brake_lets_go_at_its_very_end() -> None:
    held = replace(pause(by=BudgetKey.TARGETS), until=after(5))
    view = replace(VIEW, pauses=(held,))
    assert not ask_at_decision(asking(), replace(view, now=after(5) - MICROSECOND)).allows
    assert ask_at_decision(asking(), replace(view, now=after(5))).allows


def test_a_brake_that_is_engaged_is_not_engaged_again_but_others_may_be() -> None:
    """A namespace's storm counts for everything too, whether or not its own brake lets it."""
    shop = pause(PauseScope.TARGET, SHOP, by=BudgetKey.TARGETS)
    view = replace(VIEW, demanded=Marks.of(OTHERS), pauses=(shop,))
    assert [each.value for each in ask_at_decision(asking(SHOPS), view).tripped] == [""]
    view = replace(view, pauses=(shop, pause(by=BudgetKey.TARGETS)))
    assert ask_at_decision(asking(SHOPS), view).tripped == ()


PAST = replace(VIEW, demanded=Marks.of(OTHERS))
FORBIDDING: dict[str, tuple[Question, GuardView]] = {
    "a person's pause": (asking(), replace(PAST, pauses=(pause(),))),
    "cooldown": (asking(of=rule()), replace(PAST, last_acted=past())),
    "scope": (question(rule(), Rulebook(BOOK, (rule(),), scope=Selection(kinds=("node",)))), PAST),
    "a limit of the rule": (
        asking(of=replace(rule(), limits=Limits(targets=Rate(1, WINDOW)))),
        replace(PAST, slots=(Slot(RunId("r-x"), "rollback", OTHERS[0].target, after(-1)),)),
    ),
    "the clock": (asking(), replace(PAST, acting_from=after(1))),
    "a mode that does not act": (asking(mode=Mode.OBSERVE), PAST),
}


@pytest.mark.parametrize("name", FORBIDDING)
def test_what_would_not_act_anyway_demands_nothing_and_stops_nothing(name: str) -> None:
    asked, view = FORBIDDING[name]
    verdict = ask_at_decision(asked, view)
    assert (verdict.demanded, verdict.tripped) == (False, ())
    assert own_answer(verdict).answer is Answer.ALLOWS


def test_what_waits_for_a_place_is_a_demand() -> None:
    """Four more services down than may be repaired at once are as much of an outage."""
    decision = decide(episode(), asking(), replace(VIEW, busy=(CART,) * 3))
    assert (decision.kind, decision.reason, decision.demanded) == (DecisionKind.DEFER, Reason.PARALLEL, True)
    decision = decide(episode(), asking(), replace(PAST, busy=(CART,) * 3))
    assert (decision.kind, decision.reason) == (DecisionKind.SKIP, Reason.BRAKE)


def test_joining_demands_nothing() -> None:
    view = replace(PAST, unfinished=past(ended=None))
    decision = decide(episode(), asking(), view)
    assert (decision.kind, decision.demanded, decision.tripped) == (DecisionKind.JOIN, False, ())


def test_an_observing_rule_is_stopped_too_but_stops_nobody() -> None:
    assert not ask_at_decision(asking(mode=Mode.OBSERVE), ENGAGED).allows
    assert ask_at_decision(asking(mode=Mode.OBSERVE), PAST).allows


@pytest.mark.parametrize("ask", ALL_ASK)
def test_of_the_pinned_and_the_active_budgets_the_stricter_holds(
    ask: Callable[[Question, GuardView], Verdict],
) -> None:
    strict, easy = Brake(Budget(Rate(1, WINDOW), 1, Rate(1, WINDOW))), Brake(Budget(Rate(99, WINDOW), 99))
    views = (
        replace(VIEW, demanded=Marks.of((at("a"),))),
        replace(VIEW, failed=(at("a"),)),
        replace(VIEW, busy=(CART,)),
    )
    for view in views:
        assert ask(asking(easy, easy), view).allows
        for brakes in ((strict, easy), (easy, strict)):
            assert not ask(asking(*brakes), view).allows


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [((None,), None), ((MINUTE,), MINUTE), ((MINUTE, None), None), ((MINUTE, WINDOW), WINDOW)],
)
def test_a_brake_holds_for_as_long_as_the_stricter_says(
    lengths: tuple[timedelta | None, ...], expected: timedelta | None
) -> None:
    asked = asking(*(Brake(release_after=length) for length in lengths))
    assert ask_at_decision(asked, PAST).tripped[0].length == expected


def test_facts_are_not_asked_for_once_everything_is_stopped() -> None:
    """Hundreds of questions would not help an API server in an outage. Elsewhere they are asked."""
    shop = replace(VIEW, pauses=(pause(PauseScope.TARGET, SHOP, by=BudgetKey.TARGETS),))
    for view, stands in ((ENGAGED, True), (shop, False), (PAST, False)):
        decision = decide(episode(), asking(), view)
        assert decision.reason is Reason.BRAKE
        assert stands_without_facts(decision, episode(), view) is stands


def test_the_lookback_is_the_longest_window_of_any_budget() -> None:
    def looks(brake: Brake) -> timedelta:
        return asking(brake).lookback.brake

    assert looks(Brake()) == timedelta(hours=1)
    assert looks(Brake(Budget())) == timedelta(0)
    assert looks(Brake(Budget(), {"shop": Budget(targets=Rate(1, WINDOW))})) == WINDOW
    assert isinstance(asking().lookback, Lookback)


def test_an_obstacle_demands_nothing() -> None:
    decision = decide(episode(), Obstacle(Reason.NO_RULE, ""), PAST)
    assert (decision.demanded, decision.tripped) == (False, ())


def test_failures_tell_of_each_place_that_they_stop() -> None:
    books = asking(SHOPS).books
    three = (at("a"), at("b"), at("c"))
    said = {each.value: each.detail for each in failures_spent(books, replace(VIEW, failed=three))}
    assert said == {
        "": "3 failed runs, the budget is 3/1h",
        SHOP: "3 failed runs in namespace/shop, the budget is 1/10m",
    }
    running = (pause(by=BudgetKey.FAILURES),)
    again = list(failures_spent(books, replace(VIEW, failed=three, pauses=running)))
    assert [each.value for each in again] == [SHOP]


THIRD = Share(30, WINDOW)


@pytest.mark.parametrize(
    ("percent", "deployments", "allowed"),
    [(30, 12, 3), (30, 13, 3), (30, 14, 4), (30, 3, 1), (30, 0, 1), (1, 99, 1), (1, 200, 2), (100, 7, 7)],
)
def test_a_share_is_rounded_down_and_always_one(percent: int, deployments: int, allowed: int) -> None:
    assert Share(percent, WINDOW).of(deployments) == allowed


TWO = tuple(OTHERS[:2])
SHARES: dict[str, tuple[tuple[Mark, ...], int, bool]] = {
    "as many as the budget with this one": (TWO, 12, True),
    "one more": (tuple(OTHERS[:3]), 12, False),
    "one more, of more Deployments": (tuple(OTHERS[:3]), 14, True),
    "this one is among them": ((*TWO, Mark(CART, NOW)), 12, True),
    "one of them twice": ((*TWO, OTHERS[0]), 12, True),
    "the earliest just within": ((*TWO, at("e", EDGE)), 12, False),
    "the earliest just out": ((*TWO, at("e", WINDOW)), 12, True),
    "one elsewhere": ((*TWO, at("e", namespace="bank")), 12, True),
    "one of another cluster": ((*TWO, at("e", cluster="west")), 12, True),
    "none, of few": ((), 2, True),
    "one, of few": ((OTHERS[0],), 2, False),
}


@pytest.mark.parametrize("name", SHARES)
def test_so_large_a_share_may_be_demanded_and_the_next_stops_the_namespace(name: str) -> None:
    demanded, deployments, allowed = SHARES[name]
    asked = replace(asking(Brake(Budget(share=THIRD))), deployments=deployments)
    for ask in ALL_ASK:
        verdict = ask(asked, replace(VIEW, demanded=Marks.of(demanded)))
        assert (verdict.allows, verdict.demanded) == (allowed, True)
        stopped = [(each.scope, each.value, each.budget) for each in verdict.tripped]
        assert stopped == [(PauseScope.TARGET, SHOP, BudgetKey.SHARE)] * (not allowed)


def test_a_share_tells_what_it_counted() -> None:
    asked = replace(asking(Brake(Budget(share=THIRD))), deployments=12)
    for count, view in (
        (2, replace(VIEW, demanded=Marks.of((OTHERS[0],)))),
        (4, replace(VIEW, demanded=Marks.of(FOUR[:3]))),
    ):
        details = [each.detail for each in ask_at_decision(asked, view).answers if each.guard is Guard.BRAKE]
        assert f"{count} of 12 Deployments of shop, budget 3 (30%/10m)" in details


def test_what_is_said_of_a_namespace_takes_the_place_of_what_is_said_of_all() -> None:
    brake = Brake(Budget(share=THIRD, minimum_healthy=1), {"shop": Budget(share=Share(50, WINDOW))})
    view = replace(VIEW, demanded=Marks.of(FOUR))
    assert ask_at_decision(replace(asking(brake), deployments=12), view).allows
    assert brake.minimum_healthy(CART.space) == 1
    bank = Target("default", "deployment", "bank", "x")
    elsewhere = replace(view, demanded=Marks.of(at(f"t{n}", namespace="bank") for n in range(4)))
    assert not ask_at_decision(replace(asking(brake), target=bank, deployments=12), elsewhere).allows


def test_nothing_begins_before_the_deployments_are_counted() -> None:
    """At the decision that is asked for once all else allows it; a new rulebook may want it later."""
    asked = asking(Brake(Budget(share=THIRD)))
    assert asked.uncounted
    assert ask_at_decision(asked, VIEW).allows
    objection = ask_at_first_intent(asked, VIEW).objection
    assert objection is not None
    assert (objection.guard, objection.answer) == (Guard.BRAKE, Answer.WAITS)
    assert ask_at_first_intent(replace(asked, deployments=1), VIEW).allows
    assert ask_before_step(asked, VIEW).allows, "what has begun goes on"


@pytest.mark.parametrize(
    "asked",
    [
        asking(),
        asking(Brake(Budget(share=THIRD)), mode=Mode.OBSERVE),
        asking(Brake(namespaces={"bank": Budget(share=THIRD)})),
        replace(asking(Brake(Budget(share=THIRD))), target=Target("default", "node", "", "n1")),
        replace(
            asking(Brake(Budget(share=THIRD))), override=Override(frozenset({Guard.BRAKE}), "ada", "I look")
        ),
    ],
    ids=["no share", "observing", "elsewhere", "in no namespace", "passed over"],
)
def test_where_no_share_is_asked_for_nothing_is_counted(asked: Question) -> None:
    assert not asked.uncounted
    assert ask_at_first_intent(asked, replace(VIEW, demanded=Marks.of((OTHERS[0],)))).tripped == ()


def test_the_stricter_of_two_shares_holds_and_the_longest_window_is_looked_at() -> None:
    long = Share(50, 2 * WINDOW)
    for brakes in ((THIRD, long), (long, THIRD)):
        asked = replace(asking(*(Brake(Budget(share=each)) for each in brakes)), deployments=12)
        assert not ask_at_first_intent(asked, replace(VIEW, demanded=Marks.of(FOUR[:3]))).allows
        assert asked.lookback.brake == 2 * WINDOW


HEALTHY: dict[str, tuple[int | None, int, int, bool]] = {
    "no minimum": (None, 3, 0, True),
    "just enough": (1, 3, 1, True),
    "one too few": (2, 3, 1, False),
    "none would be left": (1, 1, 0, False),
    "few anyway, and as few": (2, 1, 1, True),
    "few anyway, and fewer": (2, 1, 0, False),
    "none anyway": (1, 0, 0, True),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_service_keeps_its_minimum_or_what_it_has(name: str) -> None:
    floor, ready, least, allowed = HEALTHY[name]
    brake = Brake(Budget(minimum_healthy=floor))
    asked = replace(asking(brake), sight=Sight(ready=ready, least=least))
    for ask in (ask_at_first_intent, ask_before_step):
        objection = ask(asked, VIEW).objection
        assert (objection is None) is allowed
        if objection is not None:
            said = f"{ready} replicas are ready and at worst {least} would be, the minimum is {floor}"
            assert (objection.reason, objection.detail) == (Reason.MINIMUM_HEALTHY, said)
    assert ask_of_plan(asked, NOW).allows is allowed
    passed = replace(asked, override=Override(frozenset({Guard.MINIMUM_HEALTHY}), "ada", "planned"))
    assert ask_at_first_intent(passed, VIEW).allows


def test_of_two_minimums_the_higher_holds() -> None:
    low, high = Brake(Budget(minimum_healthy=1)), Brake(namespaces={"shop": Budget(minimum_healthy=3)})
    asked = replace(asking(low, high), sight=Sight(ready=4, least=2))
    assert not ask_before_step(asked, VIEW).allows
    assert ask_before_step(replace(asked, sight=None), VIEW).allows, "not looked at yet"
    assert ask_before_step(replace(asked, sight=Sight()), VIEW).allows, "without replicas"
