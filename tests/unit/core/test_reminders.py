"""When people are reminded of what they have stopped."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.core.guards import BudgetKey, Pause, PauseScope
from remediator.core.reminders import reminders_due
from tests.unit.core.values import NOW, after

OPEN = Pause(1, PauseScope.ALL, "", "storm", "kim", NOW)
HOUR, DAY = 60.0, 1440.0


@pytest.mark.parametrize(
    ("minutes", "due"),
    [
        (0, 0),
        (HOUR - 0.001, 0),
        (HOUR, 1),
        (3 * HOUR - 0.001, 1),
        (3 * HOUR, 2),
        (7 * HOUR, 3),
        (15 * HOUR, 4),
        (31 * HOUR, 5),
        (31 * HOUR + DAY - 0.001, 5),
        (31 * HOUR + DAY, 6),
        (31 * HOUR + 10 * DAY, 15),
    ],
)
def test_reminders_come_at_growing_intervals_and_then_daily(minutes: float, due: int) -> None:
    assert reminders_due(OPEN, after(minutes)) == due


def test_there_are_none_of_what_ends_by_itself_or_is_the_brakes() -> None:
    much_later = NOW + timedelta(days=30)
    assert reminders_due(replace(OPEN, until=after(10**6)), much_later) == 0
    assert reminders_due(replace(OPEN, brake=BudgetKey.TARGETS), much_later) == 0
