"""Pages as rows, and what around each of them says that it is over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from remediator.core.events import Event, EventKind
from remediator.core.ids import PageId, RunId
from remediator.core.notices import Envelope
from remediator.core.paging import Page, PageView, page_event
from remediator.store.common.codecs import (
    Row,
    as_json,
    call,
    maybe_micros,
    maybe_moment,
    micros,
    moment,
    notice,
    texts,
)

COLUMNS = (
    "p.id, p.thread, p.call, p.notice, p.channels, p.opened_at, p.called, p.next_at, p.acknowledged_at,"
    " p.acknowledged_by, p.acknowledged_why, p.over_at, p.over_why"
)
#: The columns of :func:`inserted_row`.
INSERTED = "thread, run, target, held, call, notice, channels, opened_at, called, next_at, over_why"
#: The columns of :func:`changed_row`, in its order.
CHANGED = (
    "channels",
    "called",
    "next_at",
    "acknowledged_at",
    "acknowledged_by",
    "acknowledged_why",
    "over_at",
    "over_why",
)

#: A lapse proves nothing: who was called for an alert is, until a later episode of it has come to an end.
_UNENDED = (
    "(e.closed IS NULL OR (e.closed_as = 'lapsed' AND NOT EXISTS (SELECT 1 FROM episodes l"
    " WHERE l.source = e.source AND l.fingerprint = e.fingerprint AND l.id > e.id"
    " AND l.closed IS NOT NULL AND (l.closed_as IS NULL OR l.closed_as <> 'lapsed'))))"
)
_FIRING = (
    "(EXISTS (SELECT 1 FROM page_episodes j JOIN episodes e ON e.id = j.episode"
    f" WHERE j.page = p.id AND {_UNENDED})"
    " OR EXISTS (SELECT 1 FROM run_episodes j JOIN episodes e ON e.id = j.episode"
    f" WHERE j.run = p.run AND {_UNENDED}))"
)
_QUARANTINED = "EXISTS (SELECT 1 FROM quarantines q WHERE q.run = p.run)"
_REPAIRED = (
    "(SELECT r.id FROM runs r WHERE r.target = p.target AND r.state = 'succeeded'"
    " AND r.ended_at > p.opened_at ORDER BY r.ended_at LIMIT 1)"
)
_ABOUT = "(p.run IS NOT NULL OR EXISTS (SELECT 1 FROM page_episodes j WHERE j.page = p.id))"
#: The columns of :func:`view_from`.
VIEWED = f"{_FIRING}, {_QUARANTINED}, {_REPAIRED}"
#: Whether the ledger has something to say about a page; what it comes to is core's to judge.
SETTLED = (
    f"({_REPAIRED} IS NOT NULL OR (p.held AND NOT {_QUARANTINED})"
    f" OR (NOT p.held AND {_ABOUT} AND NOT {_FIRING}))"
)


def page_from(row: Row) -> Page:
    return Page(
        id=PageId(row[0]),
        thread=row[1],
        call=call(row[2]),
        notice=notice(row[3]),
        channels=texts(row[4]),
        opened_at=moment(row[5]),
        called=row[6],
        next_at=maybe_moment(row[7]),
        acknowledged_at=maybe_moment(row[8]),
        acknowledged_by=row[9] or "",
        acknowledged_why=row[10] or "",
        over_at=maybe_moment(row[11]),
        over_why=row[12],
    )


def view_from(row: Row, now: datetime) -> PageView:
    firing, quarantined, repaired = row
    return PageView(now, bool(firing), bool(quarantined), None if repaired is None else RunId(repaired))


def inserted_row(page: Page) -> Row:
    return (
        page.thread,
        page.call.run,
        page.call.target,
        page.call.held,
        as_json(page.call),
        as_json(page.notice),
        as_json(page.channels),
        micros(page.opened_at),
        page.called,
        maybe_micros(page.next_at),
        page.over_why,
    )


def changed_row(page: Page) -> Row:
    return (
        as_json(page.channels),
        page.called,
        maybe_micros(page.next_at),
        maybe_micros(page.acknowledged_at),
        page.acknowledged_by,
        page.acknowledged_why,
        maybe_micros(page.over_at),
        page.over_why,
    )


def told_also(page: Page, channels: Iterable[str]) -> Page:
    """The page, told in these channels too."""
    return replace(page, channels=tuple(dict.fromkeys((*page.channels, *channels))))


def opening(page: Page) -> Event:
    return page_event(EventKind.PAGE_OPENED, page, page.opened_at, page.notice.title)


def ended_by(page: Page, envelope: Envelope, now: datetime) -> tuple[Page, Event]:
    """A page that an envelope's ``RESOLVE`` ends, and the event of that."""
    why = envelope.notice.summary
    return replace(page, over_at=now, over_why=why), page_event(EventKind.PAGE_OVER, page, now, why)
