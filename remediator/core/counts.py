"""Counts: how many alerts that belong together have fired within a time, where a rule asks for several.

What is counted are alerts, each of them once, however often it fires again: one that flaps is not many. One
that has resolved since still counts, for it did fire. Two belong together if the `by` labels have the same
values, and count together if less than `within` lies between the times from which they count, by the ledger's
clock. What a run has used up counts for no further one, nor does what has gone on to the next rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from remediator.core.ids import EpisodeId, RunId
from remediator.core.rules import Count


@dataclass(frozen=True, slots=True)
class Place:
    """Where an episode counts: for a rule, with those others that share the values in ``by``.

    ``names`` are all that the rule has or had, and ``at`` is from when the episode counts.
    """

    rule: str
    names: frozenset[str]
    count: Count
    by: tuple[tuple[str, str], ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """An episode that a rule has counted: of which alert, from when, and what became of it.

    ``rule`` is what the rule was called then, ``run`` the run that used it up, and ``passed`` says that it
    has gone on to the next rule.
    """

    episode: EpisodeId
    fingerprint: str
    rule: str
    at: datetime
    run: RunId | None = None
    passed: bool = False

    @property
    def counts(self) -> bool:
        """Whether it counts for others."""
        return self.run is None and not self.passed


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with the count, for one episode.

    ``seen`` is how many alerts there are at most within a window in which it lies, and ``enough_at`` since
    when that has been enough. Unless it is by then, the episode has waited long enough at ``over_at``.
    """

    seen: int
    enough_at: datetime | None
    over_at: datetime


@dataclass(slots=True)
class _Best:
    seen: int = 0
    enough_at: datetime | None = None


def standings(group: Iterable[Counted], count: Count) -> dict[EpisodeId, Standing]:
    """How it stands with each episode of a group."""
    every = sorted(group, key=_when)
    counting = [each for each in every if each.counts]
    best = [_Best() for _ in counting]
    for first, last, seen, enough_at in _windows(counting, count):
        for position in range(first, last):
            mine = best[position]
            mine.seen = max(mine.seen, seen)
            if enough_at is not None and mine.enough_at is None:
                mine.enough_at = max(enough_at, counting[position].at)
    found = {each.episode: mine for each, mine in zip(counting, best, strict=True)}
    return {each.episode: _standing(each, found.get(each.episode), count) for each in every}


def _windows(counting: Sequence[Counted], count: Count) -> Iterator[tuple[int, int, int, datetime | None]]:
    """The windows that no other holds, in order: from where to where, how many alerts, enough since when."""
    reached = last = 0
    for first, begins in enumerate(counting):
        while last < len(counting) and counting[last].at - begins.at < count.within:
            last += 1
        if last > reached:
            reached = last
            yield first, last, *_alerts(counting[first:last], count.at_least)


def _alerts(window: Iterable[Counted], enough: int) -> tuple[int, datetime | None]:
    """How many alerts there are in a window, and since when ``enough``."""
    alerts: set[str] = set()
    enough_at = None
    for each in window:
        alerts.add(each.fingerprint)
        if enough_at is None and len(alerts) >= enough:
            enough_at = each.at
    return len(alerts), enough_at


def _standing(counted: Counted, best: _Best | None, count: Count) -> Standing:
    over_at = counted.at + count.within
    if counted.run is not None:
        return Standing(count.at_least, counted.at, over_at)
    return Standing(0, None, over_at) if best is None else Standing(best.seen, best.enough_at, over_at)


def _when(counted: Counted) -> tuple[datetime, EpisodeId]:
    return counted.at, counted.episode
