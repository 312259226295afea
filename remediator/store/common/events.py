"""Events as rows."""

from __future__ import annotations

from remediator.core.events import Event, EventKind
from remediator.core.ids import EpisodeId, RunId
from remediator.store.common.codecs import Row, as_json, micros, moment, objects

COLUMNS = "id, kind, at, version, data, episode, run, rule, target"
INSERTED = "kind, at, version, data, episode, run, rule, target"


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
