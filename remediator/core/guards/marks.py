"""Where and when runs were demanded, counted by place and time without looking at each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from remediator.core.targets import Target


@dataclass(frozen=True, slots=True)
class Mark:
    """That something happened to a target: a run was demanded on it, or failed on it."""

    target: Target
    at: datetime


class Marks:
    """The latest mark of each target: in a storm hundreds are counted for each of hundreds who ask.

    It grows while a transaction decides one request after the other: what is read of it holds for now.
    """

    __slots__ = ("_latest", "_times")

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self._latest: dict[Target, datetime] = {}
        #: When, in order: by namespace, and of everything for ``None``.
        self._times: dict[Target | None, list[datetime]] = {}
        for mark in marks:
            self.add(mark)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marks) and self._latest == other._latest

    # It grows.
    __hash__ = None  # type: ignore[assignment]  # as a list's

    def __iter__(self) -> Iterator[Mark]:
        return (Mark(target, at) for target, at in self._latest.items())

    def add(self, mark: Mark) -> None:
        """Note what happened; of a target the latest counts."""
        before = self._latest.get(mark.target)
        if before is not None and before >= mark.at:
            return
        for place in {None, mark.target.space}:
            times = self._times.setdefault(place, [])
            if before is not None:
                del times[bisect_left(times, before)]
            insort(times, mark.at)
        self._latest[mark.target] = mark.at

    def others(self, than: Target, place: Target | None, after: datetime) -> int:
        """How many other targets in a place, or anywhere for ``None``, were marked after that moment."""
        times = self._times.get(place, [])
        own = self._latest.get(than)
        among = own is not None and own > after and place in (None, than.space)
        return len(times) - bisect_right(times, after) - among
