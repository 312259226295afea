"""Watchdogs in their table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from remediator.core.changes import Intake
from remediator.core.events import Event
from remediator.core.notices import Envelope
from remediator.core.ports.store import Topic
from remediator.core.watchdog import Watchdog
from remediator.store.common.unread import readable
from remediator.store.common.watchdogs import COLUMNS, arrivals, watchdog_from, watchdog_row
from remediator.store.postgres.outbox import post
from remediator.store.postgres.transaction import Transaction

_ARRIVED = (
    "INSERT INTO watchdogs (source, seen_at) VALUES ($1, $2)"
    " ON CONFLICT (source) DO UPDATE SET seen_at = greatest(watchdogs.seen_at, excluded.seen_at)"
)
_ALL = f"SELECT {COLUMNS} FROM watchdogs ORDER BY source"
_CHANGE = (
    "UPDATE watchdogs SET missed_at = $1, beaten_at = $2 WHERE source = $3 AND seen_at = $4"
    " AND missed_at IS NOT DISTINCT FROM $5 AND beaten_at IS NOT DISTINCT FROM $6"
)


async def note_arrivals(
    transaction: Transaction, webhooks: Mapping[int, tuple[str, int]], intakes: Iterable[Intake]
) -> None:
    """Note the Watchdogs that these webhooks told of."""
    rows = arrivals(webhooks, intakes)
    if rows:
        await transaction.run_for_each(_ARRIVED, rows)
        transaction.topics.add(Topic.WATCHDOGS)


async def watchdogs(transaction: Transaction) -> tuple[Watchdog, ...]:
    return tuple(readable(transaction, "watchdogs", await transaction.rows(_ALL), watchdog_from))


async def change_watchdog(
    transaction: Transaction,
    was: Watchdog,
    becomes: Watchdog,
    events: Sequence[Event],
    envelopes: Sequence[Envelope],
) -> bool:
    _, _, missed_at, beaten_at = watchdog_row(becomes)
    if not await transaction.run(_CHANGE, missed_at, beaten_at, *watchdog_row(was)):
        return False
    await post(transaction, envelopes)
    transaction.append_events(events)
    return True
