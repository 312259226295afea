"""The inbox: raw webhooks in, episodes out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import zstandard

from remediator.core.changes import Intake, Observed, RawWebhook
from remediator.core.events import Event
from remediator.core.inquiries import Inquiry
from remediator.core.ports.store import Fold, Topic
from remediator.store.common.codecs import Row, micros, webhook_from
from remediator.store.common.episodes import Folding
from remediator.store.postgres.episodes import (
    insert_episodes,
    latest_episodes,
    next_episode_id,
    update_episodes,
)
from remediator.store.postgres.inquiries import settle, wish
from remediator.store.postgres.transaction import Transaction
from remediator.store.postgres.watchdogs import note_arrivals
from remediator.store.postgres.webhooks import Packed

_SAVE = (
    "INSERT INTO webhooks (source, received_at, size, body) SELECT source, $1, size, body"
    " FROM unnest($2::text[], $3::integer[], $4::bytea[]) WITH ORDINALITY AS came (source, size, body, place)"
    " ORDER BY place"
)
_ANY_UNTAKEN = "SELECT EXISTS (SELECT 1 FROM webhooks WHERE taken_at IS NULL)"
# Sizes are summed before bodies are read: a long queue is not read whole to hand out its beginning.
_UNTAKEN = (
    "WITH first AS (SELECT id, size FROM webhooks WHERE taken_at IS NULL ORDER BY id LIMIT 1000),"
    " summed AS (SELECT id, sum(size) OVER (ORDER BY id) AS read, row_number() OVER (ORDER BY id) AS place"
    " FROM first) SELECT w.id, w.source, w.received_at, w.body FROM summed s JOIN webhooks w ON w.id = s.id"
    " WHERE s.read <= $1 OR s.place = 1 ORDER BY w.id"
)
_TAKE_TURN = (
    "INSERT INTO turns (what, holder, until) VALUES ('intake', $1, $2) ON CONFLICT (what) DO UPDATE"
    " SET holder = excluded.holder, until = excluded.until"
    " WHERE turns.until <= $3 OR turns.holder = excluded.holder"
)
#: Longer than a batch takes; so long do alerts wait for who takes the place of a replica that died over one.
_TURN = timedelta(seconds=2)
_STILL_UNTAKEN = (
    "SELECT id, source, received_at FROM webhooks WHERE taken_at IS NULL AND id = ANY($1::bigint[])"
    " ORDER BY id FOR NO KEY UPDATE"
)
_MARK_TAKEN = "UPDATE webhooks SET taken_at = $1, quarantine = $2 WHERE id = $3"


async def save_webhooks(transaction: Transaction, packed: Sequence[Packed]) -> None:
    await transaction.run(
        _SAVE,
        transaction.micros,
        [each.source for each in packed],
        [each.size for each in packed],
        [each.body for each in packed],
    )
    transaction.topics.add(Topic.WEBHOOKS)


async def untaken_webhooks(transaction: Transaction, max_bytes: int) -> list[Row]:
    """None while it is another replica's turn: all would do the same work, and one at a time is in order."""
    if not await transaction.value(_ANY_UNTAKEN):
        return []
    until = micros(transaction.now + _TURN)
    if not await transaction.run(_TAKE_TURN, transaction.claimer, until, transaction.micros):
        return []
    return await transaction.rows(_UNTAKEN, max_bytes)


async def unpacked(rows: list[Row]) -> list[RawWebhook]:
    return await asyncio.to_thread(_unpack, rows)


def _unpack(rows: list[Row]) -> list[RawWebhook]:
    decompress = zstandard.ZstdDecompressor().decompress
    return [webhook_from(row, decompress) for row in rows]


async def take_webhooks(transaction: Transaction, intakes: Sequence[Intake], fold: Fold) -> list[Observed]:
    """Needs ``Lock.FOLD``: two replicas that fold alerts of one key would both open its episode."""
    ids = [intake.webhook for intake in intakes]
    found = await transaction.rows(_STILL_UNTAKEN, ids)
    untaken = {id_: (source, received_at) for id_, source, received_at in found}
    fresh = [intake for intake in intakes if intake.webhook in untaken]
    keys = {alert.key for intake in fresh for alert in intake.alerts}
    latest = await latest_episodes(transaction, keys)
    folding = Folding(fold, transaction.now, latest, await next_episode_id(transaction))
    observed = folding.take(intakes, untaken)
    await update_episodes(transaction, folding.changed.values())
    await insert_episodes(transaction, folding.opened.values())
    transaction.append_events(folding.events)
    await wish(transaction, untaken, fresh)
    await note_arrivals(transaction, untaken, fresh)
    if folding.opened:
        transaction.topics.add(Topic.EPISODES)
    now = transaction.micros
    marks = [(now, intake.quarantine, intake.webhook) for intake in fresh if not intake.more]
    await transaction.run_for_each(_MARK_TAKEN, marks)
    return observed


async def settle_inquiry(
    transaction: Transaction,
    inquiry: Inquiry,
    packed: Sequence[Packed],
    again: timedelta | None,
    events: Sequence[Event],
) -> None:
    if packed:
        await save_webhooks(transaction, packed)
    await settle(transaction, inquiry, again, events)
