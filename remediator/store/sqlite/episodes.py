"""Episodes as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from remediator.core.alerts import AlertKey
from remediator.core.changes import MOST_SEARCHED, EpisodeFilter
from remediator.core.episodes import Episode
from remediator.core.ids import EpisodeId, RunId
from remediator.store.common.codecs import as_json
from remediator.store.common.episodes import (
    COLUMNS,
    INSERTED,
    by_source,
    changed_row,
    episode_from,
    episode_row,
    label_texts,
)
from remediator.store.common.unread import readable, sift
from remediator.store.sqlite.aside import put_aside
from remediator.store.sqlite.transaction import Transaction

_INSERT = f"INSERT INTO episodes ({INSERTED}) VALUES ({', '.join('?' * 17)})"
_UPDATE = (
    "UPDATE episodes SET annotations = ?, starts_at = ?, last_seen = ?, ended_at = ?, closed_at = ?,"
    " closed = ?, repeats = ?, confirmed_at = ?, closed_as = ? WHERE id = ?"
)
# json_each binds a list of any length to one parameter, so that one prepared statement serves them all.
_BY_IDS = f"SELECT {COLUMNS} FROM episodes e WHERE e.id IN (SELECT value FROM json_each(?))"
_LATEST = (
    f"SELECT {COLUMNS} FROM episodes e JOIN (SELECT max(id) AS id FROM episodes WHERE source = ?"
    " AND fingerprint IN (SELECT value FROM json_each(?)) GROUP BY fingerprint) latest ON latest.id = e.id"
)
_OF_RUN = (
    f"SELECT {COLUMNS} FROM run_episodes j JOIN episodes e ON e.id = j.episode"
    " WHERE j.run = ? ORDER BY j.joined_at, e.id LIMIT ?"
)
_OF_RUN_AFTER = (
    f"SELECT {COLUMNS} FROM run_episodes j JOIN episodes e ON e.id = j.episode"
    " WHERE j.run = ? AND j.episode > ? ORDER BY j.episode LIMIT ?"
)
_COUNTS_OF_RUN = (
    "SELECT count(*), count(e.closed) FROM run_episodes j JOIN episodes e ON e.id = j.episode WHERE j.run = ?"
)
_LATELY = f"e.id > (SELECT coalesce(max(id), 0) FROM episodes) - {MOST_SEARCHED}"
_ALL = -1


def latest_episodes(transaction: Transaction, keys: Iterable[AlertKey]) -> dict[AlertKey, Episode]:
    """The latest episode of each key that has one, open or closed; one that can't be read is closed."""
    found: dict[AlertKey, Episode] = {}
    for source, fingerprints in by_source(keys).items():
        rows = transaction.sql.execute(_LATEST, (source, as_json(sorted(fingerprints)))).fetchall()
        latest, unreadable = sift(transaction, "episodes", rows, episode_from)
        found |= {episode.key: episode for episode in latest}
        put_aside(transaction, unreadable)
    return found


def episodes_by_id(transaction: Transaction, ids: Iterable[EpisodeId]) -> Mapping[EpisodeId, Episode]:
    found = (episode_from(row) for row in transaction.sql.execute(_BY_IDS, (as_json(list(ids)),)))
    return {episode.id: episode for episode in found}


def episodes(transaction: Transaction, wanted: EpisodeFilter) -> list[Episode]:
    clauses = [_LATELY]
    values: list[object] = []
    if wanted.id is not None:
        clauses = ["e.id = ?"]
        values.append(wanted.id)
    if wanted.before is not None:
        clauses.append("e.id < ?")
        values.append(wanted.before)
    if wanted.fingerprint:
        clauses.append("substr(e.fingerprint, 1, ?) = ?")
        values += (len(wanted.fingerprint), wanted.fingerprint)
    for text in label_texts(wanted.labels):
        clauses.append("instr(e.labels, ?)")
        values.append(text)
    rows = transaction.sql.execute(
        f"SELECT {COLUMNS} FROM episodes e WHERE {' AND '.join(clauses)} ORDER BY e.id DESC LIMIT ?",
        (*values, wanted.limit),
    )
    return [episode_from(row) for row in rows]


def first_episodes_of_run(transaction: Transaction, run: RunId, limit: int) -> tuple[Episode, ...]:
    """Those that came first."""
    return tuple(
        readable(transaction, "episodes", transaction.sql.execute(_OF_RUN, (run, limit)), episode_from)
    )


def episodes_of_run(
    transaction: Transaction, run: RunId, after: int, limit: int | None
) -> tuple[Episode, ...]:
    most = _ALL if limit is None else limit
    while rows := transaction.sql.execute(_OF_RUN_AFTER, (run, after, most)).fetchall():
        found = readable(transaction, "episodes", rows, episode_from)
        if found:
            return tuple(found)
        after = rows[-1][0]
    return ()


def counts_of_run(transaction: Transaction, run: RunId) -> tuple[int, int]:
    """How many episodes the run has, and how many of them are open."""
    episodes, closed = transaction.sql.execute(_COUNTS_OF_RUN, (run,)).fetchone()
    return episodes, episodes - closed


def still_fires(transaction: Transaction, run: RunId) -> bool:
    """Whether an episode of the run is open; a run that has none yet is being asked about one that is."""
    episodes, still_open = counts_of_run(transaction, run)
    return bool(still_open or not episodes)


def next_episode_id(transaction: Transaction) -> int:
    return int(transaction.sql.execute("SELECT coalesce(max(id), 0) + 1 FROM episodes").fetchone()[0])


def update_episodes(transaction: Transaction, episodes: Iterable[Episode]) -> None:
    transaction.sql.executemany(_UPDATE, [changed_row(episode) for episode in episodes])


def insert_episodes(transaction: Transaction, episodes: Iterable[Episode]) -> None:
    """Write new episodes, due to be decided at once."""
    due_at = transaction.micros
    transaction.sql.executemany(_INSERT, [episode_row(episode, due_at) for episode in episodes])
