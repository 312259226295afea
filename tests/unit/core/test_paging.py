"""When a page is over, what is then said to whom, and where pages are addressed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.core.contacts import Contact
from remediator.core.events import EventKind
from remediator.core.ids import EpisodeId, PageId, RunId
from remediator.core.notices import Call, Lane, Notice, NoticeKind, Signal, Tone
from remediator.core.paging import (
    ROUNDS,
    Audience,
    Page,
    PageView,
    acknowledge,
    call_next,
    opened,
    over,
    page_envelopes,
    why_over,
)
from tests.unit.core.values import NOW, after

CART = "deployment/shop/cart"
OF_A_RUN = Call(RunId("r-1"), EpisodeId(1), "rollback", CART, reports=("slack:#a",))
OF_A_QUARANTINE = replace(OF_A_RUN, held=True)
OF_AN_ALERT = replace(OF_A_RUN, run=None)
OF_AN_ALARM = Call()
NOTICE = Notice(NoticeKind.RUN, "cart: FAILED", Tone.BAD, "P1", "why", lines=tuple("abcdefg"), diff="-a")


def a_page(call: Call, *channels: str) -> Page:
    return Page(PageId(7), "page:r-1", call, NOTICE, channels or ("pagerduty",), NOW)


@pytest.mark.parametrize(
    ("call", "view", "over_by"),
    [
        (OF_A_RUN, PageView(NOW), None),
        (OF_A_RUN, PageView(NOW, firing=False), "resolved"),
        (OF_A_RUN, PageView(NOW, repaired=RunId("r-2")), "r-2 repaired"),
        (OF_A_QUARANTINE, PageView(NOW, firing=False, quarantined=True), None),
        (OF_A_QUARANTINE, PageView(NOW, quarantined=False), "quarantine"),
        (OF_A_QUARANTINE, PageView(NOW, quarantined=True, repaired=RunId("r-2")), "r-2 repaired"),
        (OF_AN_ALERT, PageView(NOW), None),
        (OF_AN_ALERT, PageView(NOW, firing=False), "resolved"),
        (OF_AN_ALARM, PageView(NOW, firing=False), None),
    ],
)
def test_a_page_is_over_when_what_it_was_about_is(call: Call, view: PageView, over_by: str | None) -> None:
    why = why_over(a_page(call), view)
    assert why is None if over_by is None else over_by in (why or "")


def test_its_end_resolves_every_incident_and_is_told_where_it_was_paged() -> None:
    page = a_page(OF_A_RUN, "pagerduty", "pagerduty:lead", "slack:#a")
    change = over(page, "all is well", after(3))
    assert (change.page.over_at, change.page.over_why) == (after(3), "all is well")
    signals = [one for one in change.envelopes if one.signal is not None]
    assert [(one.channel, one.thread, one.signal, one.lane) for one in signals] == [
        ("pagerduty", "page:r-1", Signal.RESOLVE, Lane.PAGES),
        ("pagerduty:lead", "page:r-1", Signal.RESOLVE, Lane.PAGES),
    ]
    (told,) = [one for one in change.envelopes if one.signal is None]
    assert (told.channel, told.thread, told.lane) == ("slack:#a", "run:r-1", Lane.REPORTS)
    assert "all is well" in told.notice.summary
    (event,) = change.events
    assert (event.kind, event.run, event.target) == (EventKind.PAGE_OVER, "r-1", CART)


def test_who_was_not_paged_hears_nothing_of_its_end() -> None:
    change = over(a_page(OF_A_RUN), "all is well", NOW)
    assert [one.channel for one in change.envelopes] == ["pagerduty"]


def test_to_page_is_pagerduty_when_it_is_set_up_else_where_the_reports_go() -> None:
    reports = ("slack:#a", "slack:#b")
    to_slack = page_envelopes(NOTICE, "t", Call(), Audience(reports))
    assert [one.channel for one in to_slack] == list(reports)
    (to_pager,) = page_envelopes(NOTICE, "t", Call(), Audience(reports, pager=True))
    assert (to_pager.channel, to_pager.otherwise) == ("pagerduty", reports)
    for one in (*to_slack, to_pager):
        assert (one.lane, one.signal, one.standalone) == (Lane.PAGES, Signal.TRIGGER, True)
        assert one.notice.page
        assert one.call is not None
        assert one.call.reports == reports
    assert (len(to_pager.notice.lines), to_pager.notice.diff) == (7, "-a")
    assert (to_slack[0].notice.lines, to_slack[0].notice.diff) == (tuple("cdefg"), "")


def test_the_envelope_says_what_the_page_is_about() -> None:
    (envelope,) = page_envelopes(NOTICE, "t", OF_AN_ALERT, Audience(("slack:#a",), pager=True))
    page = opened(PageId(3), envelope, NOW)
    assert (page.thread, page.channels, page.call.episode) == ("t", ("pagerduty",), 1)
    assert (page.called, page.next_at) == (0, None)


LEAD = Contact("lead", "leads", slack="U0123456", wait=timedelta(minutes=5))
CHIEF = Contact("chief", "decides", pagerduty="chief", phone="+44 7700 900001", wait=timedelta(minutes=10))
CHAINED = replace(OF_A_RUN, chain=(LEAD, CHIEF))


def a_chained_page() -> Page:
    return replace(a_page(CHAINED), called=1, next_at=after(5))


def test_the_next_contact_is_called_when_the_one_before_has_had_their_time_and_not_before() -> None:
    page = a_chained_page()
    assert call_next(page, after(4.999)) is None
    change = call_next(page, after(5))
    assert change is not None
    assert (change.page.called, change.page.next_at) == (2, after(15))
    pager, slack = change.envelopes
    assert (pager.channel, pager.thread, pager.signal) == ("pagerduty:chief", "page:r-1", Signal.TRIGGER)
    assert (slack.channel, slack.thread, slack.lane) == ("slack:#a", "run:r-1", Lane.PAGES)
    assert "not acknowledged for 5m: call 2 of 6 is for chief (decides, +44" in slack.notice.summary
    assert [event.kind for event in change.events] == [EventKind.PAGE_CALLED]


def test_a_chain_is_walked_so_many_times_and_then_it_is_said_that_nobody_came() -> None:
    page, called, kinds = a_chained_page(), ["lead"], []
    while page.next_at is not None:
        change = call_next(page, page.next_at)
        assert change is not None
        kinds.append(change.events[0].kind)
        called += [value.partition(" ")[0] for one in change.envelopes for _, value in one.notice.fields[:1]]
        page = change.page
    assert kinds == [EventKind.PAGE_CALLED] * (2 * ROUNDS - 1) + [EventKind.PAGE_UNANSWERED]
    assert page.called == 2 * ROUNDS
    assert call_next(page, after(10_000)) is None


def test_an_acknowledged_page_calls_nobody_else_and_all_hear_who_took_it_on() -> None:
    change = acknowledge(a_chained_page(), "ada", "on it", after(2))
    assert change is not None
    assert call_next(change.page, after(100)) is None
    assert [(one.channel, one.signal) for one in change.envelopes] == [
        ("pagerduty", Signal.ACKNOWLEDGE),
        ("slack:#a", None),
    ]
    assert change.envelopes[1].notice.summary == "acknowledged by ada at 12:02:00 UTC: on it"
    assert acknowledge(change.page, "bob", "me too", after(3)) is None


def test_the_first_contact_is_called_with_the_page_in_slack_by_their_id_else_by_their_own_pager() -> None:
    slack_only = page_envelopes(NOTICE, "t", OF_A_RUN, Audience(("slack:#a",), chain=(LEAD,)))
    assert [(one.channel, one.notice.mentions) for one in slack_only] == [("slack:#a", ("U0123456",))]
    paged = page_envelopes(NOTICE, "t", OF_A_RUN, Audience(("slack:#a",), pager=True, chain=(LEAD,)))
    assert [one.channel for one in paged] == ["pagerduty", "slack:#a"]
    chief = page_envelopes(NOTICE, "t", OF_A_RUN, Audience(("slack:#a",), pager=True, chain=(CHIEF,)))
    assert [one.channel for one in chief] == ["pagerduty", "pagerduty:chief"]
    assert ("Calls", LEAD.line) in paged[0].notice.fields
