"""Quiet episodes: open, and not told of for long. What asking says of them, and what follows from it.

`resolved` may never come: a silenced alert sends none, an Alertmanager that was restarted has forgotten it,
and a webhook may be lost for good. So nothing is taken for resolved because nobody speaks of it, and nothing
stays open for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from remediator.core.alerts import Alert, AlertKey
from remediator.core.answers import AlertState, Answer, Heard, Listed, Silent
from remediator.core.durations import format_duration
from remediator.core.episodes import Closed, Episode, Observation, Sighting, observe
from remediator.core.manual import request_of
from remediator.core.rules import Patience


class Presence(StrEnum):
    """Whether Alertmanager still has an alert.

    ``suppressed`` is there, but nobody is told of it; ``absent`` is proven; ``unknown`` is neither.
    """

    FIRING = "firing"
    SUPPRESSED = "suppressed"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Look:
    """What asking about a quiet episode came to.

    ``episode`` is as it was when it was asked about, ``alert`` what was told if it fires.
    """

    episode: Episode
    presence: Presence
    why: str
    alert: Alert | None = None

    @property
    def key(self) -> AlertKey:
        return self.episode.key


class Hearing:
    """What all Alertmanagers said when they were asked about all alerts, to be looked up in."""

    def __init__(self, heard: Sequence[Heard]) -> None:
        self._answers = [each for each in heard if isinstance(each, Answer)]
        self._silent = [each for each in heard if isinstance(each, Silent)]
        self._listed: dict[str, list[Listed]] = {}
        for answer in self._answers:
            for alert in answer.alerts:
                self._listed.setdefault(alert.fingerprint, []).append(alert)

    def look(self, episode: Episode) -> Look:
        """Whether an episode's alert is still there; absent is only what all would know of."""
        if request_of(episode) is not None:
            return Look(episode, Presence.UNKNOWN, "a person asked for it, and no Alertmanager knows of that")
        listed = self._listed.get(episode.fingerprint, [])
        firing = [alert for alert in listed if alert.state is AlertState.ACTIVE]
        if firing:
            told = min(firing, key=lambda alert: alert.starts_at)
            return Look(episode, Presence.FIRING, "it still fires", _told_again(episode, told))
        if listed:
            return Look(episode, Presence.SUPPRESSED, "it is silenced or inhibited")
        doubt = self._doubt(episode)
        if doubt:
            return Look(episode, Presence.UNKNOWN, doubt)
        return Look(episode, Presence.ABSENT, f"gone from {', '.join(each.url for each in self._answers)}")

    def _doubt(self, episode: Episode) -> str:
        """Why its absence proves nothing, if so."""
        if self._silent:
            return f"Alertmanager {self._silent[0].url} can't be asked: {self._silent[0].why}"
        if not self._answers:
            return "no Alertmanager is configured to be asked"
        young = [each for each in self._answers if each.up_since > episode.starts_at]
        return f"Alertmanager {young[0].url} was restarted after the alert began" if young else ""


def _told_again(episode: Episode, listed: Listed) -> Alert:
    return Alert(
        source=episode.source,
        fingerprint=episode.fingerprint,
        firing=True,
        labels=listed.labels,
        annotations=listed.annotations,
        starts_at=listed.starts_at,
        group=episode.group,
    )


def review(look: Look, latest: Episode | None, now: datetime, patience: Patience) -> Observation:
    """What follows from a look for the latest episode of its key, at the store's ``now``.

    Nothing, if that has been told of since. What still fires is folded as any other alert is. What is
    suppressed is known to be there, and stays as it was. What is proven absent, and what nobody can be asked
    about, is closed once it has not been there for as long as the policy says.
    """
    if latest is None or not _is_as_it_was(look.episode, latest):
        return Observation(Sighting.QUIET)
    match look.presence:
        case Presence.FIRING if look.alert is not None:
            seen = observe(look.alert, latest, now)
            return _confirmed(latest, now) if seen.sighting is Sighting.STALE else seen
        case Presence.SUPPRESSED:
            return _confirmed(latest, now)
        case Presence.ABSENT if now - latest.last_known >= patience.vanish_after:
            return _ended(latest, Closed.VANISHED, Sighting.VANISHED, look.why, now)
        case Presence.UNKNOWN if now - latest.last_known >= patience.lapse_after:
            why = f"not told of for {format_duration(patience.lapse_after)}, and {look.why}"
            return _ended(latest, Closed.LAPSED, Sighting.LAPSED, why, now)
    return Observation(Sighting.QUIET)


def _is_as_it_was(looked_at: Episode, latest: Episode) -> bool:
    return (
        latest.is_open
        and latest.id == looked_at.id
        and latest.last_seen == looked_at.last_seen
        and latest.repeats == looked_at.repeats
    )


def _confirmed(latest: Episode, now: datetime) -> Observation:
    return Observation(Sighting.QUIET, changed=replace(latest, confirmed_at=now))


def _ended(latest: Episode, word: Closed, sighting: Sighting, why: str, now: datetime) -> Observation:
    """When it ended nobody knows: an alert that fires after all is a new episode, whenever it began."""
    return Observation(sighting, changed=replace(latest, closed_at=now, closed=word), detail=why)
