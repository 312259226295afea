"""Counts of alerts: which count together, what a rule then decides, and what its templates see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.counts import Counted, Place, Standing, standings
from remediator.core.decide import Decision, DecisionKind, decide, stands_without_facts
from remediator.core.episodes import Episode
from remediator.core.guards import GuardView, Pause, PauseScope, Question
from remediator.core.ids import EpisodeId, RulebookHash, RunId
from remediator.core.manual import SOURCE
from remediator.core.reasons import Reason
from remediator.core.rules import AlertTrigger, Count, Rule, Rulebook
from remediator.core.runs import RunState
from remediator.core.triggers import in_scope, place_of
from tests.unit.core.values import BOOK, CART, NOW, after, episode, past, question, rule

MICROSECOND = timedelta(microseconds=1)
THREE = Count(3, timedelta(minutes=5), ("job",))


def counted(number: int, at: datetime, alert: str = "", **given: object) -> Counted:
    return replace(Counted(EpisodeId(number), alert or f"f{number}", "rollback", at), **given)  # type: ignore[arg-type]  # a row's own


def enough(group: Sequence[Counted], count: Count = THREE) -> set[int]:
    """The episodes for which there are enough."""
    found = standings(group, count).items()
    return {int(episode) for episode, standing in found if standing.enough_at is not None}


def counting(count: Count = THREE, **given: object) -> Rule:
    asked = rule(**given)  # type: ignore[arg-type]  # the rule's own
    assert isinstance(asked.trigger, AlertTrigger)
    return replace(asked, trigger=replace(asked.trigger, count=count))


def asked_with(standing: Standing | None, now: datetime = NOW, **given: object) -> tuple[Question, GuardView]:
    asked = counting()
    seen = replace(episode(), labels={"job": "cart"})
    made = replace(question(asked), place=place_of(seen, asked))
    return made, GuardView(now=now, standing=standing, **given)  # type: ignore[arg-type]  # the view's own


def decided(standing: Standing | None, now: datetime = NOW, **given: object) -> Decision:
    return decide(replace(episode(), labels={"job": "cart"}), *asked_with(standing, now, **given))


# Which count together.


@pytest.mark.parametrize(
    ("minutes", "together"),
    [
        ((0, 1, 2), {0, 1, 2}),
        ((0, 1), set()),
        ((0, 2, 4), {0, 1, 2}),
        ((0, 2, 5), set()),
        ((0, 3, 5.5, 6), {1, 2, 3}),
        ((0, 3, 4, 4.5, 6), {0, 1, 2, 3, 4}),
        ((0, 5, 10, 15), set()),
        ((0, 0, 0), {0, 1, 2}),
    ],
)
def test_as_many_as_are_asked_for_within_the_window_are_enough(
    minutes: tuple[float, ...], together: set[int]
) -> None:
    assert enough([counted(number, after(at)) for number, at in enumerate(minutes)]) == together


@pytest.mark.parametrize("inside", [True, False])
def test_what_is_exactly_as_far_apart_as_the_window_is_not_together(*, inside: bool) -> None:
    last = after(5) - inside * MICROSECOND
    group = [counted(1, NOW), counted(2, after(1)), counted(3, last)]
    assert bool(enough(group)) is inside


def test_one_alert_that_flaps_is_not_many() -> None:
    group = [counted(number, after(number), "flapping") for number in range(4)]
    assert standings(group, THREE)[EpisodeId(0)].seen == 1
    assert enough([*group, counted(8, after(2), "a"), counted(9, after(3), "b")]) == {0, 1, 2, 3, 8, 9}


def test_what_a_run_used_up_or_went_on_counts_for_no_other() -> None:
    used = counted(1, NOW, run=RunId("r-1"))
    gone = counted(2, NOW, passed=True)
    group = [used, gone, counted(3, NOW), counted(4, NOW)]
    found = standings(group, THREE)
    assert found[EpisodeId(3)] == Standing(2, None, after(5))
    assert found[EpisodeId(1)].enough_at == NOW, "itself is not asked to wait once more"
    assert found[EpisodeId(2)] == Standing(0, None, after(5))


def test_it_is_told_how_many_there_are_and_since_when_that_is_enough() -> None:
    found = standings([counted(number, after(number)) for number in range(4)], THREE)
    assert {int(episode): each.seen for episode, each in found.items()} == dict.fromkeys(range(4), 4)
    assert [each.enough_at for each in found.values()] == [after(2), after(2), after(2), after(3)]
    assert [each.over_at for each in found.values()] == [after(5 + number) for number in range(4)]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=14),
    st.integers(1, 4),
    st.integers(1, 12),
)
def test_enough_are_those_in_some_window_with_enough_alerts(
    fired: list[tuple[int, int]], at_least: int, within: int
) -> None:
    """As written: a window that begins with one of them, holds the asked one, and holds enough alerts."""
    count = Count(at_least, timedelta(minutes=within), ("job",))
    group = [counted(number, after(at), f"f{alert}") for number, (at, alert) in enumerate(fired)]
    expected = set()
    for number, (mine, _) in enumerate(fired):
        for begins, _ in fired:
            alerts = {alert for at, alert in fired if begins <= at < begins + within}
            if begins <= mine < begins + within and len(alerts) >= at_least:
                expected.add(number)
    assert enough(group, count) == expected
    for standing in standings(group, count).values():
        assert (standing.seen >= at_least) is (standing.enough_at is not None)


# What is decided.


def test_too_few_wait_until_their_window_is_over() -> None:
    decision = decided(Standing(2, None, after(5)))
    assert (decision.kind, decision.reason) == (DecisionKind.DEFER, Reason.COUNT)
    assert (decision.not_before, decision.expires) == (after(5), after(5))
    assert decision.detail == "2 of 3 within 5m (job=cart)"
    assert not decision.too_few
    assert not decision.report


@pytest.mark.parametrize("over", [True, False])
def test_who_waited_in_vain_goes_on_to_the_next_rule_at_the_very_end(*, over: bool) -> None:
    now = after(5) - (not over) * MICROSECOND
    decision = decided(Standing(2, None, after(5)), now)
    assert (decision.kind, decision.reason, decision.too_few) == (DecisionKind.DEFER, Reason.COUNT, over)
    if over:
        assert decision.not_before == now
        assert decision.detail == "2 of 3 within 5m (job=cart): on to the next rule"


def test_enough_are_decided_on_like_any_other() -> None:
    assert decided(Standing(3, NOW, after(5))).kind is DecisionKind.RUN


def test_the_deadline_counts_from_when_there_were_enough() -> None:
    busy = (CART, CART, CART)
    late = Standing(3, after(4), after(5))
    assert decided(late, after(15), busy=busy).expires == after(19)
    assert decided(late, after(19), busy=busy).reason is Reason.EXPIRED


def test_who_is_not_counted_yet_is_asked_about_again() -> None:
    decision = decided(None)
    assert (decision.kind, decision.reason, decision.not_before) == (DecisionKind.DEFER, Reason.COUNT, NOW)


def test_one_more_joins_a_run_whatever_is_counted() -> None:
    running = past(RunState.ACTING, ended=None)
    assert decided(Standing(1, None, after(5)), unfinished=running).kind is DecisionKind.JOIN


def test_one_alone_tells_that_the_repair_did_not_last() -> None:
    """Law 2: whatever starts within the cooldown is no reason to wait, but to call somebody."""
    acted = past(ended=-1)
    decision = decided(Standing(1, None, after(5)), last_acted=acted)
    assert (decision.kind, decision.reason, decision.page) == (DecisionKind.SKIP, Reason.COOLDOWN, True)
    assert not decision.demanded
    later = decided(Standing(1, None, after(20)), after(15), last_acted=acted)
    assert later.reason is Reason.COUNT


def test_what_else_a_guard_says_is_not_asked_before_there_are_enough() -> None:
    pause = Pause(1, PauseScope.ALL, "", "why", "ada", NOW)
    assert decided(Standing(1, None, after(5)), pauses=(pause,)).reason is Reason.COUNT
    assert decided(Standing(3, NOW, after(5)), pauses=(pause,)).reason is Reason.PAUSED


def test_a_rule_that_only_pages_counts_too() -> None:
    asked = counting(steps=())
    seen = replace(episode(), labels={"job": "cart"})
    made = replace(question(asked), place=place_of(seen, asked))
    few, many = Standing(1, None, after(5)), Standing(3, NOW, after(5))
    assert decide(seen, made, GuardView(now=NOW, standing=few)).reason is Reason.COUNT
    assert decide(seen, made, GuardView(now=NOW, standing=many)).reason is Reason.PAGE_ONLY


def test_a_rule_waits_for_others_without_asking_for_its_facts() -> None:
    asked, view = asked_with(Standing(2, None, after(5)))
    seen = replace(episode(), labels={"job": "cart"})
    assert stands_without_facts(decide(seen, asked, view), seen, view)


# Where an episode counts, and what is seen of it.


def test_an_episode_counts_from_when_it_has_fired_for_long_enough() -> None:
    def at(asked: Rule, seen: Episode) -> datetime | None:
        place = place_of(seen, asked)
        return None if place is None else place.at

    assert at(counting(), episode(starts=-9, seen=0)) == NOW
    assert at(counting(firing_for=2), episode(starts=-1, seen=0)) == after(1)
    assert at(counting(firing_for=2), episode(starts=-9, seen=0)) == NOW
    assert at(counting(firing_for=2), episode(starts=3, seen=0)) == after(2)
    assert at(rule(), episode()) is None


def test_those_count_together_that_share_the_labels_in_whatever_order_they_are_named() -> None:
    seen = replace(episode(), labels={"job": "cart", "zone": "a"})
    places = [
        place_of(seen, counting(replace(THREE, by=by)))
        for by in (("job", "zone", "missing"), ("missing", "zone", "job"))
    ]
    assert [isinstance(place, Place) and place.by for place in places] == [
        (("job", "cart"), ("missing", ""), ("zone", "a"))
    ] * 2


def test_what_a_person_asks_for_waits_for_no_others() -> None:
    assert place_of(replace(episode(), source=SOURCE), counting()) is None


def test_a_rule_that_counts_sees_what_its_alerts_share() -> None:
    seen = replace(episode(), labels={"job": "cart", "instance": "1"}, annotations={"a": "b"})
    assert in_scope(counting(), seen, {"undo": {"n": 1}}) == {
        "labels": {"job": "cart"},
        "steps": {"undo": {"n": 1}},
    }
    assert in_scope(counting(replace(THREE, by=("zone",))), seen)["labels"] == {}
    whole = in_scope(rule(), seen)
    assert whole["labels"] == seen.labels
    assert whole["annotations"] == seen.annotations
    assert whole["starts_at"] == seen.starts_at.isoformat()


def test_a_question_looks_back_at_its_place() -> None:
    asked, _ = asked_with(None)
    assert asked.lookback.place == asked.place
    plain = Question(rule(), CART, asked.mode, (Rulebook(RulebookHash(BOOK), (rule(),)),))
    assert plain.lookback.place is None
