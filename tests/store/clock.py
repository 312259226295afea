"""A clock that only tests move."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Wall and monotonic time, moved together by `advance` and torn apart by `step`."""

    def __init__(self) -> None:
        self._wall = datetime(2025, 3, 1, 12, tzinfo=UTC)
        self._monotonic = 1000.0
        #: Called after each move, by those who keep the time elsewhere too.
        self.watchers: list[Callable[[], None]] = []

    def wall(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._wall += timedelta(seconds=seconds)
        self._monotonic += seconds
        self._tell()

    def step(self, seconds: float) -> None:
        """Set the wall clock, as a person or a bad NTP server does."""
        self._wall += timedelta(seconds=seconds)
        self._tell()

    def _tell(self) -> None:
        for watcher in self.watchers:
            watcher()
