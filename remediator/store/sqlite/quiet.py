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
from remediator.store.sqlite.episodes import (
    insert_episodes,
    latest_episodes,
    next_episode_id,
    update_episodes,
)
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.transaction import Transaction

_QUIET = (
    f"SELECT {COLUMNS} FROM episodes e WHERE e.closed IS NULL AND e.id > ?"
    " AND max(e.last_seen, coalesce(e.confirmed_at, 0)) <= ? ORDER BY e.id LIMIT ?"
)


def quiet_episodes(
    transaction: Transaction, ask_after: timedelta, after: EpisodeId, limit: int
) -> list[Episode]:
    since = micros(transaction.now - ask_after)
    rows = transaction.sql.execute(_QUIET, (after, since, limit))
    return readable(transaction, "episodes", rows, episode_from)


def review(transaction: Transaction, looks: Sequence[Look], fold: Review) -> Mapping[Sighting, int]:
    latest = latest_episodes(transaction, (look.key for look in looks))
    folding = Folding(fold, transaction.now, latest, next_episode_id(transaction))
    sightings = Counter(folding.see(look).sighting for look in looks)
    update_episodes(transaction, folding.changed.values())
    insert_episodes(transaction, folding.opened.values())
    append_events(transaction, folding.events)
    if folding.opened:
        transaction.topics.add(Topic.EPISODES)
    return sightings
