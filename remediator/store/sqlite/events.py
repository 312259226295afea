"""Events: appended in the transaction of what they tell of, never changed."""

from __future__ import annotations

from collections.abc import Iterable

from remediator.core.events import Event, EventKind
from remediator.core.ids import EpisodeId, RunId
from remediator.core.ports.store import Topic
from remediator.store.sqlite.codecs import Row, as_json, micros, moment, objects
from remediator.store.sqlite.transaction import Transaction

_APPEND = (
    "INSERT INTO events (kind, at, version, data, episode, run, rule, target) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_COLUMNS = "id, kind, at, version, data, episode, run, rule, target"


def append_events(transaction: Transaction, events: Iterable[Event]) -> None:
    rows = [
        (
            event.kind.value,
            micros(event.at),
            event.version,
            as_json(event.data),
            event.episode,
            event.run,
            event.rule,
            event.target,
        )
        for event in events
    ]
    if rows:
        transaction.sql.executemany(_APPEND, rows)
        transaction.topics.add(Topic.EVENTS)


def events_after(transaction: Transaction, after: int, limit: int) -> list[Event]:
    found = transaction.sql.execute(
        f"SELECT {_COLUMNS} FROM events WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
    )
    return [_event(row) for row in found]


def events_of_run(transaction: Transaction, run: RunId) -> tuple[Event, ...]:
    found = transaction.sql.execute(f"SELECT {_COLUMNS} FROM events WHERE run = ? ORDER BY id", (run,))
    return tuple(_event(row) for row in found)


def _event(row: Row) -> Event:
    id_, kind, at, version, data, episode, run, rule, target = row
    return Event(
        kind=EventKind(kind),
        at=moment(at),
        data=objects(data),
        episode=None if episode is None else EpisodeId(episode),
        run=None if run is None else RunId(run),
        rule=rule,
        target=target,
        version=version,
        id=id_,
    )
