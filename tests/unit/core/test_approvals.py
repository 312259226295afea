"""Law 7: what a person is asked, whose answer counts, and what it binds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.approvals import (
    Answer,
    Approval,
    How,
    Objection,
    Obstacle,
    PlannedStep,
    Proposal,
    Settled,
    departure,
    difference,
    judge,
    lapse,
    read_ticket,
    settle,
)
from remediator.core.guards import GuardView, Question, ask_at_decision, ask_at_first_intent, ask_before_step
from remediator.core.ids import PlanDigest, RulebookHash, RunId
from remediator.core.reasons import Reason
from remediator.core.rules import ApprovalTerms, Mode, Otherwise, Rule, Rulebook
from remediator.core.runs import Phase
from tests.unit.core.values import BOOK, CART, NOW, after, question, rule

UNDO = PlannedStep(
    "undo",
    "kubernetes.rollout_undo",
    {"to_revision": 2},
    "cart: revision 3 → 2",
    "-a\n+b",
    {"uid": "u", "before": "x", "after": "y"},
    {"uid": "u", "after": "y"},
)
FALL_BACK = PlannedStep("restart", "kubernetes.rollout_restart", {}, "restart, if that fails", open=True)
PROPOSAL = Proposal(BOOK, "rollback", CART, Phase.STEPS, (UNDO,), (FALL_BACK,))


def asking(otherwise: Otherwise = Otherwise.ESCALATE, proposal: Proposal = PROPOSAL) -> Approval:
    return Approval(RunId("r-1"), 1, proposal.digest, proposal, ("ada", "sam"), NOW, after(10), otherwise)


def says(*, granted: bool = True, who: str = "ada", how: How = How.API, digest: str | None = None) -> Answer:
    return Answer(granted, who, "looks right", how, None if digest is None else PlanDigest(digest))


MICRO = timedelta(microseconds=1)
OTHER = "f" * 64


@pytest.mark.parametrize(
    ("latest", "answer", "now", "expected"),
    [
        (asking(), says(), NOW, Settled.GRANTED),
        (asking(), says(granted=False), NOW, Settled.DENIED),
        (asking(), says(digest=PROPOSAL.digest), NOW, Settled.GRANTED),
        (asking(), says(digest=PROPOSAL.digest[:12]), NOW, Settled.GRANTED),
        (asking(), says(digest=OTHER), NOW, Obstacle.OTHER_PLAN),
        (asking(), says(granted=False, digest=OTHER), NOW, Obstacle.OTHER_PLAN),
        (asking(), says(), after(10) - MICRO, Settled.GRANTED),
        (asking(), says(), after(10), Obstacle.TOO_LATE),
        (asking(), says(granted=False), after(10), Obstacle.TOO_LATE),
        (None, says(), NOW, Obstacle.NOTHING_ASKED),
    ],
)
def test_an_answer_counts_in_time_and_for_the_plan_that_it_saw(
    latest: Approval | None, answer: Answer, now: datetime, expected: Settled | Obstacle
) -> None:
    found = judge(latest, answer, now)
    if isinstance(expected, Obstacle):
        assert isinstance(found, Objection)
        assert found.obstacle is expected
        return
    assert isinstance(found, Approval)
    assert (found.settled, found.settled_at) == (expected, now)
    assert (found.who, found.why, found.how) == ("ada", "looks right", How.API)


ENDS = {
    "granted": settle(asking(), Settled.GRANTED, NOW, who="ada", how=How.API),
    "denied": settle(asking(), Settled.DENIED, NOW, who="ada", how=How.API),
    "lapsed": settle(asking(), Settled.LAPSED, after(10)),
    "withdrawn": settle(asking(), Settled.WITHDRAWN, NOW, why="resolved by itself"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("answer", [says(who="sam"), says(granted=False, who="sam")])
def test_the_first_answer_counts_and_whoever_is_second_is_told(end: str, answer: Answer) -> None:
    found = judge(ENDS[end], answer, after(1))
    assert isinstance(found, Objection)
    assert found.obstacle is Obstacle.ANSWERED
    assert ENDS[end].outcome in found.detail


def test_the_same_answer_once_more_is_known_as_such_and_another_by_the_same_person_is_not() -> None:
    for end, granted in (("granted", True), ("denied", False)):
        same, other = (
            judge(ENDS[end], says(granted=granted), NOW),
            judge(ENDS[end], says(granted=not granted), NOW),
        )
        assert isinstance(same, Objection)
        assert isinstance(other, Objection)
        assert (same.obstacle, other.obstacle) == (Obstacle.REPEATED, Obstacle.ANSWERED)


def test_an_old_button_is_told_of_the_new_plan_though_it_was_answered() -> None:
    found = judge(ENDS["granted"], says(digest=OTHER), NOW)
    assert isinstance(found, Objection)
    assert found.obstacle is Obstacle.OTHER_PLAN


@pytest.mark.parametrize(
    ("otherwise", "settled"),
    [
        (Otherwise.ESCALATE, Settled.LAPSED),
        (Otherwise.SKIP, Settled.LAPSED),
        (Otherwise.RUN, Settled.GRANTED),
    ],
)
def test_it_lapses_at_its_very_end_and_goes_on_only_where_the_rule_says_so(
    otherwise: Otherwise, settled: Settled
) -> None:
    assert lapse(asking(otherwise), after(10) - MICRO) is None
    ended = lapse(asking(otherwise), after(10))
    assert ended is not None
    assert (ended.settled, ended.who, ended.how) == (settled, "", How.NOBODY)


@pytest.mark.parametrize("end", ENDS)
def test_what_has_its_end_never_lapses(end: str) -> None:
    assert lapse(ENDS[end], after(60)) is None
    assert lapse(None, after(60)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"rulebook": RulebookHash("c" * 64)},
        {"rule": "other"},
        {"target": replace(CART, name="auth")},
        {"phase": Phase.ON_FAILURE},
        {"steps": ()},
        {"steps": (UNDO, UNDO)},
        {"fallback": ()},
        {"steps": (replace(UNDO, step="other"),)},
        {"steps": (replace(UNDO, action="kubernetes.scale"),)},
        {"steps": (replace(UNDO, params={"to_revision": 1}),)},
        {"steps": (replace(UNDO, params={}),)},
        {"steps": (replace(UNDO, data={**UNDO.data, "before": "z"}),)},
        {"steps": (replace(UNDO, data={}),)},
    ],
    ids=str,
)
def test_the_digest_covers_all_that_is_done(changed: Mapping[str, Any]) -> None:
    other: Proposal = replace(PROPOSAL, **changed)
    assert other.digest != PROPOSAL.digest
    assert len(other.digest) == 64


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans()), max_size=5))
def test_the_digest_does_not_know_in_which_order_things_were_written(data: dict[str, Any]) -> None:
    turned = dict(reversed(data.items()))
    one, two = (replace(PROPOSAL, steps=(replace(UNDO, data=each),)) for each in (data, turned))
    assert one.digest == two.digest


def test_how_a_plan_reads_is_not_what_it_does() -> None:
    told = replace(PROPOSAL, steps=(replace(UNDO, summary="other words", diff=""),))
    assert told.digest == PROPOSAL.digest


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"summary": "cart: revision 4 → 3", "data": {}}, "revision 3 → 2” has become “cart: revision 4 → 3"),
        ({"data": {**UNDO.data, "before": "z"}}, "undo: before changed"),
        ({"params": {}}, "undo: its parameters changed"),
        ({}, ""),
    ],
)
def test_people_are_told_in_what_a_plan_differs(part: Mapping[str, Any], told: str) -> None:
    other = replace(PROPOSAL, steps=(replace(UNDO, **part),))
    assert told in difference(PROPOSAL, other)
    assert bool(difference(PROPOSAL, other)) is bool(told)


def test_beginning_with_what_was_to_be_fallen_back_to_is_another_plan() -> None:
    fallen = Proposal(BOOK, "rollback", CART, Phase.ON_FAILURE, (replace(FALL_BACK, open=False),))
    assert "kubernetes.rollout_restart" in difference(PROPOSAL, fallen)


@pytest.mark.parametrize(
    ("part", "departs"),
    [
        ({}, False),
        ({"data": {"before": "elsewhere"}}, False),
        ({"summary": "other words"}, False),
        ({"goal": {"uid": "u", "after": "z"}}, True),
        ({"params": {"to_revision": 1}}, True),
        ({"action": "kubernetes.scale"}, True),
        ({"step": "other"}, True),
    ],
)
def test_a_later_step_may_start_elsewhere_and_has_to_lead_where_it_was_approved_to(
    part: Mapping[str, Any], *, departs: bool
) -> None:
    assert bool(departure(UNDO, replace(UNDO, **part))) is departs


def test_of_a_step_that_could_not_be_planned_before_the_action_is_bound() -> None:
    planned = replace(UNDO, step="restart", action="kubernetes.rollout_restart")
    assert not departure(FALL_BACK, planned)
    assert departure(FALL_BACK, replace(planned, action="kubernetes.scale"))


def test_a_ticket_is_read_back_and_nothing_else_is_one() -> None:
    assert read_ticket(asking().ticket) == (RunId("r-1"), PROPOSAL.digest)
    for text in (
        "",
        "r-1",
        f"r-1 {'g' * 64}",
        f"r-1 {PROPOSAL.digest} ",
        f"r 1 {PROPOSAL.digest}",
        "r-1 abc",
    ):
        assert read_ticket(text) is None


# As a guard.

TERMS = ApprovalTerms(timedelta(minutes=5))


def asked_of(mode: Mode, written: ApprovalTerms | None, *, active: ApprovalTerms | None = None) -> Question:
    pinned, now = (replace(rule(mode=mode), approval=terms) for terms in (written, active))
    books = (Rulebook(BOOK, (pinned,)), Rulebook(BOOK, (now,)))
    return replace(question(pinned, *books, mode=mode), digest=PROPOSAL.digest)


@pytest.mark.parametrize(
    ("about", "terms"),
    [
        (asked_of(Mode.LIVE, None), None),
        (asked_of(Mode.LIVE, TERMS), TERMS),
        (asked_of(Mode.APPROVE, None), ApprovalTerms(timedelta(minutes=10), Otherwise.ESCALATE)),
        (asked_of(Mode.APPROVE, TERMS), TERMS),
        (asked_of(Mode.LIVE, None, active=TERMS), TERMS),
        (asked_of(Mode.LIVE, TERMS, active=ApprovalTerms(timedelta(1))), TERMS),
    ],
)
def test_who_asks_and_on_what_terms(about: Question, terms: ApprovalTerms | None) -> None:
    """In `approve` every run, in `live` one whose rule says so, now or when it began: the stricter holds."""
    assert about.approval == terms


VIEW = GuardView(NOW)


@pytest.mark.parametrize(
    ("approval", "digest", "reason"),
    [
        (None, PROPOSAL.digest, Reason.UNAPPROVED),
        (asking(), PROPOSAL.digest, Reason.UNAPPROVED),
        (ENDS["denied"], PROPOSAL.digest, Reason.UNAPPROVED),
        (ENDS["lapsed"], PROPOSAL.digest, Reason.UNAPPROVED),
        (ENDS["withdrawn"], PROPOSAL.digest, Reason.UNAPPROVED),
        (ENDS["granted"], OTHER, Reason.OUTDATED),
        (ENDS["granted"], None, Reason.OUTDATED),
        (ENDS["granted"], PROPOSAL.digest, None),
    ],
)
def test_only_what_was_approved_is_done(
    approval: Approval | None, digest: PlanDigest | None, reason: Reason | None
) -> None:
    asked = replace(asked_of(Mode.APPROVE, None), digest=digest)
    objection = ask_at_first_intent(asked, replace(VIEW, approval=approval)).objection
    assert (objection.reason if objection else None) is reason


def test_who_need_not_ask_acts_without_an_approval() -> None:
    assert ask_at_first_intent(asked_of(Mode.LIVE, None), VIEW).allows


@pytest.mark.parametrize("ask", [ask_at_decision, ask_before_step])
def test_a_decision_and_a_later_step_wait_for_nobody(ask: Callable[[Question, GuardView], Any]) -> None:
    assert ask(asked_of(Mode.APPROVE, None), VIEW).allows


def test_a_rule_says_whom_it_asks_in_its_own_mode_alone() -> None:
    written: Rule = rule()
    assert written.approval_in(Mode.LIVE) is None
    assert written.approval_in(Mode.APPROVE) is not None
