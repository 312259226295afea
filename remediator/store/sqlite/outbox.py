"""The outbox: in order per (channel, thread) of a lane, the latest of a key alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import islice

from remediator.core.changes import OutboxItem
from remediator.core.notices import Envelope, Lane
from remediator.core.ports.store import Topic
from remediator.store.common.codecs import as_json, envelope, micros
from remediator.store.common.outbox import NEXT_OF_THREAD, in_place_of, item_from, latest_of_keys, parked
from remediator.store.common.unread import readable, sift
from remediator.store.sqlite import pages
from remediator.store.sqlite.aside import put_aside
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.transaction import Transaction

_INSERT = (
    "INSERT INTO outbox (channel, thread, key, lane, envelope, state, tries, created_at, due_at, error)"
    " VALUES (?, ?, ?, ?, ?, 'unsent', 0, ?, ?, '')"
)
_UNSENT_OF_KEY = (
    "SELECT id, envelope FROM outbox WHERE state = 'unsent' AND channel = ? AND thread = ? AND key = ?"
)
_FIRST_OF_THREADS = (
    "SELECT o.id, o.envelope, o.tries, o.created_at, coalesce(t.head, ''), coalesce(s.ref, '') FROM outbox o"
    " LEFT JOIN threads t ON t.channel = o.channel AND t.thread = o.thread"
    " LEFT JOIN thread_refs s ON s.channel = o.channel AND s.thread = o.thread AND s.key = o.key"
    f" WHERE o.state = 'unsent' AND o.lane = ? AND o.due_at <= ? AND {NEXT_OF_THREAD} ORDER BY o.id"
)
# An envelope's count only grows, so that the same text means that nobody replaced it meanwhile.
_END = (
    "UPDATE outbox SET state = ?, ended_at = ?, error = ?, tries = tries + 1"
    " WHERE id = ? AND state = 'unsent' AND envelope = ?"
)


def post(transaction: Transaction, envelopes: Sequence[Envelope]) -> None:
    if not envelopes:
        return
    for each in envelopes:
        pages.keep(transaction, each)
    for new in latest_of_keys(envelopes):
        if not (new.key and _replaced(transaction, new)):
            _insert(transaction, new)
    transaction.topics.add(Topic.OUTBOX)


def _replaced(transaction: Transaction, new: Envelope) -> bool:
    row = transaction.sql.execute(_UNSENT_OF_KEY, (new.channel, new.thread, new.key)).fetchone()
    if row is None:
        return False
    # One that can't be read has nothing to add to what takes its place.
    read = readable(transaction, "outbox", [row], lambda each: envelope(each[1]))
    latest = in_place_of(read[0], new) if read else new
    transaction.sql.execute(
        "UPDATE outbox SET envelope = ?, lane = ? WHERE id = ?", (as_json(latest), latest.lane.value, row[0])
    )
    return True


def _insert(transaction: Transaction, new: Envelope) -> None:
    now = transaction.micros
    transaction.sql.execute(
        _INSERT, (new.channel, new.thread, new.key, new.lane.value, as_json(new), now, now)
    )


def due_envelopes(transaction: Transaction, lane: Lane, limit: int, claim: timedelta) -> list[OutboxItem]:
    now, claims = transaction.now, transaction.outbox_claims
    claims.expire(now)
    rows = (
        row
        for row in transaction.sql.execute(_FIRST_OF_THREADS, (lane.value, transaction.micros))
        if not claims.holds(row[0])
    )
    handed_out = list(islice(rows, limit))
    claims.take([row[0] for row in handed_out], now + claim)
    items, unreadable = sift(transaction, "outbox", handed_out, item_from)
    put_aside(transaction, unreadable)
    return items


def hold(transaction: Transaction, item: OutboxItem, claim: timedelta) -> bool:
    now, claims = transaction.now, transaction.outbox_claims
    claims.expire(now)
    held = claims.holds(item.id)
    if held:
        claims.prolong(item.id, now + claim)
    return held


def sent(transaction: Transaction, item: OutboxItem, ref: str) -> None:
    where = (item.envelope.channel, item.envelope.thread)
    if ref:
        transaction.sql.execute(
            "INSERT INTO threads (channel, thread, head) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (*where, ref),
        )
    if ref and item.envelope.key:
        transaction.sql.execute(
            "INSERT INTO thread_refs (channel, thread, key, ref) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (channel, thread, key) DO UPDATE SET ref = excluded.ref",
            (*where, item.envelope.key, ref),
        )
    _end(transaction, item, "sent", "")


def delay(transaction: Transaction, item: OutboxItem, wait: timedelta, error: str) -> None:
    transaction.sql.execute(
        "UPDATE outbox SET tries = tries + 1, due_at = ?, error = ? WHERE id = ? AND state = 'unsent'",
        (micros(transaction.now + wait), error, item.id),
    )
    transaction.outbox_claims.drop(item.id)


def park(transaction: Transaction, item: OutboxItem, error: str) -> None:
    if _end(transaction, item, "parked", error):
        append_events(transaction, [parked(item, error, transaction.now)])


def _end(transaction: Transaction, item: OutboxItem, state: str, error: str) -> bool:
    """End an item; ``False`` when it had ended, or was replaced on its way and is due in its new form."""
    ended = transaction.sql.execute(_END, (state, transaction.micros, error, item.id, as_json(item.envelope)))
    transaction.outbox_claims.drop(item.id)
    transaction.topics.add(Topic.OUTBOX)
    return bool(ended.rowcount)
