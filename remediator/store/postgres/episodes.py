"""Episodes in their table."""

from __future__ import annotations

from collections.abc import Iterable

from remediator.core.alerts import AlertKey
from remediator.core.changes import MOST_SEARCHED, EpisodeFilter
from remediator.core.episodes import Episode
from remediator.core.ids import EpisodeId, RunId
from remediator.store.common.episodes import (
    COLUMNS,
    INSERTED,
    changed_row,
    episode_from,
    episode_row,
    label_texts,
)
from remediator.store.common.unread import readable, sift
from remediator.store.postgres.aside import put_aside
from remediator.store.postgres.transaction import Transaction, places

_INSERT = f"INSERT INTO episodes ({INSERTED}) VALUES ({places(17)})"
_UPDATE = (
    "UPDATE episodes SET annotations = $1, starts_at = $2, last_seen = $3, ended_at = $4, closed_at = $5,"
    " closed = $6, repeats = $7, confirmed_at = $8, closed_as = $9 WHERE id = $10"
)
_BY_IDS = f"SELECT {COLUMNS} FROM episodes e WHERE e.id = ANY($1::bigint[])"
# Locked in the order of ids, as decisions do: who needs both waits, and nobody in a circle.
_LATEST = (
    f"SELECT {COLUMNS} FROM episodes e WHERE e.id = ANY(ARRAY(SELECT (SELECT max(id) FROM episodes"
    " WHERE source = k.source AND fingerprint = k.fingerprint)"
    " FROM unnest($1::text[], $2::text[]) AS k (source, fingerprint))) ORDER BY e.id FOR NO KEY UPDATE"
)
_OF_RUN = (
    f"SELECT {COLUMNS} FROM run_episodes j JOIN episodes e ON e.id = j.episode"
    " WHERE j.run = $1 ORDER BY j.joined_at, e.id LIMIT $2"
)
_OF_RUN_AFTER = (
    f"SELECT {COLUMNS} FROM run_episodes j JOIN episodes e ON e.id = j.episode"
    " WHERE j.run = $1 AND j.episode > $2 ORDER BY j.episode LIMIT $3"
)
_WANTED = (
    f"SELECT {COLUMNS} FROM episodes e WHERE (e.id = $1 OR $1::bigint IS NULL"
    f" AND e.id > (SELECT coalesce(max(id), 0) FROM episodes) - {MOST_SEARCHED})"
    " AND ($2::bigint IS NULL OR e.id < $2) AND starts_with(e.fingerprint, $3)"
    " AND NOT EXISTS (SELECT 1 FROM unnest($4::text[]) AS l (label) WHERE strpos(e.labels, l.label) = 0)"
    " ORDER BY e.id DESC LIMIT $5"
)
_COUNTS_OF_RUN = (
    "SELECT count(*), count(e.closed) FROM run_episodes j JOIN episodes e ON e.id = j.episode"
    " WHERE j.run = $1"
)


async def latest_episodes(transaction: Transaction, keys: Iterable[AlertKey]) -> dict[AlertKey, Episode]:
    """The latest episode of each key that has one, open or closed, kept from others until the commit.

    One that can't be read is closed.
    """
    asked = list(keys)
    sources, fingerprints = [key.source for key in asked], [key.fingerprint for key in asked]
    rows = await transaction.rows(_LATEST, sources, fingerprints)
    found, unreadable = sift(transaction, "episodes", rows, episode_from)
    await put_aside(transaction, unreadable)
    return {episode.key: episode for episode in found}


async def episodes_by_id(transaction: Transaction, ids: list[EpisodeId]) -> dict[EpisodeId, Episode]:
    found = [episode_from(row) for row in await transaction.rows(_BY_IDS, ids)]
    return {episode.id: episode for episode in found}


async def episodes(transaction: Transaction, wanted: EpisodeFilter) -> list[Episode]:
    found = await transaction.rows(
        _WANTED, wanted.id, wanted.before, wanted.fingerprint, label_texts(wanted.labels), wanted.limit
    )
    return [episode_from(row) for row in found]


async def first_episodes_of_run(transaction: Transaction, run: RunId, limit: int) -> tuple[Episode, ...]:
    """Those that came first."""
    rows = await transaction.rows(_OF_RUN, run, limit)
    return tuple(readable(transaction, "episodes", rows, episode_from))


async def episodes_of_run(
    transaction: Transaction, run: RunId, after: int, limit: int | None
) -> tuple[Episode, ...]:
    while rows := await transaction.rows(_OF_RUN_AFTER, run, after, limit):
        found = readable(transaction, "episodes", rows, episode_from)
        if found:
            return tuple(found)
        after = rows[-1][0]
    return ()


async def counts_of_run(transaction: Transaction, run: RunId) -> tuple[int, int]:
    """How many episodes the run has, and how many of them are open."""
    ((episodes, closed),) = await transaction.rows(_COUNTS_OF_RUN, run)
    return episodes, episodes - closed


async def still_fires(transaction: Transaction, run: RunId) -> bool:
    """Whether an episode of the run is open; a run that has none yet is being asked about one that is."""
    episodes, still_open = await counts_of_run(transaction, run)
    return bool(still_open or not episodes)


async def next_episode_id(transaction: Transaction) -> int:
    return int(await transaction.value("SELECT coalesce(max(id), 0) + 1 FROM episodes"))


async def update_episodes(transaction: Transaction, episodes: Iterable[Episode]) -> None:
    await transaction.run_for_each(_UPDATE, [changed_row(episode) for episode in episodes])


async def insert_episodes(transaction: Transaction, episodes: Iterable[Episode]) -> None:
    """Write new episodes, due to be decided at once."""
    due_at = transaction.micros
    await transaction.run_for_each(_INSERT, [episode_row(episode, due_at) for episode in episodes])
