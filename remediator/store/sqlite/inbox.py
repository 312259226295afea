"""The inbox: raw webhooks in, episodes out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import zstandard

from remediator.core.changes import Intake, Observed, RawWebhook
from remediator.core.events import Event
from remediator.core.inquiries import Inquiry
from remediator.core.ports.store import Fold, Topic
from remediator.store.common.codecs import as_json, webhook_from
from remediator.store.common.episodes import Folding
from remediator.store.sqlite.episodes import (
    insert_episodes,
    latest_episodes,
    next_episode_id,
    update_episodes,
)
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.inquiries import settle, wish
from remediator.store.sqlite.transaction import Transaction
from remediator.store.sqlite.watchdogs import note_arrivals

_SAVE = "INSERT INTO webhooks (source, received_at, size, body) VALUES (?, ?, ?, ?)"
_UNTAKEN = (
    "SELECT size, id, source, received_at, body FROM webhooks WHERE taken_at IS NULL ORDER BY id LIMIT ?"
)
_STILL_UNTAKEN = (
    "SELECT id, source, received_at FROM webhooks WHERE taken_at IS NULL"
    " AND id IN (SELECT value FROM json_each(?))"
)
_MARK_TAKEN = "UPDATE webhooks SET taken_at = ?, quarantine = ? WHERE id = ?"
#: Rows read at a time, so that a long queue is not read whole to hand out its beginning.
_READ = 1000

_compress = zstandard.ZstdCompressor(level=1).compress
_decompress = zstandard.ZstdDecompressor().decompress


def save_webhook(transaction: Transaction, source: str, body: bytes) -> None:
    transaction.sql.execute(_SAVE, (source, transaction.micros, len(body), _compress(body)))
    transaction.topics.add(Topic.WEBHOOKS)


def untaken_webhooks(transaction: Transaction, max_bytes: int) -> list[RawWebhook]:
    webhooks: list[RawWebhook] = []
    read = 0
    for size, *row in transaction.sql.execute(_UNTAKEN, (_READ,)):
        read += size if isinstance(size, int) else 0
        if webhooks and read > max_bytes:
            break
        webhooks.append(webhook_from(tuple(row), _decompress))
    return webhooks


def take_webhooks(transaction: Transaction, intakes: Sequence[Intake], fold: Fold) -> list[Observed]:
    ids = as_json([intake.webhook for intake in intakes])
    found = transaction.sql.execute(_STILL_UNTAKEN, (ids,))
    untaken = {id_: (source, received_at) for id_, source, received_at in found}
    fresh = [intake for intake in intakes if intake.webhook in untaken]
    keys = (alert.key for intake in fresh for alert in intake.alerts)
    folding = Folding(fold, transaction.now, latest_episodes(transaction, keys), next_episode_id(transaction))
    observed = folding.take(intakes, untaken)
    update_episodes(transaction, folding.changed.values())
    insert_episodes(transaction, folding.opened.values())
    append_events(transaction, folding.events)
    wish(transaction, untaken, fresh)
    note_arrivals(transaction, untaken, fresh)
    if folding.opened:
        transaction.topics.add(Topic.EPISODES)
    now = transaction.micros
    marks = [(now, intake.quarantine, intake.webhook) for intake in fresh if not intake.more]
    transaction.sql.executemany(_MARK_TAKEN, marks)
    return observed


def settle_inquiry(
    transaction: Transaction,
    inquiry: Inquiry,
    body: bytes | None,
    again: timedelta | None,
    events: Sequence[Event],
) -> None:
    if body is not None:
        save_webhook(transaction, inquiry.source, body)
    settle(transaction, inquiry, again, events)
