"""Law 11: what people are told of runs and decisions, and what of it is a page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.core.changes import DecisionRequest
from remediator.core.decide import Decision, DecisionKind, skip
from remediator.core.events import Event, EventKind
from remediator.core.guards import Answer, Guard, GuardAnswer
from remediator.core.ids import RunId
from remediator.core.notices import Envelope, Lane, Signal, Tone
from remediator.core.paging import Audience
from remediator.core.reasons import Reason
from remediator.core.runs import RunState
from remediator.core.targets import parse_target
from remediator.engine.telling import Story, tell_decision, tell_run
from tests.unit.core.values import BOOK, NOW, after, episode, run

CHANNELS = ("slack:#a", "slack:#b")
EVERYBODY, ONE = Audience(CHANNELS), Audience(CHANNELS[:1])
PAGER = Audience(CHANNELS, pager=True)
BAD = {RunState.FAILED, RunState.UNKNOWN, RunState.REFUSED, RunState.EXPIRED}


def story(state: RunState) -> Story:
    ended = replace(run(state), ended_at=after(3), detail="why") if state.is_final else run(state)
    seen = Event(EventKind.RUN_CREATED, NOW, {"detail": "Down matched rollback"})
    return Story(ended, "roll back", EVERYBODY, (episode(),), events=(seen,))


def asked(
    rule: str = "rollback", target: str = "deployment/shop/cart", severity: str = "P1"
) -> DecisionRequest:
    on = parse_target(target) if target else None
    return DecisionRequest(episode(), rule, on, severity, BOOK, RunId("r-none"))


@pytest.mark.parametrize("state", RunState)
def test_every_state_is_told_in_each_channel_and_updates_one_message(state: RunState) -> None:
    heads = [one for one in tell_run(story(state)) if one.lane is Lane.REPORTS]
    assert [(one.channel, one.thread, one.key, one.standalone) for one in heads] == [
        (channel, "run:r-1", "head", False) for channel in CHANNELS
    ]
    notice = heads[0].notice
    assert notice.title.startswith("cart: ")
    assert notice.final is state.is_final
    assert ("Target", "deployment/shop/cart") in notice.fields
    assert notice.lines == ("12:00:00 decided: Down matched rollback",)
    assert "remediator explain r-1" in notice.commands


def test_every_state_reads_differently() -> None:
    assert len({tell_run(story(state))[0].notice.title for state in RunState}) == len(RunState)


@pytest.mark.parametrize("state", RunState)
def test_a_page_is_for_ends_that_want_a_person_and_for_nothing_else(state: RunState) -> None:
    pages = [one for one in tell_run(story(state)) if one.lane is Lane.PAGES]
    assert [page.channel for page in pages] == (list(CHANNELS) if state in BAD else [])
    for page in pages:
        assert page.standalone
        assert page.notice.page
        assert page.notice.final
        assert page.notice.summary == "why"


def test_only_a_proven_end_looks_good() -> None:
    tones = {state: tell_run(story(state))[0].notice.tone for state in RunState}
    assert [state for state, tone in tones.items() if tone is Tone.GOOD] == [RunState.SUCCEEDED]
    assert {tones[state] for state in BAD} == {Tone.BAD, Tone.UNSURE}


@pytest.mark.parametrize("reason", Reason)
def test_each_skip_is_told_with_its_reason_and_stands_by_itself(reason: Reason) -> None:
    decision = skip(reason)
    told = tell_decision(decision, asked(), EVERYBODY)
    if reason in (Reason.SUPERSEDED, Reason.BRAKE):
        assert told == ()
        return
    assert [one.channel for one in told] == list(CHANNELS)
    for one in told:
        assert one.standalone
        assert one.lane is (Lane.PAGES if decision.page else Lane.REPORTS)
        assert one.notice.page is decision.page
        assert one.notice.final
        assert ("Reason", f"{reason.value}: {reason.meaning}") in one.notice.fields
        assert ("Labels", "alertname=Down") in one.notice.fields


def test_many_alike_share_a_thread_and_pages_never_wait_behind_reports() -> None:
    told = [
        tell_decision(skip(reason), asked(rule, ""), ONE)[0].thread
        for reason, rule in [
            (Reason.PAUSED, "a"),
            (Reason.PAUSED, "a"),
            (Reason.PAUSED, "b"),
            (Reason.SCOPE, "a"),
            (Reason.COOLDOWN, "a"),
        ]
    ]
    assert told[0] == told[1]
    assert len(set(told)) == 4


@pytest.mark.parametrize("report", [True, False])
def test_joining_is_told_if_the_run_did_not_succeed(*, report: bool) -> None:
    join = Decision(DecisionKind.JOIN, Reason.JOINED_LATE, run=RunId("r-9"), report=report)
    told = tell_decision(join, asked(target=""), EVERYBODY)
    assert len(told) == len(CHANNELS) * report
    assert all(one.notice.commands == ("remediator explain r-9",) for one in told)


def test_an_alert_without_a_name_is_told_all_the_same() -> None:
    nameless = replace(episode(), labels={})
    request = replace(asked("", ""), episode=nameless)
    (one,) = tell_decision(skip(Reason.NO_RULE), request, ONE)
    assert "without a name" in one.notice.title
    assert (
        "without a name"
        in dict(tell_run(replace(story(RunState.READY), episodes=(nameless,)))[0].notice.fields)["Alert"]
    )


def pages_of(told: tuple[Envelope, ...]) -> list[Envelope]:
    return [one for one in told if one.lane is Lane.PAGES]


@pytest.mark.parametrize("state", RunState)
def test_with_a_pager_pages_go_there_alone_and_reports_stay(state: RunState) -> None:
    told = tell_run(replace(story(state), audience=PAGER))
    assert [one.channel for one in told if one.lane is Lane.REPORTS] == list(CHANNELS)
    for page in pages_of(told):
        assert (page.channel, page.signal, page.otherwise) == ("pagerduty", Signal.TRIGGER, CHANNELS)
    assert len(pages_of(told)) == (state in BAD)


@pytest.mark.parametrize("audience", [EVERYBODY, PAGER], ids=["slack", "pager"])
def test_a_runs_pages_are_one_incident_and_say_what_ends_it(audience: Audience) -> None:
    for state in BAD:
        for page in pages_of(tell_run(replace(story(state), audience=audience))):
            assert page.thread == "page:r-1"
            assert page.call is not None
            assert (page.call.run, page.call.episode, page.call.target) == ("r-1", 1, "deployment/shop/cart")
            assert page.call.held is (state is RunState.UNKNOWN)


def test_a_pager_gets_all_the_evidence_and_slack_what_fits_a_phone() -> None:
    answers = [{"guard": "pause", "answer": "allows", "detail": "not paused"}]
    seen = tuple(Event(EventKind.RUN_WAITING, NOW, {"detail": str(n)}) for n in range(7))
    long = replace(
        story(RunState.FAILED),
        plan="--- a\n+++ b",
        events=(*seen, Event(EventKind.GUARDS_ASKED, NOW, {"answers": answers})),
    )
    (page,) = pages_of(tell_run(replace(long, audience=PAGER)))
    assert dict(page.notice.evidence)["guards"] == ("pause allows: not paused",)
    assert (len(page.notice.lines), page.notice.diff) == (7, "--- a\n+++ b")
    brief = pages_of(tell_run(long))[0].notice
    assert (len(brief.lines), brief.diff) == (5, "")


def test_a_run_that_never_asked_again_shows_the_guards_of_its_decision() -> None:
    decided = (GuardAnswer(Guard.SCOPE, Answer.ALLOWS, "in scope"),)
    (page,) = pages_of(tell_run(replace(story(RunState.EXPIRED), audience=PAGER, answers=decided)))
    assert dict(page.notice.evidence)["guards"] == ("scope allows: in scope",)


def test_a_decisions_page_is_one_incident_per_rule_reason_and_target() -> None:
    (page,) = tell_decision(skip(Reason.COOLDOWN), asked(), PAGER)
    assert page.thread == "pages:rollback:cooldown:deployment/shop/cart"
    assert page.call is not None
    assert (page.call.run, page.call.episode, page.call.rule) == (None, 1, "rollback")
    again = tell_decision(skip(Reason.COOLDOWN), asked(severity="P2"), PAGER)[0]
    other = tell_decision(skip(Reason.QUARANTINED), asked(), PAGER)[0]
    assert (again.thread, again.key) == (page.thread, page.key)
    assert other.thread != page.thread
