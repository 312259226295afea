"""Counts of alerts as rows, kept in memory while decisions are made one after the other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from remediator.core.changes import DecisionRequest
from remediator.core.counts import Counted, Place, Standing, standings
from remediator.core.decide import Decision, DecisionKind
from remediator.core.ids import EpisodeId, RunId
from remediator.store.common.codecs import Row, as_json, micros, moment

#: ``c`` is what was counted, ``e`` its episode.
COLUMNS = "c.rule, c.grouping, c.episode, e.fingerprint, c.at, c.run, c.passed"
INSERTED = "rule, grouping, episode, at"

#: Those that are counted together: by the name of the rule that asks, and what their labels share.
_Group = tuple[str, str]


def grouping(place: Place) -> str:
    """What the labels share, as text."""
    return as_json(dict(place.by))


def sought(places: Collection[Place]) -> tuple[list[str], list[str], int]:
    """The names, groupings and earliest time (microseconds) of all that may count for one of these."""
    names = sorted(frozenset[str]().union(*(place.names for place in places)))
    return names, sorted(set(map(grouping, places))), min(micros(_since(place)) for place in places)


def places_of(requests: Iterable[DecisionRequest]) -> list[Place]:
    """Where the episodes of these requests count."""
    return [request.lookback.place for request in requests if request.lookback.place is not None]


def _since(place: Place) -> datetime:
    return place.at - place.count.within


class Counting:
    """What was counted around some places, as ``rows`` (:data:`COLUMNS`) have it and decisions change it.

    ``entered``, ``used`` and ``passed`` are then to be written; ``woken`` are the episodes, beside those that
    are being decided, for which there are enough now.
    """

    def __init__(self, places: Iterable[Place], rows: Iterable[Row] = ()) -> None:
        self._groups: dict[_Group, dict[EpisodeId, Counted]] = {}
        self._standings: dict[_Group, Mapping[EpisodeId, Standing]] = {}
        self.entered: list[Row] = []
        self.used: dict[tuple[EpisodeId, str], RunId] = {}
        self.passed: list[tuple[EpisodeId, str]] = []
        self.woken: set[EpisodeId] = set()
        known = [(_counted(row), row[1]) for row in rows]
        for place in places:
            self._groups.setdefault(_group(place), {}).update(
                (each.episode, each)
                for each, shared in known
                if each.rule in place.names and shared == grouping(place)
            )

    @property
    def waiting(self) -> set[EpisodeId]:
        """The episodes that count now, any of which may be woken."""
        return {each.episode for group in self._groups.values() for each in group.values() if each.counts}

    def enter(self, requests: Collection[DecisionRequest], now: datetime) -> None:
        """Count the episodes that are about to be decided, all before the first: they came together.

        One that had resolved before it had fired for long enough never counts.
        """
        grown = [request for request in requests if self._enters(request, now)]
        asked = {request.episode.id for request in requests}
        for place in {_group(place): place for place in places_of(grown)}.values():
            self.woken |= self._enough(place) - asked

    def _enters(self, request: DecisionRequest, now: datetime) -> bool:
        place, episode = request.lookback.place, request.episode
        if place is None or place.at > now or (episode.closed_at or now) < place.at:
            return False
        group = self._groups[_group(place)]
        if episode.id in group:
            return False
        group[episode.id] = Counted(episode.id, episode.fingerprint, place.rule, place.at)
        self.entered.append((place.rule, grouping(place), episode.id, micros(place.at)))
        return True

    def _enough(self, place: Place) -> set[EpisodeId]:
        found = self._of(place)
        return {episode for episode, standing in found.items() if standing.enough_at is not None}

    def standing(self, place: Place | None, episode: EpisodeId) -> Standing | None:
        """How it stands with one episode's count."""
        return None if place is None else self._of(place).get(episode)

    def _of(self, place: Place) -> Mapping[EpisodeId, Standing]:
        group = _group(place)
        found = self._standings.get(group)
        if found is None:
            found = self._standings[group] = standings(self._groups[group].values(), place.count)
        return found

    def heed(self, place: Place, episode: EpisodeId, made: Decision, run: RunId | None) -> None:
        """Note what a decision makes of the count: a run uses up all that was counted, who joins itself."""
        group = self._groups[_group(place)]
        if made.too_few:
            self._change(place, replace(group[episode], passed=True))
        elif made.kind is DecisionKind.RUN:
            for each in [each for each in group.values() if each.counts]:
                self._change(place, replace(each, run=run))
        elif made.kind is DecisionKind.JOIN and episode in group and group[episode].counts:
            self._change(place, replace(group[episode], run=run))

    def _change(self, place: Place, counted: Counted) -> None:
        group = _group(place)
        self._groups[group][counted.episode] = counted
        self._standings.pop(group, None)
        if counted.run is not None:
            self.used[counted.episode, counted.rule] = counted.run
        if counted.passed:
            self.passed.append((counted.episode, counted.rule))


def _group(place: Place) -> _Group:
    return place.rule, grouping(place)


def _counted(row: Row) -> Counted:
    rule, _, episode, fingerprint, at, run, passed = row
    return Counted(
        EpisodeId(episode),
        fingerprint,
        rule,
        moment(at),
        None if run is None else RunId(run),
        bool(passed),
    )
