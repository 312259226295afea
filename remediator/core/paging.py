"""Pages: who is called for what, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from remediator.core.contacts import Contact
from remediator.core.durations import format_duration
from remediator.core.events import Event, EventKind
from remediator.core.ids import PageId, RunId
from remediator.core.notices import Call, Envelope, Lane, Notice, NoticeKind, Signal, Tone

#: The channel of whoever is on call; ``pagerduty:NAME`` is that of a contact with a routing key of their own.
PAGER = "pagerduty"
#: Within a thread the newest word about a page is the only one that counts.
KEY = "page"
#: How often a chain is walked before it is given up.
ROUNDS = 3
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
    channels = audience.pages
    if audience.chain:
        first = audience.chain[0]
        told = replace(told, fields=(*told.fields, ("Calls", first.line)), mentions=_mentions(first))
        channels = (*channels, *_own_channels(first, audience))
    return tuple(_page(told, thread, called, audience, channel) for channel in dict.fromkeys(channels))


def _own_channels(contact: Contact, audience: Audience) -> tuple[str, ...]:
    """Where the first contact is called beside the page itself: their own pager, and Slack by their id."""
    own = (f"{PAGER}:{contact.pagerduty}",) if contact.pagerduty else ()
    return (*own, *(audience.reports if contact.slack else ()))


def _mentions(contact: Contact) -> tuple[str, ...]:
    return (contact.slack,) if contact.slack else ()


def over_envelopes(notice: Notice, thread: str, audience: Audience) -> tuple[Envelope, ...]:
    """The envelopes by which the page of a thread ends that no run and no alert ends."""
    return tuple(
        Envelope(channel, thread, notice, KEY, Lane.PAGES, standalone=True, signal=Signal.RESOLVE)
        for channel in audience.pages
    )


def _page(notice: Notice, thread: str, call: Call, audience: Audience, channel: str) -> Envelope:
    pager = is_pager(channel)
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


def call_next(page: Page, now: datetime) -> PageChange | None:
    """Call the next contact of a page's chain once the one before has had their time.

    ``None`` while nobody is due. The chain is walked :data:`ROUNDS` times; then it is said that nobody came.
    """
    if page.next_at is None or now < page.next_at:
        return None
    chain, waited = page.call.chain, format_duration(now - page.opened_at)
    calls = ROUNDS * len(chain)
    if page.called >= calls:
        why = f"nobody acknowledged it in {waited}, after {calls} calls; no more are made"
        notice = replace(_follow_up(page, why, Tone.BAD), title=f"Unanswered: {page.notice.title}", page=True)
        event = page_event(EventKind.PAGE_UNANSWERED, page, now, why)
        return PageChange(replace(page, next_at=None), (event,), _in_reports(page, notice))
    contact = chain[page.called % len(chain)]
    why = f"not acknowledged for {waited}: call {page.called + 1} of {calls} is for {contact.line}"
    changed = replace(page, called=page.called + 1, next_at=now + contact.wait)
    event = page_event(EventKind.PAGE_CALLED, page, now, why)
    return PageChange(changed, (event,), (*_to_pager(page, contact), *_to_slack(page, contact, why)))


def acknowledge(page: Page, who: str, why: str, now: datetime) -> PageChange | None:
    """Note that somebody has taken a page on: nobody else is called. ``None`` if somebody had already."""
    if page.acknowledged_at is not None:
        return None
    said = f"acknowledged by {who} at {now:%H:%M:%S} UTC" + (f": {why}" if why else "")
    taken = replace(page, acknowledged_at=now, acknowledged_by=who, acknowledged_why=why, next_at=None)
    event = page_event(EventKind.PAGE_ACKNOWLEDGED, page, now, said)
    notice = _follow_up(page, said, Tone.WORKING)
    signals = _signals(page, notice, Signal.ACKNOWLEDGE)
    return PageChange(taken, (event,), (*signals, *_in_reports(page, notice)))


def _to_pager(page: Page, contact: Contact) -> tuple[Envelope, ...]:
    if not contact.pagerduty:
        return ()
    channel = f"{PAGER}:{contact.pagerduty}"
    trigger = Envelope(channel, page.thread, page.notice, KEY, Lane.PAGES, standalone=True)
    return (replace(trigger, signal=Signal.TRIGGER, otherwise=page.call.reports),)


def _to_slack(page: Page, contact: Contact, why: str) -> tuple[Envelope, ...]:
    notice = replace(
        _follow_up(page, why, page.notice.tone),
        page=True,
        mentions=_mentions(contact),
        fields=(("Calls", contact.line),),
        commands=(f"remediator ack {page.call.run or page.id} --why '...'",),
    )
    return _in_reports(page, notice)


def _in_reports(page: Page, notice: Notice) -> tuple[Envelope, ...]:
    """To the reports' channels: below the run's message, if there is a run."""
    run = page.call.run
    thread = f"run:{run}" if run else page.thread
    lane = Lane.PAGES if notice.page else Lane.REPORTS
    return tuple(
        Envelope(channel, thread, notice, lane=lane, standalone=run is None) for channel in page.call.reports
    )


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
