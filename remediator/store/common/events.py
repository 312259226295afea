"""Events as rows."""

from __future__ import annotations

from remediator.core.changes import MOST_EVENTS, MOST_OF_STORY
from remediator.core.events import OF_JOINING, Event, EventKind
from remediator.core.ids import EpisodeId, RunId
from remediator.store.common.codecs import Row, as_json, micros, moment, objects

COLUMNS = "id, kind, at, version, data, episode, run, rule, target"
INSERTED = "kind, at, version, data, episode, run, rule, target"
_OF_JOINING = ", ".join(sorted(f"'{kind.value}'" for kind in OF_JOINING))


def of_run(place: str) -> str:
    """The statement that reads a run's events as a story has them; ``place`` is that of the run's id."""
    some = f"SELECT {COLUMNS} FROM events WHERE run = {place} AND kind"
    return (
        f"SELECT * FROM (SELECT * FROM ({some} IN ({_OF_JOINING}) ORDER BY id LIMIT {MOST_OF_STORY}) first"
        f" UNION ALL SELECT * FROM ({some} NOT IN ({_OF_JOINING}) ORDER BY id DESC LIMIT {MOST_EVENTS}) last)"
        " story ORDER BY id"
    )


def event_row(event: Event) -> Row:
    return (
        event.kind.value,
        micros(event.at),
        event.version,
        as_json(event.data),
        event.episode,
        event.run,
        event.rule,
        event.target,
    )


def event_from(row: Row) -> Event:
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
