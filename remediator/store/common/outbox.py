"""The outbox's envelopes: the latest of a key alone, and what became of those that were out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from remediator.core.changes import OutboxItem
from remediator.core.events import Event, EventKind
from remediator.core.notices import Envelope, Lane, following
from remediator.store.common.codecs import Row, envelope, moment

#: Whether an outbox row ``o`` is the next to leave its thread. Found by an index, whatever planners know.
NEXT_OF_THREAD = (
    "o.id = (SELECT min(b.id) FROM outbox b WHERE b.state = 'unsent' AND b.lane = o.lane"
    " AND b.channel = o.channel AND b.thread = o.thread)"
)


def latest_of_keys(envelopes: Iterable[Envelope]) -> list[Envelope]:
    """Do among themselves what the ledger does with those before them: a burst is one statement then."""
    merged: dict[object, Envelope] = {}
    for position, new in enumerate(envelopes):
        place: object = (new.channel, new.thread, new.key) if new.key else position
        old = merged.get(place)
        merged[place] = new if old is None else in_place_of(old, new)
    return list(merged.values())


def in_place_of(old: Envelope, new: Envelope) -> Envelope:
    """``new`` in the place of ``old``, in the more urgent lane of the two."""
    lane = Lane.PAGES if Lane.PAGES in (old.lane, new.lane) else new.lane
    return replace(new, lane=lane, notice=following(old.notice, new.notice))


def item_from(row: Row) -> OutboxItem:
    id_, text, tries, created_at, head, ref = row
    return OutboxItem(id_, envelope(text), tries, moment(created_at), head, ref)


def parked(item: OutboxItem, error: str, now: datetime) -> Event:
    notice = item.envelope.notice
    data = {
        "channel": item.envelope.channel,
        "thread": item.envelope.thread,
        "title": notice.title,
        "error": error,
    }
    return Event(EventKind.NOTICE_PARKED, now, data, run=notice.run)
