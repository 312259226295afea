"""The store's time: it never runs backwards, and says so when the wall clock jumped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from remediator.core.events import Event, EventKind

#: A wall clock that moves this much more or less than the monotonic one has jumped.
JUMP = timedelta(seconds=30)


class StoreClock:
    """The greater of the wall clock and the highest time ever told.

    While the wall clock lies behind, time goes on at half its pace: deadlines and leases still run out,
    which they would not if it stood still, and the wall clock catches up. Any thread may read it.
    """

    def __init__(
        self, wall: Callable[[], datetime], monotonic: Callable[[], float], jump_wait: timedelta
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._jump_wait = jump_wait
        self._last_wall = wall()
        self._last_monotonic = monotonic()
        self._now = self._last_wall
        self._acting_from: datetime | None = None
        self._one_at_a_time = threading.Lock()
        self.jumps: list[Event] = []

    def start(self, mark: datetime | None) -> None:
        """Go on from the time that the ledger last knew; a wall clock behind it counts as a jump."""
        if mark is not None and self._now < mark:
            behind = self._now - mark
            self._now = mark
            self._jumped(behind)

    def read(self) -> datetime:
        """The time now, which is never before any that was read."""
        with self._one_at_a_time:
            return self._read()

    def _read(self) -> datetime:
        wall, monotonic = self._wall(), self._monotonic()
        elapsed = timedelta(seconds=monotonic - self._last_monotonic)
        step = wall - self._last_wall - elapsed
        self._last_wall, self._last_monotonic = wall, monotonic
        self._now = max(wall, self._now + elapsed / 2)
        if abs(step) > JUMP:
            self._jumped(step)
        return self._now

    @property
    def now(self) -> datetime:
        """The time last read."""
        return self._now

    @property
    def acting_from(self) -> datetime | None:
        """When acting may begin again, while a jump is being waited out."""
        if self._acting_from is None or self._acting_from <= self._now:
            return None
        return self._acting_from

    def _jumped(self, step: timedelta) -> None:
        self._acting_from = self._now + self._jump_wait
        data = {"seconds": round(step.total_seconds(), 3), "acting_from": self._acting_from}
        self.jumps.append(Event(EventKind.CLOCK_JUMPED, self._now, data))
