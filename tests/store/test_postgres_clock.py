"""The database's time between two tellings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from remediator.store.postgres.clock import ToldTime

NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
FRESH = timedelta(milliseconds=250)


class Ticks:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def later(milliseconds: float) -> datetime:
    return NOON + timedelta(milliseconds=milliseconds)


def test_it_counts_on_while_it_is_fresh() -> None:
    ticks = Ticks()
    clock = ToldTime(FRESH, ticks)
    assert clock.read() is None
    clock.hear(NOON)
    ticks.seconds += 0.125
    assert clock.read() == later(125)
    ticks.seconds += 0.125
    assert clock.read() is None


def test_a_late_answer_does_not_set_it_back() -> None:
    ticks = Ticks()
    clock = ToldTime(FRESH, ticks)
    clock.hear(NOON)
    ticks.seconds += 0.125
    clock.hear(later(50))
    assert clock.read() == later(125)
    clock.hear(later(130))
    assert clock.read() == later(130)


def test_once_it_is_stale_it_believes_whatever_the_database_says() -> None:
    """A database that took another's place may have a clock behind it."""
    ticks = Ticks()
    clock = ToldTime(FRESH, ticks)
    clock.hear(NOON)
    ticks.seconds += 0.25
    clock.hear(later(-5000))
    assert clock.read() == later(-5000)
