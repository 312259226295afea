"""Episodes as rows, and the folding of alerts into them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from remediator.core.alerts import Alert, AlertKey
from remediator.core.changes import Intake, Observed
from remediator.core.episodes import Closed, Episode, Observation, Sighting
from remediator.core.events import Event, EventKind
from remediator.core.ids import EpisodeId
from remediator.store.common.codecs import Row, as_json, maybe_micros, maybe_moment, micros, moment, strings

COLUMNS = (
    "e.id, e.source, e.fingerprint, e.labels, e.annotations, e.grouping, e.starts_at, e.first_seen,"
    " e.last_seen, e.ended_at, e.closed_at, e.closed, e.repeats, e.stale_until, e.confirmed_at, e.closed_as"
)
#: The columns of :func:`episode_row`.
INSERTED = (
    "id, source, fingerprint, labels, annotations, grouping, starts_at, first_seen, last_seen, ended_at,"
    " closed_at, closed, repeats, stale_until, confirmed_at, closed_as, due_at"
)

_EVENTS = {
    Sighting.OPENED: EventKind.EPISODE_OPENED,
    Sighting.REFIRED: EventKind.EPISODE_REFIRED,
    Sighting.RESOLVED: EventKind.EPISODE_RESOLVED,
    Sighting.STALE: EventKind.EPISODE_STALE,
    Sighting.VANISHED: EventKind.EPISODE_VANISHED,
    Sighting.LAPSED: EventKind.EPISODE_LAPSED,
}


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
        closed=None if row[11] is None else Closed(row[15] or row[11]),
        repeats=row[12],
        stale_until=maybe_moment(row[13]),
        confirmed_at=maybe_moment(row[14]),
    )


def closed_words(closed: Closed | None) -> tuple[str | None, str | None]:
    """How an episode ended, as ``closed`` and ``closed_as`` hold it."""
    if closed is Closed.VANISHED or closed is Closed.LAPSED:
        return Closed.RESOLVED.value, closed.value
    return closed, None


def episode_row(episode: Episode, due_at: int) -> Row:
    """A new episode, due to be decided from ``due_at`` on (microseconds)."""
    closed, closed_as = closed_words(episode.closed)
    return (
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
        closed,
        episode.repeats,
        maybe_micros(episode.stale_until),
        maybe_micros(episode.confirmed_at),
        closed_as,
        due_at,
    )


def changed_row(episode: Episode) -> Row:
    """What folding may change of an episode, and its id."""
    closed, closed_as = closed_words(episode.closed)
    return (
        as_json(episode.annotations),
        micros(episode.starts_at),
        micros(episode.last_seen),
        maybe_micros(episode.ended_at),
        maybe_micros(episode.closed_at),
        closed,
        episode.repeats,
        maybe_micros(episode.confirmed_at),
        closed_as,
        episode.id,
    )


def label_texts(labels: Mapping[str, str]) -> list[str]:
    """How each of these labels stands in the column ``labels``."""
    return [as_json({name: value})[1:-1] for name, value in labels.items()]


def by_source(keys: Iterable[AlertKey]) -> dict[str, set[str]]:
    """The fingerprints of each source."""
    found: dict[str, set[str]] = {}
    for key in keys:
        found.setdefault(key.source, set()).add(key.fingerprint)
    return found


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
        confirmed_at=new.confirmed_at,
    )


class Keyed(Protocol):
    """What can be folded: an alert that was told, or a look at a quiet episode."""

    @property
    def key(self) -> AlertKey: ...


Told = TypeVar("Told", bound=Keyed)


class Folding(Generic[Told]):
    """Folds alerts into episodes in memory, so that each is written once, as the last alert left it.

    ``opened`` and ``changed`` are then to be written, ``changed`` first: a key has one open episode at most.
    """

    def __init__(
        self,
        fold: Callable[[Told, Episode | None, datetime], Observation],
        now: datetime,
        latest: Mapping[AlertKey, Episode],
        next_id: int,
    ) -> None:
        self._fold = fold
        self._now = now
        self._latest = dict(latest)
        self._next_id = next_id
        self.opened: dict[EpisodeId, Episode] = {}
        self.changed: dict[EpisodeId, Episode] = {}
        self.events: list[Event] = []

    def take(self: Folding[Alert], intakes: Sequence[Intake], untaken: Iterable[int]) -> list[Observed]:
        """Fold the webhooks that are still untaken, each once; the others are passed over."""
        left = set(untaken)
        observed = []
        for intake in intakes:
            if intake.webhook in left:
                left.remove(intake.webhook)
                observed.append(self._take(intake))
            else:
                observed.append(Observed(intake.webhook, {}))
        return observed

    def _take(self: Folding[Alert], intake: Intake) -> Observed:
        if intake.quarantine is not None:
            data = {"webhook": intake.webhook, "why": intake.quarantine}
            self.events.append(Event(EventKind.WEBHOOK_QUARANTINED, self._now, data))
            return Observed(intake.webhook, {})
        sightings: dict[Sighting, int] = {}
        closed: list[EpisodeId] = []
        opened = 0
        for alert in intake.alerts:
            seen = self.see(alert)
            sightings[seen.sighting] = sightings.get(seen.sighting, 0) + 1
            opened += seen.opened is not None
            if seen.changed is not None and not seen.changed.is_open:
                closed.append(seen.changed.id)
        return Observed(intake.webhook, sightings, tuple(closed), opened)

    def see(self, told: Told) -> Observation:
        """Fold one in."""
        key = told.key
        latest = self._latest.get(key)
        seen = self._fold(told, latest, self._now)
        if seen.changed is not None:
            self._keep(key, seen.changed)
        if seen.opened is not None:
            opened = numbered(seen.opened, EpisodeId(self._next_id))
            self._next_id += 1
            self.opened[opened.id] = opened
            self._latest[key] = opened
        self._tell(seen, latest, self._latest.get(key))
        return seen

    def _keep(self, key: AlertKey, changed: Episode) -> None:
        among = self.opened if changed.id in self.opened else self.changed
        among[changed.id] = changed
        self._latest[key] = changed

    def _tell(self, seen: Observation, before: Episode | None, after: Episode | None) -> None:
        kind = _EVENTS.get(seen.sighting)
        if kind is None or after is None:
            return
        data: dict[str, object] = {
            "alertname": after.alertname,
            "source": after.source,
            "fingerprint": after.fingerprint,
        }
        if seen.sighting is Sighting.REFIRED and before is not None:
            data["superseded"] = before.id
        if seen.detail:
            data["why"] = seen.detail
        self.events.append(Event(kind, self._now, data, episode=after.id))
