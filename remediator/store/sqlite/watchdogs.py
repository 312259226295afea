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
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.outbox import post
from remediator.store.sqlite.transaction import Transaction

_ARRIVED = (
    "INSERT INTO watchdogs (source, seen_at) VALUES (?, ?)"
    " ON CONFLICT (source) DO UPDATE SET seen_at = max(watchdogs.seen_at, excluded.seen_at)"
)
_ALL = f"SELECT {COLUMNS} FROM watchdogs ORDER BY source"
_CHANGE = (
    "UPDATE watchdogs SET missed_at = ?, beaten_at = ?"
    " WHERE source = ? AND seen_at = ? AND missed_at IS ? AND beaten_at IS ?"
)


def note_arrivals(
    transaction: Transaction, webhooks: Mapping[int, tuple[str, int]], intakes: Iterable[Intake]
) -> None:
    """Note the Watchdogs that these webhooks told of."""
    rows = arrivals(webhooks, intakes)
    if rows:
        transaction.sql.executemany(_ARRIVED, rows)
        transaction.topics.add(Topic.WATCHDOGS)


def watchdogs(transaction: Transaction) -> tuple[Watchdog, ...]:
    return tuple(readable(transaction, "watchdogs", transaction.sql.execute(_ALL), watchdog_from))


def change_watchdog(
    transaction: Transaction,
    was: Watchdog,
    becomes: Watchdog,
    events: Sequence[Event],
    envelopes: Sequence[Envelope],
) -> bool:
    _, _, missed_at, beaten_at = watchdog_row(becomes)
    if not transaction.sql.execute(_CHANGE, (missed_at, beaten_at, *watchdog_row(was))).rowcount:
        return False
    post(transaction, envelopes)
    append_events(transaction, events)
    return True
