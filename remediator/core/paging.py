"""Pages: who is called for what, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from remediator.core.contacts import Contact
from remediator.core.events import Event, EventKind
from remediator.core.ids import PageId, RunId
from remediator.core.notices import Call, Envelope, Lane, Notice, NoticeKind, Signal, Tone

#: The channel of whoever is on call; ``pagerduty:NAME`` is that of a contact with a routing key of their own.
PAGER = "pagerduty"
#: Within a thread the newest word about a page is the only one that counts.
KEY = "page"
#: Of a run's timeline, what a page shows where there is little room.
_BRIEF = 5


@dataclass(frozen=True, slots=True)
class Audience:
    """Who hears of a rule's doings: the channels of its ``reports``, and the ``chain`` that a page calls.

    ``pager`` says whether PagerDuty is set up.
    """

    reports: tuple[str, ...]
    pager: bool = False
    chain: tuple[Contact, ...] = ()

    @property
    def pages(self) -> tuple[str, ...]:
        """Where a page goes: to PagerDuty whenever that is set up, else where the reports go."""
        return (PAGER,) if self.pager else self.reports


@dataclass(frozen=True, slots=True)
class Page:
    """One page, from its first envelope until it is over. ``channels`` are all that were told of it.

    ``called`` counts the calls of its chain so far; the next one is due at ``next_at``, if there is one.
    """

    id: PageId
    thread: str
    call: Call
    notice: Notice
    channels: tuple[str, ...]
    opened_at: datetime
    called: int = 0
    next_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    acknowledged_why: str = ""
    over_at: datetime | None = None
    over_why: str = ""


@dataclass(frozen=True, slots=True)
class PageView:
    """What the ledger knows around an open page at one instant.

    ``firing`` says whether an alert that it is about is open, ``quarantined`` whether its run's quarantine is
    in force; ``repaired`` is a run that succeeded on its target since.
    """

    now: datetime
    firing: bool = True
    quarantined: bool = False
    repaired: RunId | None = None


@dataclass(frozen=True, slots=True)
class PageChange:
    """A page as it is to be from now on, with what belongs to the change."""

    page: Page
    events: tuple[Event, ...] = ()
    envelopes: tuple[Envelope, ...] = ()


def page_envelopes(notice: Notice, thread: str, call: Call, audience: Audience) -> tuple[Envelope, ...]:
    """The envelopes by which people are called, and a page is opened in the ledger.

    Every page is made here, and so addressed in one place.
    """
    called = replace(call, reports=audience.reports, chain=audience.chain)
    told = replace(notice, page=True, final=True)
    return tuple(_page(told, thread, called, audience, channel) for channel in audience.pages)


def _page(notice: Notice, thread: str, call: Call, audience: Audience, channel: str) -> Envelope:
    pager = channel == PAGER
    return Envelope(
        channel,
        thread,
        notice if pager else replace(notice, lines=notice.lines[-_BRIEF:], diff=""),
        key=KEY,
        lane=Lane.PAGES,
        standalone=True,
        signal=Signal.TRIGGER,
        call=call,
        otherwise=audience.reports if pager else (),
    )


def opened(id_: PageId, envelope: Envelope, now: datetime) -> Page:
    """The page that an envelope opens; its first contact is called with it."""
    call = envelope.call or Call()
    return Page(
        id=id_,
        thread=envelope.thread,
        call=call,
        notice=envelope.notice,
        channels=(envelope.channel,),
        opened_at=now,
        called=min(len(call.chain), 1),
        next_at=now + call.chain[0].wait if call.chain else None,
    )


def why_over(page: Page, view: PageView) -> str | None:
    """Why nobody has to come any more; ``None`` while somebody has to."""
    call = page.call
    if call.run is None and call.episode is None:
        return None
    if view.repaired is not None:
        return f"{view.repaired} repaired {call.target}"
    if call.held:
        return None if view.quarantined else f"the quarantine of {call.target} was lifted"
    return None if view.firing else "every alert of it has resolved"


def over(page: Page, why: str, now: datetime) -> PageChange:
    """End a page: its incidents are resolved, and where people were told of it they hear that it is over."""
    ended = replace(page, over_at=now, over_why=why)
    event = page_event(EventKind.PAGE_OVER, page, now, why)
    notice = replace(_follow_up(page, why, Tone.GOOD), title=f"Over: {page.notice.title}")
    return PageChange(ended, (event,), (*_signals(page, notice, Signal.RESOLVE), *_told(page, notice)))


def page_event(kind: EventKind, page: Page, at: datetime, detail: str) -> Event:
    """An event of a page."""
    call = page.call
    data = {"detail": detail, "page": page.id, "thread": page.thread}
    return Event(kind, at, data, call.episode, call.run, call.rule or None, call.target or None)


def _follow_up(page: Page, summary: str, tone: Tone) -> Notice:
    notice = page.notice
    return Notice(
        NoticeKind.PAGE, notice.title, tone, notice.severity, summary, run=page.call.run, final=True, count=0
    )


def _signals(page: Page, notice: Notice, signal: Signal) -> tuple[Envelope, ...]:
    pagers = [channel for channel in page.channels if is_pager(channel)]
    return tuple(
        Envelope(channel, page.thread, notice, KEY, Lane.PAGES, standalone=True, signal=signal)
        for channel in pagers
    )


def _told(page: Page, notice: Notice) -> tuple[Envelope, ...]:
    """To those of the reports' channels that know of the page: below the run's message, if there is a run."""
    run = page.call.run
    thread = f"run:{run}" if run else page.thread
    channels = [channel for channel in page.call.reports if channel in page.channels]
    return tuple(Envelope(channel, thread, notice, standalone=run is None) for channel in channels)


def is_pager(channel: str) -> bool:
    """Whether incidents are kept there."""
    return channel.partition(":")[0] == PAGER
