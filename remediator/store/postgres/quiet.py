"""Quiet episodes: found by their age, and what was seen of them folded in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from remediator.core.episodes import Episode, Sighting
from remediator.core.ids import EpisodeId
from remediator.core.ports.store import Review, Topic
from remediator.core.quiet import Look
from remediator.store.common.codecs import micros
from remediator.store.common.episodes import COLUMNS, Folding, episode_from
from remediator.store.common.unread import readable
from remediator.store.postgres.episodes import (
    insert_episodes,
    latest_episodes,
    next_episode_id,
    update_episodes,
)
from remediator.store.postgres.transaction import Transaction

_QUIET = (
    f"SELECT {COLUMNS} FROM episodes e WHERE e.closed IS NULL AND e.id > $1"
    " AND greatest(e.last_seen, e.confirmed_at) <= $2 ORDER BY e.id LIMIT $3"
)


async def quiet_episodes(
    transaction: Transaction, ask_after: timedelta, after: EpisodeId, limit: int
) -> list[Episode]:
    since = micros(transaction.now - ask_after)
    rows = await transaction.rows(_QUIET, after, since, limit)
    return readable(transaction, "episodes", rows, episode_from)


async def review(transaction: Transaction, looks: Sequence[Look], fold: Review) -> Mapping[Sighting, int]:
    """Needs ``Lock.FOLD``, as the taking of webhooks does."""
    latest = await latest_episodes(transaction, {look.key for look in looks})
    folding = Folding(fold, transaction.now, latest, await next_episode_id(transaction))
    sightings = Counter(folding.see(look).sighting for look in looks)
    await update_episodes(transaction, folding.changed.values())
    await insert_episodes(transaction, folding.opened.values())
    transaction.append_events(folding.events)
    if folding.opened:
        transaction.topics.add(Topic.EPISODES)
    return sightings
