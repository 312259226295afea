"""The database's time between two tellings of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

#: How long after it was told the time is counted on here, before it is asked for again.
FRESH = timedelta(milliseconds=250)


class ToldTime:
    """The time that the database last told, and what has passed since by this machine's monotonic clock.

    It lags behind the database's by what the answer took to come here. Nothing is decided by it that others
    rely on: transactions read the time themselves.
    """

    def __init__(self, fresh: timedelta = FRESH, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fresh = fresh.total_seconds()
        self._monotonic = monotonic
        self._told: datetime | None = None
        self._heard_at = 0.0

    def hear(self, told: datetime) -> None:
        """Note what the database said a moment ago; an answer that came late changes nothing."""
        counted = self.read()
        if counted is None or told >= counted:
            self._told, self._heard_at = told, self._monotonic()

    def read(self) -> datetime | None:
        """The time now; ``None`` when too long ago the database last told it."""
        passed = self._monotonic() - self._heard_at
        if self._told is None or passed >= self._fresh:
            return None
        return self._told + timedelta(seconds=passed)
