"""Limits at their boundaries: how often, on how many targets, how soon again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.core.decide import DecisionKind, decide
from remediator.core.guards import (
    Answer,
    Guard,
    GuardAnswer,
    GuardView,
    Lookback,
    Question,
    Slot,
    ask_at_decision,
    ask_at_first_intent,
    ask_before_step,
)
from remediator.core.ids import RunId
from remediator.core.reasons import Reason
from remediator.core.rules import Limits, Mode, Rate, Rule, Rulebook
from remediator.core.targets import Target
from tests.unit.core.values import BOOK, CART, NOW, after, episode, past, question, rule

HOUR, MINUTE, MICROSECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(microseconds=1)
VIEW = GuardView(NOW)


def slot(ago: timedelta, *, on: str = "cart", of: str = "rollback", taken: bool = True) -> Slot:
    return Slot(RunId("r-x"), of, Target("default", "deployment", "shop", on), NOW - ago, taken)


def limited(*, was: tuple[str, ...] = (), **limits: object) -> Rule:
    return replace(rule(), was=was, limits=replace(Limits(timedelta(0)), **limits))  # type: ignore[arg-type]  # a table's values


def answer(asked: Question, view: GuardView, guard: Guard) -> GuardAnswer:
    (found,) = [each for each in ask_at_first_intent(asked, view).answers if each.guard is guard]
    return found


RATE, EDGE = Rate(2, HOUR), HOUR - MICROSECOND
RATES = {
    "none": ((), Answer.ALLOWS),
    "one less": ((slot(MINUTE),), Answer.ALLOWS),
    "as many": ((slot(MINUTE), slot(2 * MINUTE)), Answer.REFUSES),
    "the earliest just within": ((slot(MINUTE), slot(EDGE)), Answer.REFUSES),
    "the earliest just out": ((slot(MINUTE), slot(HOUR)), Answer.ALLOWS),
    "on another target": ((slot(MINUTE), slot(MINUTE, on="pay")), Answer.ALLOWS),
    "of another rule": ((slot(MINUTE), slot(MINUTE, of="restart")), Answer.ALLOWS),
    "of its earlier name": ((slot(MINUTE), slot(MINUTE, of="undo")), Answer.REFUSES),
    "one that is about to": ((slot(MINUTE), slot(MINUTE, taken=False)), Answer.WAITS),
    "at this very moment": ((slot(0 * HOUR), slot(0 * HOUR)), Answer.REFUSES),
}


@pytest.mark.parametrize("name", RATES)
def test_a_rule_acts_on_a_target_so_often_and_no_more(name: str) -> None:
    slots, expected = RATES[name]
    asked = question(limited(was=("undo",), rate=(RATE,)))
    said = answer(asked, replace(VIEW, slots=slots), Guard.RATE)
    assert said.answer is expected
    assert said.reason is (None if expected is Answer.ALLOWS else Reason.RATE)


@pytest.mark.parametrize("rates", [(RATE, Rate(3, 24 * HOUR)), (Rate(3, 24 * HOUR), RATE)])
def test_each_window_of_a_rate_holds(rates: tuple[Rate, ...]) -> None:
    asked = question(limited(rate=rates))
    hourly = replace(VIEW, slots=(slot(MINUTE), slot(MINUTE)))
    daily = replace(VIEW, slots=(slot(MINUTE), slot(2 * HOUR), slot(3 * HOUR)))
    for view in (hourly, daily):
        assert answer(asked, view, Guard.RATE).answer is Answer.REFUSES
    assert answer(asked, replace(VIEW, slots=(slot(MINUTE), slot(2 * HOUR))), Guard.RATE).detail == (
        "1 of 2/1h, 2 of 3/1d" if rates[0] is RATE else "2 of 3/1d, 1 of 2/1h"
    )


TARGETS = {
    "none": ((), Answer.ALLOWS),
    "one less": ((slot(MINUTE, on="a"),), Answer.ALLOWS),
    "as many others": ((slot(MINUTE, on="a"), slot(MINUTE, on="b")), Answer.REFUSES),
    "one of them twice": ((slot(MINUTE, on="a"), slot(MINUTE, on="a")), Answer.ALLOWS),
    "one that it is on already": ((slot(MINUTE), slot(MINUTE, on="b")), Answer.ALLOWS),
    "the earliest just within": ((slot(EDGE, on="a"), slot(MINUTE, on="b")), Answer.REFUSES),
    "the earliest just out": ((slot(HOUR, on="a"), slot(MINUTE, on="b")), Answer.ALLOWS),
    "of another rule": ((slot(MINUTE, on="a"), slot(MINUTE, on="b", of="restart")), Answer.ALLOWS),
    "of its earlier name": ((slot(MINUTE, on="a"), slot(MINUTE, on="b", of="undo")), Answer.REFUSES),
    "one that is about to": ((slot(MINUTE, on="a"), slot(MINUTE, on="b", taken=False)), Answer.WAITS),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_rule_acts_on_so_many_targets_and_no_more(name: str) -> None:
    slots, expected = TARGETS[name]
    asked = question(limited(was=("undo",), targets=RATE))
    said = answer(asked, replace(VIEW, slots=slots), Guard.TARGETS)
    assert said.answer is expected
    assert said.reason is (None if expected is Answer.ALLOWS else Reason.TARGETS)


def shared(**limits: object) -> Question:
    asked = limited()
    both = Rulebook(BOOK, (asked,), per_target=replace(Limits(timedelta(0)), **limits))  # type: ignore[arg-type]  # a table's values
    return question(asked, both)


PER_TARGET = {
    "one less": ((slot(MINUTE, of="a"),), Answer.ALLOWS),
    "as many, whoever did it": ((slot(MINUTE, of="a"), slot(EDGE, of="b")), Answer.REFUSES),
    "the earliest just out": ((slot(MINUTE, of="a"), slot(HOUR, of="b")), Answer.ALLOWS),
    "on another target": ((slot(MINUTE), slot(MINUTE, on="pay")), Answer.ALLOWS),
    "one that is about to": ((slot(MINUTE), slot(MINUTE, of="b", taken=False)), Answer.WAITS),
}


@pytest.mark.parametrize("name", PER_TARGET)
def test_all_rules_together_act_on_a_target_so_often_and_no_more(name: str) -> None:
    slots, expected = PER_TARGET[name]
    said = answer(shared(rate=(RATE,)), replace(VIEW, slots=slots), Guard.PER_TARGET)
    assert said.answer is expected


@pytest.mark.parametrize(("ago", "allowed"), [(MINUTE * 5, True), (MINUTE * 5 - MICROSECOND, False)])
def test_a_target_is_left_alone_after_any_rules_run(ago: timedelta, *, allowed: bool) -> None:
    view = replace(VIEW, now=after(0) + ago, last_on_target=past(ended=0))
    assert (answer(shared(cooldown=5 * MINUTE), view, Guard.PER_TARGET).answer is Answer.ALLOWS) is allowed
    assert answer(question(), view, Guard.PER_TARGET).answer is Answer.ALLOWS


TAKEN = replace(VIEW, slots=(slot(MINUTE), slot(MINUTE, on="a")), last_on_target=past(ended=-1))
STRICT = {
    Guard.RATE: Rulebook(BOOK, (limited(rate=(Rate(1, HOUR),)),)),
    Guard.TARGETS: Rulebook(BOOK, (limited(targets=Rate(1, HOUR)),)),
    Guard.PER_TARGET: Rulebook(BOOK, (limited(),), per_target=Limits(2 * MINUTE)),
}


@pytest.mark.parametrize("guard", STRICT)
def test_of_the_pinned_and_the_active_limits_the_stricter_holds(guard: Guard) -> None:
    easy = Rulebook(BOOK, (limited(),))
    assert answer(question(limited(), easy, easy), TAKEN, guard).answer is Answer.ALLOWS
    for books in ((STRICT[guard], easy), (easy, STRICT[guard])):
        assert answer(question(limited(), *books), TAKEN, guard).answer is Answer.REFUSES


def test_limits_are_asked_at_the_decision_and_at_the_first_intent_and_not_after_it() -> None:
    asked = question(limited(rate=(Rate(1, HOUR),)))
    assert not ask_at_decision(asked, TAKEN).allows
    assert not ask_at_first_intent(asked, TAKEN).allows
    assert ask_before_step(asked, TAKEN).allows


@pytest.mark.parametrize("guard", STRICT)
def test_what_a_limit_refuses_is_a_persons_and_what_it_holds_back_comes_again(guard: Guard) -> None:
    about, asked = episode(), question(limited(), STRICT[guard])
    decision = decide(about, asked, TAKEN)
    assert (decision.kind, decision.reason.value) == (DecisionKind.SKIP, guard.value)
    assert (decision.report, decision.page) == (True, True)
    waiting = tuple(replace(each, taken=False) for each in TAKEN.slots)
    if guard is not Guard.PER_TARGET:
        decision = decide(about, asked, replace(TAKEN, slots=waiting))
        assert (decision.kind, decision.reason.value) == (DecisionKind.DEFER, guard.value)


def test_the_lookback_is_the_longest_window_of_all_that_applies() -> None:
    books = (
        Rulebook(BOOK, (limited(rate=(RATE, Rate(9, 3 * HOUR))),)),
        Rulebook(BOOK, (limited(was=("undo",), targets=Rate(9, 2 * HOUR)),), per_target=Limits(4 * HOUR)),
    )
    names = frozenset({"rollback", "undo"})
    assert question(limited(), *books).lookback == Lookback(names, 4 * HOUR, HOUR)
    assert Question(limited(), CART, Mode.LIVE, books[:1]).lookback == Lookback(
        names - {"undo"}, 3 * HOUR, HOUR
    )
    assert question(limited()).lookback == Lookback(frozenset({"rollback"}), brake=HOUR)
