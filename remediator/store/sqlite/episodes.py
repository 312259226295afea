"""Episodes as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from remediator.core.alerts import AlertKey
from remediator.core.episodes import Closed, Episode
from remediator.core.ids import EpisodeId, RunId
from remediator.store.sqlite.codecs import (
    Row,
    as_json,
    maybe_micros,
    maybe_moment,
    micros,
    moment,
    strings,
)
from remediator.store.sqlite.transaction import Transaction

COLUMNS = (
    "e.id, e.source, e.fingerprint, e.labels, e.annotations, e.grouping, e.starts_at, e.first_seen,"
    " e.last_seen, e.ended_at, e.closed_at, e.closed, e.repeats, e.stale_until"
)

_INSERT = (
    "INSERT INTO episodes (id, source, fingerprint, labels, annotations, grouping, starts_at, first_seen,"
    " last_seen, ended_at, closed_at, closed, repeats, stale_until, due_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = (
    "UPDATE episodes SET annotations = ?, starts_at = ?, last_seen = ?, ended_at = ?, closed_at = ?,"
    " closed = ?, repeats = ? WHERE id = ?"
)
# json_each binds a list of any length to one parameter, so that one prepared statement serves them all.
_BY_IDS = f"SELECT {COLUMNS} FROM episodes e WHERE e.id IN (SELECT value FROM json_each(?))"
_LATEST = (
    f"SELECT {COLUMNS} FROM episodes e JOIN (SELECT max(id) AS id FROM episodes WHERE source = ?"
    " AND fingerprint IN (SELECT value FROM json_each(?)) GROUP BY fingerprint) latest ON latest.id = e.id"
)
_OF_RUN = (
    f"SELECT {COLUMNS} FROM run_episodes j JOIN episodes e ON e.id = j.episode"
    " WHERE j.run = ? ORDER BY j.joined_at, e.id"
)


def episode_from(row: Row) -> Episode:
    return Episode(
        id=EpisodeId(row[0]),
        source=row[1],
        fingerprint=row[2],
        labels=strings(row[3]),
        annotations=strings(row[4]),
        group=strings(row[5]),
        starts_at=moment(row[6]),
        first_seen=moment(row[7]),
        last_seen=moment(row[8]),
        ended_at=maybe_moment(row[9]),
        closed_at=maybe_moment(row[10]),
        closed=None if row[11] is None else Closed(row[11]),
        repeats=row[12],
        stale_until=maybe_moment(row[13]),
    )


def numbered(new: Episode, id_: EpisodeId) -> Episode:
    """A new episode with its id: `dataclasses.replace`, at a third of its price for each alert."""
    return Episode(
        id=id_,
        source=new.source,
        fingerprint=new.fingerprint,
        labels=new.labels,
        annotations=new.annotations,
        starts_at=new.starts_at,
        first_seen=new.first_seen,
        last_seen=new.last_seen,
        group=new.group,
        ended_at=new.ended_at,
        closed_at=new.closed_at,
        closed=new.closed,
        repeats=new.repeats,
        stale_until=new.stale_until,
    )


def latest_episodes(transaction: Transaction, keys: Iterable[AlertKey]) -> dict[AlertKey, Episode]:
    """The latest episode of each key that has one, open or closed."""
    by_source: dict[str, set[str]] = {}
    for key in keys:
        by_source.setdefault(key.source, set()).add(key.fingerprint)
    found: dict[AlertKey, Episode] = {}
    for source, fingerprints in by_source.items():
        for row in transaction.sql.execute(_LATEST, (source, as_json(sorted(fingerprints)))):
            episode = episode_from(row)
            found[episode.key] = episode
    return found


def episodes_by_id(transaction: Transaction, ids: Iterable[EpisodeId]) -> Mapping[EpisodeId, Episode]:
    found = (episode_from(row) for row in transaction.sql.execute(_BY_IDS, (as_json(list(ids)),)))
    return {episode.id: episode for episode in found}


def episodes_of_run(transaction: Transaction, run: RunId) -> tuple[Episode, ...]:
    return tuple(episode_from(row) for row in transaction.sql.execute(_OF_RUN, (run,)))


def still_fires(transaction: Transaction, run: RunId) -> bool:
    """Whether an episode of the run is open; a run that has none yet is being asked about one that is."""
    counts = transaction.sql.execute(
        "SELECT count(*), count(e.closed) FROM run_episodes j JOIN episodes e ON e.id = j.episode"
        " WHERE j.run = ?",
        (run,),
    ).fetchone()
    return bool(counts[0] > counts[1] or not counts[0])


def next_episode_id(transaction: Transaction) -> int:
    return int(transaction.sql.execute("SELECT coalesce(max(id), 0) + 1 FROM episodes").fetchone()[0])


def update_episodes(transaction: Transaction, episodes: Iterable[Episode]) -> None:
    transaction.sql.executemany(
        _UPDATE,
        [
            (
                as_json(episode.annotations),
                micros(episode.starts_at),
                micros(episode.last_seen),
                maybe_micros(episode.ended_at),
                maybe_micros(episode.closed_at),
                episode.closed,
                episode.repeats,
                episode.id,
            )
            for episode in episodes
        ],
    )


def insert_episodes(transaction: Transaction, episodes: Iterable[Episode]) -> None:
    """Write new episodes, due to be decided at once."""
    due_at = transaction.micros
    transaction.sql.executemany(
        _INSERT,
        [
            (
                episode.id,
                episode.source,
                episode.fingerprint,
                as_json(episode.labels),
                as_json(episode.annotations),
                as_json(episode.group),
                micros(episode.starts_at),
                micros(episode.first_seen),
                micros(episode.last_seen),
                maybe_micros(episode.ended_at),
                maybe_micros(episode.closed_at),
                episode.closed,
                episode.repeats,
                maybe_micros(episode.stale_until),
                due_at,
            )
            for episode in episodes
        ],
    )
