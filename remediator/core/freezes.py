"""Freezes: times in which nothing is changed. They gate actions, never reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from remediator.core.selections import Selection
from remediator.core.targets import Target

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Dates:
    """From one instant to another, the second left out."""

    begins: datetime
    ends: datetime

    def end(self, now: datetime) -> datetime | None:
        """When the time that ``now`` lies in is over; ``None`` if it lies outside."""
        return self.ends if self.begins <= now < self.ends else None


@dataclass(frozen=True, slots=True)
class Weekly:
    """The same part of every week, as the clocks of ``timezone`` show it.

    ``begins`` and ``ends`` are the time since Monday, 00:00; one that ends before it begins runs on into the
    next week. ``ends`` is left out.
    """

    begins: timedelta
    ends: timedelta
    timezone: tzinfo = UTC

    def end(self, now: datetime) -> datetime | None:
        """When the time that ``now`` lies in is over; ``None`` if it lies outside."""
        local = now.astimezone(self.timezone).replace(tzinfo=None)
        monday = (local - timedelta(days=local.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
        length = (self.ends - self.begins) % WEEK
        for week in (monday - WEEK, monday):
            begins = week + self.begins
            if begins <= local < begins + length:
                return (begins + length).replace(tzinfo=self.timezone).astimezone(UTC)
        return None


@dataclass(frozen=True, slots=True)
class Freeze:
    """A time in which nothing that it covers is changed."""

    summary: str
    time: Dates | Weekly
    covered: Selection

    def holds_until(self, target: Target, now: datetime) -> datetime | None:
        """Until when it keeps the target from being acted on; ``None`` if it does not."""
        return self.time.end(now) if self.covered.covers(target) else None
