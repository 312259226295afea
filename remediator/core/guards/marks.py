"""Where and when runs were demanded, counted by place and time without looking at each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from remediator.core.targets import Target, parse_target

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Mark:
    """That something happened to a target: a run was demanded on it, or failed on it."""

    target: Target
    at: datetime


class Marks:
    """The latest mark of each target, as (target as it is written, microseconds since 1970).

    A window may hold thousands and is read for every intent, of which few are ever looked at: they stay as a
    ledger has them, ``read`` gives the target of one, and a place's are put in order when it is asked about.
    They grow while a transaction decides one request after the other: what is read of them holds for now.
    """

    __slots__ = ("_latest", "_read", "_times")

    def __init__(
        self, latest: Iterable[tuple[str, int]] = (), read: Callable[[str], Target] = parse_target
    ) -> None:
        self._latest = dict(latest)
        self._read = read
        #: When, in order: by namespace, and of everything for ``None``.
        self._times: dict[Target | None, list[int]] = {}

    @classmethod
    def of(cls, marks: Iterable[Mark]) -> Marks:
        """Those of some marks, in any order."""
        made = cls()
        for mark in marks:
            made.add(mark)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marks) and self._latest == other._latest

    # It grows.
    __hash__ = None  # type: ignore[assignment]  # as a list's

    def __iter__(self) -> Iterator[Mark]:
        return (Mark(self._read(text), _EPOCH + at * _MICROSECOND) for text, at in self._latest.items())

    def add(self, mark: Mark) -> None:
        """Note what happened; of a target the latest counts."""
        key, at = str(mark.target), _micros(mark.at)
        before = self._latest.get(key)
        if before is not None and before >= at:
            return
        for place in {None, mark.target.space} & self._times.keys():
            times = self._times[place]
            if before is not None:
                del times[bisect_left(times, before)]
            insort(times, at)
        self._latest[key] = at

    def others(self, than: Target, place: Target | None, after: datetime) -> int:
        """How many other targets in a place, or anywhere for ``None``, were marked after that moment."""
        since, times = _micros(after), self._times.get(place)
        if times is None:
            times = self._times[place] = self._sorted(place)
        own = self._latest.get(str(than))
        among = own is not None and own > since and place in (None, than.space)
        return len(times) - bisect_right(times, since) - among

    def _sorted(self, place: Target | None) -> list[int]:
        if place is None:
            return sorted(self._latest.values())
        return sorted(at for text, at in self._latest.items() if self._read(text).space == place)


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
