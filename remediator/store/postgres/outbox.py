"""The outbox: in order per (channel, thread) of a lane, the latest of a key alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from remediator.core.changes import OutboxItem
from remediator.core.notices import Envelope, Lane
from remediator.core.ports.store import Topic
from remediator.store.common.codecs import as_json, envelope, micros
from remediator.store.common.outbox import NEXT_OF_THREAD, in_place_of, item_from, latest_of_keys, parked
from remediator.store.common.unread import readable, sift
from remediator.store.postgres import pages
from remediator.store.postgres.aside import put_aside
from remediator.store.postgres.transaction import Transaction

# Each in its place, but for one whose key waits there already: of a key the latest alone is told.
_INSERT = (
    "INSERT INTO outbox (channel, thread, key, lane, envelope, state, tries, created_at, due_at, error)"
    " VALUES ($1, $2, $3, $4, $5, 'unsent', 0, $6, $6, '')"
    " ON CONFLICT (channel, thread, key) WHERE state = 'unsent' AND key <> '' DO NOTHING"
    " RETURNING channel, thread, key"
)
_UNSENT_OF_KEY = (
    "SELECT id, envelope FROM outbox WHERE state = 'unsent' AND key <> '' AND channel = $1 AND thread = $2"
    " AND key = $3 FOR NO KEY UPDATE"
)
_CLAIM_FIRST_OF_THREADS = (
    "WITH free AS (SELECT o.id FROM outbox o WHERE o.state = 'unsent' AND o.lane = $2 AND o.due_at <= $1"
    " AND (o.claimed_until IS NULL OR o.claimed_until <= $1)"
    f" AND {NEXT_OF_THREAD} ORDER BY o.id LIMIT $3 FOR NO KEY UPDATE OF o SKIP LOCKED),"
    " claimed AS (UPDATE outbox o SET claimed_until = $4, claimed_by = $5 FROM free WHERE o.id = free.id"
    " RETURNING o.*)"
    " SELECT o.id, o.envelope, o.tries, o.created_at, coalesce(t.head, ''), coalesce(s.ref, '')"
    " FROM claimed o LEFT JOIN threads t ON t.channel = o.channel AND t.thread = o.thread"
    " LEFT JOIN thread_refs s ON s.channel = o.channel AND s.thread = o.thread AND s.key = o.key"
    " ORDER BY o.id"
)
_HOLD = (
    "UPDATE outbox SET claimed_until = $1 WHERE id = $2 AND state = 'unsent' AND claimed_by = $3"
    " AND claimed_until > $4"
)
# An envelope's count only grows, so that the same text means that nobody replaced it meanwhile.
_END = (
    "UPDATE outbox SET claimed_until = NULL, claimed_by = NULL, state = $1, ended_at = $2, error = $3,"
    " tries = tries + 1 WHERE id = $4 AND state = 'unsent' AND envelope = $5"
)
_GIVE_BACK = "UPDATE outbox SET claimed_until = NULL, claimed_by = NULL WHERE id = $1"
_DELAY = (
    "UPDATE outbox SET tries = tries + 1, due_at = $1, error = $2, claimed_until = NULL, claimed_by = NULL"
    " WHERE id = $3 AND state = 'unsent'"
)
_HEAD = "INSERT INTO threads (channel, thread, head) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_REF = (
    "INSERT INTO thread_refs (channel, thread, key, ref) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (channel, thread, key) DO UPDATE SET ref = excluded.ref"
)


async def post(transaction: Transaction, envelopes: Sequence[Envelope]) -> None:
    if not envelopes:
        return
    await pages.keep(transaction, envelopes)
    latest = latest_of_keys(envelopes)
    made = set(await transaction.rows_for_each(_INSERT, [_row(transaction, new) for new in latest]))
    for new in latest:
        if new.key and (new.channel, new.thread, new.key) not in made:
            await _replace(transaction, new)
    transaction.topics.add(Topic.OUTBOX)


async def _replace(transaction: Transaction, new: Envelope) -> None:
    """Replace the unsent one of its key, or become it; whoever does the same meanwhile is waited for."""
    while True:
        row = await transaction.row(_UNSENT_OF_KEY, new.channel, new.thread, new.key)
        if row is not None:
            # One that can't be read has nothing to add to what takes its place.
            read = readable(transaction, "outbox", [row], lambda each: envelope(each[1]))
            latest = in_place_of(read[0], new) if read else new
            await transaction.run(
                "UPDATE outbox SET envelope = $1, lane = $2 WHERE id = $3",
                as_json(latest),
                latest.lane.value,
                row[0],
            )
            return
        if await transaction.row(_INSERT, *_row(transaction, new)):
            return


def _row(transaction: Transaction, new: Envelope) -> tuple[object, ...]:
    return (new.channel, new.thread, new.key, new.lane.value, as_json(new), transaction.micros)


async def due_envelopes(
    transaction: Transaction, lane: Lane, limit: int, claim: timedelta
) -> list[OutboxItem]:
    until = micros(transaction.now + claim)
    rows = await transaction.rows(
        _CLAIM_FIRST_OF_THREADS, transaction.micros, lane.value, limit, until, transaction.claimer
    )
    items, unreadable = sift(transaction, "outbox", rows, item_from)
    await put_aside(transaction, unreadable)
    return items


async def hold(transaction: Transaction, item: OutboxItem, claim: timedelta) -> bool:
    until = micros(transaction.now + claim)
    return bool(await transaction.run(_HOLD, until, item.id, transaction.claimer, transaction.micros))


async def sent(transaction: Transaction, item: OutboxItem, ref: str) -> None:
    where = (item.envelope.channel, item.envelope.thread)
    if ref:
        await transaction.run(_HEAD, *where, ref)
    if ref and item.envelope.key:
        await transaction.run(_REF, *where, item.envelope.key, ref)
    await _end(transaction, item, "sent", "")


async def delay(transaction: Transaction, item: OutboxItem, wait: timedelta, error: str) -> None:
    await transaction.run(_DELAY, micros(transaction.now + wait), error, item.id)


async def park(transaction: Transaction, item: OutboxItem, error: str) -> None:
    if await _end(transaction, item, "parked", error):
        transaction.append_events([parked(item, error, transaction.now)])


async def _end(transaction: Transaction, item: OutboxItem, state: str, error: str) -> bool:
    """End an item; ``False`` when it had ended, or was replaced on its way and is due in its new form."""
    ended = await transaction.run(_END, state, transaction.micros, error, item.id, as_json(item.envelope))
    if not ended:
        await transaction.run(_GIVE_BACK, item.id)
    transaction.topics.add(Topic.OUTBOX)
    return bool(ended)
