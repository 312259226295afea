"""Episodes: one firing of an alert, from first seen to closed (law 2).

Alertmanager repeats itself, its peers repeat each other, ``startsAt`` moves backwards, and `resolved`
may come late, twice or never. :func:`observe` folds each alert into what is known of its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from remediator.core.alerts import Alert, AlertKey
from remediator.core.ids import EpisodeId

#: A firing alert whose startsAt lies further than this after the last sighting is a new episode.
REFIRE_GAP = timedelta(minutes=5)


class Closed(StrEnum):
    """How an episode ended.

    ``vanished`` without a `resolved`: Alertmanager proves that it has the alert no more. ``lapsed``: it was
    not told of for long, and nobody could be asked, so that nothing is proven.
    """

    RESOLVED = "resolved"
    SUPERSEDED = "superseded"
    VANISHED = "vanished"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Episode:
    """One firing of an alert. ``id`` is 0 until the store has given it one.

    ``starts_at`` is the earliest that was told and ``ended_at`` the end by Alertmanager's clock;
    ``first_seen`` and ``closed_at`` are times of the store; so is ``last_seen``, unless a startsAt was told
    that lies ahead of it: then that is the last that is known of the alert. ``stale_until`` is the end of
    the episode before it: what a peer still tells of that time is stale. ``confirmed_at`` is when asking last
    found the alert there, though nobody is told of it. Of an episode that vanished or lapsed nobody knows
    the end.
    """

    id: EpisodeId
    source: str
    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    first_seen: datetime
    last_seen: datetime
    group: Mapping[str, str] = field(default_factory=dict)
    ended_at: datetime | None = None
    closed_at: datetime | None = None
    closed: Closed | None = None
    repeats: int = 0
    stale_until: datetime | None = None
    confirmed_at: datetime | None = None

    @property
    def key(self) -> AlertKey:
        return AlertKey(self.source, self.fingerprint)

    @property
    def is_open(self) -> bool:
        return self.closed is None

    @property
    def alertname(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def last_known(self) -> datetime:
        """When it was last told of, or found there by asking."""
        return self.last_seen if self.confirmed_at is None else max(self.last_seen, self.confirmed_at)


class Sighting(StrEnum):
    """What one alert of one webhook turned out to be, or one look at a quiet episode (the last three)."""

    OPENED = "opened"
    REPEATED = "repeated"
    REFIRED = "refired"
    RESOLVED = "resolved"
    STALE = "stale"
    UNKNOWN_RESOLVED = "unknown_resolved"
    QUIET = "quiet"
    VANISHED = "vanished"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Observation:
    """What to write for one alert: the changed earlier episode, the new one, or neither.

    ``detail`` says why, where the sighting does not.
    """

    sighting: Sighting
    changed: Episode | None = None
    opened: Episode | None = None
    detail: str = ""


def observe(alert: Alert, latest: Episode | None, now: datetime) -> Observation:
    """Fold one alert into the latest episode of its key, open or closed, at the store's ``now``."""
    if not alert.firing:
        return _observe_resolved(alert, latest, now)
    if latest is None:
        return Observation(Sighting.OPENED, opened=_open(alert, now, None))
    if _is_past(alert.starts_at, latest.stale_until):
        return Observation(Sighting.STALE)
    if latest.is_open:
        return _observe_firing(alert, latest, now)
    if _is_past(alert.starts_at, latest.ended_at):
        return Observation(Sighting.STALE)
    return Observation(Sighting.OPENED, opened=_open(alert, now, latest.ended_at or latest.stale_until))


def _observe_firing(alert: Alert, latest: Episode, now: datetime) -> Observation:
    if alert.starts_at - latest.last_seen > REFIRE_GAP:
        ended = replace(latest, ended_at=latest.last_seen, closed_at=now, closed=Closed.SUPERSEDED)
        return Observation(Sighting.REFIRED, changed=ended, opened=_open(alert, now, ended.ended_at))
    seen = replace(
        latest,
        starts_at=min(latest.starts_at, alert.starts_at),
        last_seen=max(latest.last_seen, now, alert.starts_at),
        annotations=alert.annotations,
        repeats=latest.repeats + 1,
    )
    return Observation(Sighting.REPEATED, changed=seen)


def _observe_resolved(alert: Alert, latest: Episode | None, now: datetime) -> Observation:
    if latest is None or not latest.is_open:
        return Observation(Sighting.UNKNOWN_RESOLVED)
    # A peer's late `resolved` for an earlier firing must not close this one.
    if alert.ends_at is not None and (
        alert.ends_at <= latest.starts_at or _is_past(alert.ends_at, latest.stale_until)
    ):
        return Observation(Sighting.STALE)
    seen = max(latest.last_seen, now)
    # An end that lies far ahead would make every refire stale; what we have seen ourselves bounds it.
    end = seen if alert.ends_at is None else _no_later(alert.ends_at, seen)
    ended = replace(latest, last_seen=seen, ended_at=end, closed_at=now, closed=Closed.RESOLVED)
    return Observation(Sighting.RESOLVED, changed=ended)


def _is_past(told: datetime, end: datetime | None) -> bool:
    return end is not None and told <= end


def _open(alert: Alert, now: datetime, stale_until: datetime | None) -> Episode:
    return Episode(
        id=EpisodeId(0),
        source=alert.source,
        fingerprint=alert.fingerprint,
        labels=alert.labels,
        annotations=alert.annotations,
        group=alert.group,
        starts_at=alert.starts_at,
        first_seen=now,
        # By a clock that is ahead of ours, each repeat would else be taken for a new firing.
        last_seen=max(now, alert.starts_at),
        stale_until=stale_until,
    )


def _no_later(told: datetime, seen: datetime) -> datetime:
    return seen + REFIRE_GAP if told - seen > REFIRE_GAP else told
