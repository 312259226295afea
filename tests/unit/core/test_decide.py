"""Decide and the guards: each answer at its boundary, each kind of decision, each reason within reach."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.core.decide import Decision, DecisionKind, Obstacle, decide
from remediator.core.episodes import Closed
from remediator.core.freezes import Dates, Freeze
from remediator.core.guards import (
    Answer,
    BudgetKey,
    Guard,
    GuardView,
    Pause,
    PauseScope,
    Quarantine,
    Question,
    Slot,
    ask_at_decision,
    ask_at_first_intent,
    ask_before_plan,
    ask_before_step,
)
from remediator.core.ids import RunId
from remediator.core.reasons import Reason
from remediator.core.rules import Brake, Budget, Limits, Mode, Rate, Rulebook
from remediator.core.runs import RunState
from remediator.core.selections import Selection
from remediator.core.targets import Target
from tests.unit.core.values import BOOK, CART, NOW, after, episode, past, question, rule

VIEW = GuardView(NOW)
MICROSECOND = timedelta(microseconds=1)


def a_pause(scope: PauseScope = PauseScope.ALL, value: str = "", until: float | None = None) -> Pause:
    return Pause(1, scope, value, "storm", "kim", NOW, None if until is None else after(until))


FROZEN = Freeze("Launch", Dates(NOW, after(5)), Selection())
HELD = Quarantine(CART, RunId("r-x"), None, "lost", NOW)


@pytest.mark.parametrize(
    ("scope", "value", "covered"),
    [
        (PauseScope.ALL, "", True),
        (PauseScope.RULE, "rollback", True),
        (PauseScope.RULE, "other", False),
        (PauseScope.TARGET, "deployment/shop/cart", True),
        (PauseScope.TARGET, "deployment/shop/cart2", False),
    ],
)
def test_a_pause_stops_what_it_names(scope: PauseScope, value: str, *, covered: bool) -> None:
    view = replace(VIEW, pauses=(a_pause(scope, value),))
    objection = ask_at_decision(question(), view).objection
    assert (objection is not None and objection.reason is Reason.PAUSED) is covered


def test_a_pause_is_over_at_its_very_end() -> None:
    view = replace(VIEW, pauses=(a_pause(until=5),))
    assert not ask_at_decision(question(), replace(view, now=after(5) - MICROSECOND)).allows
    assert ask_at_decision(question(), replace(view, now=after(5))).allows


def test_a_pause_refuses_an_episode_and_holds_a_run() -> None:
    """A skip is final for its episode; what has begun waits instead (law 11)."""
    view = replace(VIEW, pauses=(a_pause(),))
    asked = [
        ask(question(), view).objection for ask in (ask_at_decision, ask_at_first_intent, ask_before_step)
    ]
    assert [one and one.answer for one in asked] == [Answer.REFUSES, Answer.WAITS, Answer.WAITS]


def test_within_a_critical_section_a_pause_waits_and_nothing_else_does() -> None:
    inside = replace(question(), critical=True)
    paused = ask_before_step(inside, replace(VIEW, pauses=(a_pause(),)))
    (said,) = [each for each in paused.answers if each.guard is Guard.PAUSE]
    assert paused.allows
    assert said.detail == "paused by kim: storm; it waits until the critical section is over"
    objection = ask_before_step(inside, replace(VIEW, quarantines=(HELD,))).objection
    assert objection is not None
    assert objection.reason is Reason.QUARANTINED


def test_a_freeze_keeps_a_run_from_beginning_and_lets_one_that_has_begun_go_on() -> None:
    """It is an entry guard: what was changed is proven and fallen back from in a freeze too."""
    asked = question()
    in_force = replace(asked, books=(*asked.books, replace(asked.books[0], freezes=(FROZEN,))))
    for ask in (ask_at_decision, ask_at_first_intent):
        objection = ask(in_force, VIEW).objection
        assert objection is not None
        assert (objection.answer, objection.reason) == (Answer.REFUSES, Reason.FROZEN)
        assert objection.detail == "Launch, until 2026-03-01 12:05 UTC"
        assert ask(in_force, replace(VIEW, now=after(5))).allows
    assert ask_before_step(in_force, VIEW).allows


def test_the_cooldown_is_over_at_its_very_end() -> None:
    view = replace(VIEW, last_acted=past(ended=0))
    at_end = ask_at_decision(question(), replace(view, now=after(15)))
    before = ask_at_decision(question(), replace(view, now=after(15) - MICROSECOND))
    assert at_end.allows
    assert before.objection is not None
    assert before.objection.reason is Reason.COOLDOWN


def test_the_cooldown_is_asked_again_at_the_first_intent_and_not_after_it() -> None:
    view = replace(VIEW, last_acted=past())
    assert not ask_at_first_intent(question(), view).allows
    assert ask_before_step(question(), view).allows


@pytest.mark.parametrize("before", [True, False])
def test_acting_waits_out_a_jump_of_the_clock(*, before: bool) -> None:
    view = replace(VIEW, now=after(1) - before * MICROSECOND, acting_from=after(1))
    objection = ask_at_first_intent(question(), view).objection
    assert (objection is not None and objection.reason is Reason.CLOCK) is before


@pytest.mark.parametrize(
    ("selection", "target", "covered"),
    [
        (Selection(), CART, True),
        (Selection(namespaces=("shop",)), CART, True),
        (Selection(namespaces=("sho?",)), CART, True),
        (Selection(namespaces=("sho",)), CART, False),
        (Selection(namespaces=("SHOP",)), CART, False),
        (Selection(namespaces=("a", "s*")), CART, True),
        (Selection(namespaces=("shop",), names=("pay*",)), CART, False),
        (Selection(kinds=("node",)), CART, False),
        (Selection(namespaces=("shop",)), Target("default", "node", "", "shop"), False),
        (Selection(namespaces=("shop",)), Target("default", "namespace", "", "shop"), True),
    ],
)
def test_a_selection_holds_if_each_of_its_lists_does(
    selection: Selection, target: Target, *, covered: bool
) -> None:
    assert selection.covers(target) is covered
    book = Rulebook(BOOK, (rule(),), protect=(selection,))
    protected = ask_before_step(Question(rule(), target, Mode.LIVE, (book,)), VIEW).objection
    assert (protected is not None and protected.reason is Reason.PROTECTED) is covered
    book = Rulebook(BOOK, (rule(),), scope=selection)
    outside = ask_before_step(Question(rule(), target, Mode.LIVE, (book,)), VIEW).objection
    assert (outside is not None and outside.reason is Reason.SCOPE) is not covered


@pytest.mark.parametrize("kind", ["deployment", "namespace"])
@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease"])
def test_the_cluster_s_own_namespaces_are_protected_whatever_a_rulebook_says(
    kind: str, namespace: str
) -> None:
    target = (
        Target("prod", kind, namespace, "dns")
        if kind == "deployment"
        else Target("prod", kind, "", namespace)
    )
    book = Rulebook(BOOK, (rule(),), scope=Selection(namespaces=("*",)))
    objection = ask_before_step(Question(rule(), target, Mode.LIVE, (book,)), VIEW).objection
    assert objection is not None
    assert objection.reason is Reason.PROTECTED


STRICT = {
    "cooldown": (Rulebook(BOOK, (rule(cooldown=60),)), replace(VIEW, now=after(20), last_acted=past())),
    "brake": (Rulebook(BOOK, (rule(),), Brake(Budget(parallel=1))), replace(VIEW, busy=(CART,))),
    "scope": (Rulebook(BOOK, (rule(),), scope=Selection(namespaces=("x",))), VIEW),
    "protection": (Rulebook(BOOK, (rule(),), protect=(Selection(names=("cart",)),)), VIEW),
}


@pytest.mark.parametrize("name", STRICT)
def test_of_the_pinned_and_the_active_rulebook_the_stricter_holds(name: str) -> None:
    strict, view = STRICT[name]
    easy = Rulebook(BOOK, (rule(),))
    assert ask_at_first_intent(question(rule(), easy, easy), view).allows
    for books in ((strict, easy), (easy, strict)):
        assert not ask_at_first_intent(question(rule(), *books), view).allows


def test_who_observes_never_acts() -> None:
    for ask in (ask_before_plan, ask_at_first_intent, ask_before_step):
        objection = ask(question(mode=Mode.OBSERVE), VIEW).objection
        assert objection is not None
        assert objection.reason is Reason.MODE


def test_a_quarantine_refuses_at_every_asking() -> None:
    for ask in (ask_at_decision, ask_at_first_intent, ask_before_step):
        objection = ask(question(), replace(VIEW, quarantines=(HELD,))).objection
        assert objection is not None
        assert objection.reason is Reason.QUARANTINED


def test_a_refusal_counts_before_a_wait_and_everybody_answers() -> None:
    verdict = ask_at_first_intent(question(), replace(VIEW, pauses=(a_pause(),), last_acted=past()))
    assert verdict.objection is not None
    assert verdict.objection.reason is Reason.COOLDOWN
    assert {answer.guard for answer in verdict.answers} == set(Guard) - {Guard.LEASE}


K, R = DecisionKind, Reason
CLOSED = {closed: replace(episode(), closed=closed, closed_at=NOW, ended_at=NOW) for closed in Closed}
UNFINISHED = past(RunState.VERIFYING, ended=None)
UNDER_BRAKE = replace(VIEW, busy=(CART, CART, CART))
ENGAGED = replace(a_pause(), brake=BudgetKey.TARGETS)
ONCE = Rate(1, timedelta(hours=1))
LIMITED = replace(rule(), limits=Limits(rate=(ONCE,), targets=ONCE))
SLOT = Slot(RunId("r-x"), "rollback", CART, NOW)
ELSEWHERE = replace(SLOT, target=replace(CART, name="pay"))
DECISIONS = [
    (episode(), question(), VIEW, K.RUN, R.MATCHED, ""),
    (episode(), question(), replace(VIEW, unfinished=UNFINISHED), K.JOIN, R.JOINED, ""),
    (episode(-1), question(), replace(VIEW, last_acted=past()), K.JOIN, R.JOINED_LATE, ""),
    (episode(0), question(), replace(VIEW, last_acted=past()), K.JOIN, R.JOINED_LATE, ""),
    (
        episode(-1),
        question(),
        replace(VIEW, last_acted=past(RunState.FAILED)),
        K.JOIN,
        R.JOINED_LATE,
        "report",
    ),
    (
        episode(-1),
        question(),
        replace(VIEW, last_acted=past(RunState.UNKNOWN)),
        K.JOIN,
        R.JOINED_LATE,
        "report",
    ),
    (episode(0.1), question(), replace(VIEW, now=after(1), last_acted=past()), K.SKIP, R.COOLDOWN, "page"),
    (episode(), question(rule(firing_for=1)), VIEW, K.DEFER, R.FIRING_FOR, ""),
    (episode(), question(), UNDER_BRAKE, K.DEFER, R.PARALLEL, ""),
    (episode(), question(), replace(UNDER_BRAKE, now=after(15)), K.SKIP, R.EXPIRED, "page"),
    (episode(), question(), replace(VIEW, acting_from=after(1)), K.DEFER, R.CLOCK, ""),
    (episode(), question(rule(steps=())), VIEW, K.SKIP, R.PAGE_ONLY, "page"),
    (CLOSED[Closed.RESOLVED], question(), VIEW, K.SKIP, R.RESOLVED, "report"),
    (CLOSED[Closed.SUPERSEDED], question(), VIEW, K.SKIP, R.SUPERSEDED, ""),
    (episode(), Obstacle(R.NO_RULE, "none"), VIEW, K.SKIP, R.NO_RULE, "report"),
    (episode(), Obstacle(R.TARGET_INVALID, "x"), VIEW, K.SKIP, R.TARGET_INVALID, "page"),
    (episode(), Obstacle(R.FACT_ERROR, "x"), VIEW, K.SKIP, R.FACT_ERROR, "page"),
    (episode(), question(), replace(VIEW, pauses=(ENGAGED,)), K.SKIP, R.BRAKE, ""),
    (episode(), question(), replace(VIEW, pauses=(a_pause(),)), K.SKIP, R.PAUSED, "report"),
    (episode(), question(LIMITED), replace(VIEW, slots=(SLOT,)), K.SKIP, R.RATE, "page"),
    (episode(), question(LIMITED), replace(VIEW, slots=(ELSEWHERE,)), K.SKIP, R.TARGETS, "page"),
    (
        episode(),
        question(rule(), Rulebook(BOOK, (rule(),), per_target=Limits(rate=(ONCE,)))),
        replace(VIEW, slots=(SLOT,)),
        K.SKIP,
        R.PER_TARGET,
        "page",
    ),
    (episode(), question(), replace(VIEW, quarantines=(HELD,)), K.SKIP, R.QUARANTINED, "page"),
    (
        episode(),
        question(rule(), Rulebook(BOOK, (rule(),), scope=Selection(kinds=("node",)))),
        VIEW,
        K.SKIP,
        R.SCOPE,
        "report",
    ),
    (
        episode(),
        question(rule(), Rulebook(BOOK, (rule(),), protect=(Selection(),))),
        VIEW,
        K.SKIP,
        R.PROTECTED,
        "report",
    ),
    (
        episode(),
        question(rule(), Rulebook(BOOK, (rule(),), freezes=(FROZEN,))),
        VIEW,
        K.SKIP,
        R.FROZEN,
        "report",
    ),
]


@pytest.mark.parametrize(("about", "asked", "view", "kind", "reason", "told"), DECISIONS)
def test_each_decision_and_who_hears_of_it(
    about: object, asked: Question | Obstacle, view: GuardView, kind: DecisionKind, reason: Reason, told: str
) -> None:
    """Law 11: every decision but run, join and superseded is told; what wants a person is a page."""
    decision = decide(about, asked, view)  # type: ignore[arg-type]  # an Episode; the table is too mixed for mypy
    assert (decision.kind, decision.reason) == (kind, reason)
    assert (decision.report, decision.page) == (told != "", told == "page")


def test_every_reason_is_within_reach_or_belongs_to_a_run() -> None:
    """What is counted is decided on in `test_counts.py`."""
    reached = {row[4] for row in DECISIONS} | {R.COUNT}
    of_runs = {R.MODE, R.LEASE, R.PREEMPTED, R.RULE_GONE, R.MINIMUM_HEALTHY, R.FORGOTTEN}
    of_runs |= {R.UNAPPROVED, R.DENIED, R.UNANSWERED, R.LAPSED, R.OUTDATED}
    assert reached | of_runs == set(Reason)
    assert {row[3] for row in DECISIONS} == set(DecisionKind)


def test_every_reason_says_what_it_means() -> None:
    meanings = [reason.meaning for reason in Reason]
    assert all(meanings)
    assert len(set(meanings)) == len(meanings)


@pytest.mark.parametrize("state", [s for s in RunState if s.is_final])
def test_joining_a_run_that_did_not_succeed_is_told(state: RunState) -> None:
    decision = decide(episode(-1), question(), replace(VIEW, last_acted=past(state)))
    assert decision.kind is K.JOIN
    assert decision.report is (state not in (RunState.SUCCEEDED, RunState.OBSERVED))


def _deferred(decision: Decision) -> tuple[float, float]:
    assert decision.kind is K.DEFER
    assert decision.not_before is not None
    assert decision.expires is not None
    return ((decision.not_before - NOW).total_seconds() / 60, (decision.expires - NOW).total_seconds() / 60)


def test_firing_for_counts_from_the_start_but_not_from_one_that_lies_ahead() -> None:
    asked = question(rule(firing_for=2))
    assert _deferred(decide(episode(starts=-1), asked, VIEW)) == (1, 16)
    assert _deferred(decide(episode(starts=9), asked, VIEW)) == (2, 17)
    assert decide(episode(starts=-2), asked, VIEW).kind is K.RUN


def test_what_waited_for_its_age_has_its_whole_deadline_left() -> None:
    """With `firing_for` as long as the deadline, the first full brake would else be the end."""
    asked, about = question(rule(firing_for=30)), episode()
    assert _deferred(decide(about, asked, replace(UNDER_BRAKE, now=after(30))))[1] == 45
    assert decide(about, asked, replace(UNDER_BRAKE, now=after(45))).reason is R.EXPIRED


def test_a_deferral_never_sleeps_past_its_end() -> None:
    near = after(15) - timedelta(seconds=1)
    assert _deferred(decide(episode(), question(), replace(UNDER_BRAKE, now=near))) == (15, 15)


@pytest.mark.parametrize(("minutes", "kind"), [(14.9, K.JOIN), (15, K.RUN)])
def test_an_observed_run_speaks_for_its_target_as_long_as_a_live_one_would_cool_down(
    minutes: float, kind: DecisionKind
) -> None:
    seen = past(RunState.OBSERVED, acted=False, mode=Mode.OBSERVE)
    asked = question(mode=Mode.OBSERVE)
    decision = decide(episode(minutes), asked, replace(VIEW, now=after(minutes), last=seen))
    assert decision.kind is kind


def test_an_observed_run_never_keeps_a_rule_that_has_gone_live_from_acting() -> None:
    """It changed nothing, so joining it would be silence."""
    seen = past(RunState.OBSERVED, acted=False, mode=Mode.OBSERVE)
    decision = decide(episode(1), question(), replace(VIEW, now=after(1), last=seen))
    assert (decision.kind, decision.mode) == (K.RUN, Mode.LIVE)


@pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.REFUSED, RunState.EXPIRED])
def test_a_run_that_never_acted_covers_nothing(state: RunState) -> None:
    assert decide(episode(), question(), replace(VIEW, last=past(state, acted=False))).kind is K.RUN


@pytest.mark.parametrize("reason", [Reason.DENIED, Reason.UNANSWERED, Reason.LAPSED])
def test_people_are_asked_once_about_one_outage(reason: Reason) -> None:
    """A further instance that was down by then is told of, and asks nobody again; what comes later does."""
    asked = replace(past(RunState.REFUSED, acted=False), reason=reason)
    decision = decide(episode(), question(), replace(VIEW, last=asked))
    assert (decision.kind, decision.report) == (K.JOIN, True)
    later = decide(episode(1), question(), replace(VIEW, now=after(1), last=asked))
    assert later.kind is K.RUN


def test_a_run_that_failed_before_it_could_act_speaks_for_the_alerts_of_its_time() -> None:
    """Four instances of a service that has nothing to go back to are one page, and three reports."""
    decision = decide(episode(), question(), replace(VIEW, last=past(RunState.FAILED, acted=False)))
    assert (decision.kind, decision.reason) == (K.JOIN, Reason.JOINED_LATE)
    assert decision.report
    assert not decision.page
