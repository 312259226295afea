"""When people are reminded of a pause that nothing ends but they: at growing intervals."""

from __future__ import annotations

from datetime import datetime, timedelta

from remediator.core.guards import Pause

#: Until the first reminder, and at most between two.
FIRST = timedelta(hours=1)
LONGEST = timedelta(hours=24)


def reminders_due(pause: Pause, now: datetime) -> int:
    """How many reminders of a pause people should have had by now.

    Of one that ends by itself, or that the brake made and tells of, there are none.
    """
    if pause.until is not None or pause.brake is not None:
        return 0
    count, gap, next_at = 0, FIRST, pause.at + FIRST
    while next_at <= now:
        count += 1
        gap = min(2 * gap, LONGEST)
        next_at += gap
    return count
