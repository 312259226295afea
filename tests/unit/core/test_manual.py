"""Requests for manual runs, and the guards that a person may pass over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.core.decide import DecisionKind, decide
from remediator.core.guards import (
    OVERRIDABLE,
    Answer,
    Guard,
    GuardView,
    Override,
    Pause,
    PauseScope,
    ask_at_decision,
    ask_at_first_intent,
)
from remediator.core.manual import SOURCE, Request, fingerprint_of, override_of, request_of
from remediator.core.rules import Mode
from remediator.core.runs import RunState
from tests.unit.core.values import NOW, after, episode, past, question, rule

REQUEST = Request("rollback", "ada", "the new release leaks", {}, frozenset({Guard.COOLDOWN}))
ASKED = replace(episode(), source=SOURCE, labels={}, annotations=REQUEST.annotations)
COOLING = GuardView(NOW, last_acted=past(ended=-1))


def test_a_request_is_read_from_its_episode_as_it_was_made() -> None:
    assert request_of(ASKED) == REQUEST
    assert override_of((ASKED,)) == Override(frozenset({Guard.COOLDOWN}), "ada", "the new release leaks")


def test_an_alert_can_not_pretend_to_be_a_request() -> None:
    """Its annotations are hostile: only the source, which no webhook's token can have, makes a request."""
    pretending = replace(ASKED, source="default")
    assert request_of(pretending) is None
    assert override_of((pretending, ASKED)) is None


def test_what_can_not_be_overridden_is_not_even_if_it_is_written_down() -> None:
    everything = {"remediator.dev/overridden-guards": ",".join(Guard)}
    found = request_of(replace(ASKED, annotations={**ASKED.annotations, **everything}))
    assert found is not None
    assert found.overridden == OVERRIDABLE
    assert OVERRIDABLE.isdisjoint({Guard.MODE, Guard.PAUSE, Guard.SCOPE, Guard.PROTECTION, Guard.QUARANTINE})


@pytest.mark.parametrize("ask", [ask_at_decision, ask_at_first_intent])
def test_an_override_passes_over_its_guard_alone_and_says_so(ask: object) -> None:
    asked = replace(question(), override=REQUEST.override)
    verdict = ask(asked, COOLING)  # type: ignore[operator]  # one of two functions of one shape
    assert verdict.allows
    (cooldown,) = [one for one in verdict.answers if one.guard is Guard.COOLDOWN]
    assert cooldown.detail.startswith("overridden by ada (the new release leaks); else: r-")
    assert not ask(question(), COOLING).allows  # type: ignore[operator]  # as above
    paused = replace(COOLING, pauses=(Pause(1, PauseScope.ALL, "", "storm", "kim", NOW),))
    assert ask(asked, paused).objection.guard is Guard.PAUSE  # type: ignore[operator]  # as above


def test_what_allows_is_left_as_it_is() -> None:
    answers = ask_at_decision(replace(question(), override=REQUEST.override), GuardView(NOW)).answers
    assert {one.answer for one in answers} == {Answer.ALLOWS}
    assert not any("overridden" in one.detail for one in answers)


def test_a_request_waits_for_no_ripeness_and_plans_anew_what_was_only_observed() -> None:
    young = rule(firing_for=5)
    assert decide(ASKED, question(young), GuardView(NOW)).kind is DecisionKind.RUN
    assert decide(episode(), question(young), GuardView(NOW)).kind is DecisionKind.DEFER
    seen = GuardView(NOW, last=replace(past(RunState.OBSERVED, ended=-1), reached_intent=False))
    observing = replace(question(), mode=Mode.OBSERVE)
    assert decide(episode(), observing, seen).kind is DecisionKind.JOIN
    assert decide(ASKED, observing, seen).kind is DecisionKind.RUN


def test_the_same_request_is_the_same_alert() -> None:
    assert fingerprint_of("a") == fingerprint_of("a") != fingerprint_of("b")
    assert len(fingerprint_of("a")) == 16
    assert replace(ASKED, starts_at=after(1)).key == ASKED.key
