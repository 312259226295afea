"""What people are asked about a run, and what becomes of the message once it has its answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.core.approvals import APPROVE, DENY, Approval, How, Settled, settle
from remediator.core.events import Event, EventKind
from remediator.core.notices import Lane, Notice, Tone
from remediator.core.paging import Audience
from remediator.core.reasons import Reason
from remediator.core.rules import Otherwise
from remediator.core.runs import Move, RunState
from remediator.engine.journal import moved
from remediator.engine.requests import tell_request
from remediator.engine.telling import Story, tell_run
from tests.unit.core.test_approvals import PROPOSAL, UNDO, asking
from tests.unit.core.values import NOW, after, episode, run

CHANNELS = ("slack:#a", "slack:#b")
EACH_END = [
    settle(asking(), Settled.GRANTED, after(1), who="ada", why="looks right", how=How.SLACK),
    settle(asking(), Settled.GRANTED, after(10), why="nobody answered in time"),
    settle(asking(), Settled.DENIED, after(1), who="ada", how=How.API),
    settle(asking(), Settled.LAPSED, after(10)),
    settle(asking(), Settled.WITHDRAWN, after(1), why="resolved by itself"),
]


def story(*approvals: Approval, state: RunState = RunState.ASKING) -> Story:
    return Story(run(state), "roll back", Audience(CHANNELS), (episode(),), approvals=approvals)


def asked(*approvals: Approval) -> Notice:
    return tell_request(story(*approvals))[0].notice


def test_a_request_is_a_message_of_its_own_in_each_channel_and_says_all_that_is_needed() -> None:
    told = tell_request(story(asking()))
    assert [(one.channel, one.thread, one.key, one.standalone) for one in told] == [
        (channel, "request:r-1:1", "request", False) for channel in CHANNELS
    ]
    notice = told[0].notice
    assert (notice.title, notice.tone, notice.final) == ("cart: wants approval", Tone.ASKING, False)
    assert notice.summary == UNDO.summary
    assert notice.diff == UNDO.diff
    fields = dict(notice.fields)
    assert fields["May approve"] == "ada, sam"
    assert fields["Until"] == "12:10:00 UTC, then it ends and pages"
    assert fields["Falls back to"] == "restart, if that fails"
    assert [(each.action, each.value, each.urgent) for each in notice.choices] == [
        (APPROVE, asking().ticket, True),
        (DENY, asking().ticket, False),
    ]
    digest = PROPOSAL.digest[:12]
    assert notice.choices[0].command == f"remediator approve r-1 --digest {digest} --why '...'"


@pytest.mark.parametrize("end", EACH_END, ids=lambda end: end.outcome)
def test_each_end_takes_the_place_of_the_request_and_asks_nothing_more(end: Approval) -> None:
    before, after_ = tell_request(story(asking()))[0], tell_request(story(end))[0]
    assert (before.channel, before.thread, before.key) == (after_.channel, after_.thread, after_.key)
    notice = after_.notice
    assert notice.choices == ()
    assert notice.final
    assert notice.tone is Tone.QUIET
    assert ("Answer", end.outcome) in notice.fields
    assert "May approve" not in dict(notice.fields)


def test_every_end_reads_differently() -> None:
    titles = [asked(approval).title for approval in (asking(), *EACH_END)]
    assert len(set(titles)) == len(titles)
    assert "cart: approved by ada" in titles
    assert "cart: denied by ada" in titles


@pytest.mark.parametrize("otherwise", Otherwise)
def test_it_says_what_happens_when_nobody_answers(otherwise: Otherwise) -> None:
    said = {each: dict(asked(asking(each)).fields)["Until"] for each in Otherwise}
    assert len(set(said.values())) == len(Otherwise)
    assert said[otherwise].startswith("12:10:00 UTC, then it ")


def test_where_nobody_may_approve_it_says_so() -> None:
    assert dict(asked(replace(asking(), asked=())).fields)["May approve"].startswith("nobody: ")


def test_several_steps_are_numbered() -> None:
    scale = replace(UNDO, step="scale", summary="cart: 2 → 5 replicas", diff="-2\n+5")
    notice = asked(asking(proposal=replace(PROPOSAL, steps=(UNDO, scale))))
    assert notice.summary == "1. cart: revision 3 → 2; 2. cart: 2 → 5 replicas"
    assert notice.diff == "-a\n+b\n-2\n+5"


def test_a_plan_that_is_asked_about_anew_says_what_changed_in_a_message_of_its_own() -> None:
    changed = replace(PROPOSAL, steps=(replace(UNDO, summary="cart: revision 4 → 3", data={}),))
    again = replace(asking(proposal=changed), number=2)
    told = tell_request(story(EACH_END[0], again))[0]
    assert told.thread == "request:r-1:2"
    assert "the plan changed" in told.notice.title
    assert dict(told.notice.fields)["Changed"] == (
        "undo: “cart: revision 3 → 2” has become “cart: revision 4 → 3”"
    )


def heads(told: Story) -> list[str]:
    return [each.notice.title for each in tell_run(told) if each.lane is Lane.REPORTS]


def test_a_run_has_a_message_of_its_own_only_once_it_has_begun() -> None:
    """Until then the request tells all that there is to tell."""
    denied = EACH_END[2]
    assert heads(story(asking())) == []
    assert heads(story(denied, state=RunState.REFUSED)) == []
    assert len(heads(story(EACH_END[0], state=RunState.PENDING))) == 2
    assert len(heads(story(EACH_END[0], replace(asking(), number=2)))) == 2
    leased = Event(EventKind.RUN_LEASED, NOW)
    assert len(heads(replace(story(denied, state=RunState.REFUSED), events=(leased,)))) == 2
    assert len(heads(story(state=RunState.REFUSED))) == 2


@pytest.mark.parametrize(
    ("move", "reason", "pages"),
    [
        (Move.DENY, Reason.DENIED, False),
        (Move.LAPSE, Reason.LAPSED, False),
        (Move.LAPSE, Reason.UNANSWERED, True),
        (Move.REFUSE, Reason.RULE_GONE, True),
    ],
)
def test_only_an_end_that_nobody_knows_of_pages(move: Move, reason: Reason, *, pages: bool) -> None:
    change, _ = moved(story(asking()), move, after(10), reason=reason, detail="d")
    assert any(each.lane is Lane.PAGES for each in change.envelopes) is pages
    assert [each.thread for each in change.envelopes if each.key == "request"] == ["request:r-1:1"] * 2


@pytest.mark.parametrize("move", [Move.CANCEL, Move.REFUSE])
def test_whatever_ends_the_wait_withdraws_the_request(move: Move) -> None:
    change, told = moved(story(asking()), move, after(2), detail="resolved by itself")
    assert change.approval is not None
    assert (change.approval.settled, change.approval.settled_at) == (Settled.WITHDRAWN, after(2))
    assert told.approvals == (change.approval,)
