"""Freezes: days, instants and times of every week, to the very minute and across changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.freezes import WEEK, Dates, Freeze, Weekly
from remediator.core.selections import Selection
from tests.unit.core.values import CART

LONDON, NEW_YORK = ZoneInfo("Europe/London"), ZoneInfo("America/New_York")
MOMENT = timedelta(microseconds=1)
#: From Friday, 18:00 to Monday, 08:00.
WEEKEND = Weekly(timedelta(days=4, hours=18), timedelta(hours=8), LONDON)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        (utc("2026-01-09 18:00") - MOMENT, None),
        (utc("2026-01-09 18:00"), utc("2026-01-12 08:00")),
        (utc("2026-01-11 12:00"), utc("2026-01-12 08:00")),
        (utc("2026-01-12 08:00") - MOMENT, utc("2026-01-12 08:00")),
        (utc("2026-01-12 08:00"), None),
        # in summer London's clocks are an hour ahead of UTC
        (utc("2026-07-10 17:00") - MOMENT, None),
        (utc("2026-07-10 17:00"), utc("2026-07-13 07:00")),
        # the clocks go forward in the night to this Sunday: it ends by those of Monday
        (utc("2026-03-27 18:00"), utc("2026-03-30 07:00")),
    ],
)
def test_a_time_of_every_week_is_that_of_its_own_clocks(now: datetime, end: datetime | None) -> None:
    assert WEEKEND.end(now) == end


@given(st.integers(0, 2 * 366 * 24 * 60), st.integers(1, 7 * 24 * 60 - 1))
def test_a_week_is_frozen_for_as_long_as_it_is_written(at: int, minutes: int) -> None:
    """Whatever the minute that it begins with: of a week's minutes just so many are frozen."""
    begins = timedelta(minutes=minutes * 37 % (7 * 24 * 60))
    weekly = Weekly(begins, (begins + timedelta(minutes=minutes)) % WEEK)
    now = utc("2026-01-01 00:00") + timedelta(minutes=at)
    end = weekly.end(now)
    if end is not None:
        assert now < end <= now + timedelta(minutes=minutes)
        assert weekly.end(end - MOMENT) == end
        assert weekly.end(end) is None
    assert (weekly.end(now + WEEK) is None) is (end is None)


def test_dates_leave_their_end_out() -> None:
    dates = Dates(datetime(2026, 12, 20, tzinfo=NEW_YORK), datetime(2027, 1, 5, tzinfo=NEW_YORK))
    assert dates.end(utc("2026-12-20 05:00") - MOMENT) is None
    assert dates.end(utc("2026-12-20 05:00")) == dates.ends
    assert dates.end(utc("2027-01-05 05:00") - MOMENT) == dates.ends
    assert dates.end(utc("2027-01-05 05:00")) is None


@pytest.mark.parametrize(
    ("covered", "holds"),
    [(Selection(), True), (Selection(namespaces=("shop",)), True), (Selection(namespaces=("bank",)), False)],
)
def test_it_holds_for_what_it_covers(covered: Selection, *, holds: bool) -> None:
    now = utc("2026-01-10 00:00")
    assert (Freeze("", WEEKEND, covered).holds_until(CART, now) is not None) is holds
