"""The Watchdog is missed once when it stays away, and its return is told once; beats are as its arrivals."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.rules import WatchdogPolicy
from remediator.core.watchdog import Turn, Watchdog, owes_a_beat, turn, turned
from tests.unit.core.values import after

POLICY = WatchdogPolicy(within=timedelta(minutes=15))
PACE = timedelta(minutes=0.5)
LONG_AGO = after(-9999)


def watchdog(seen: float = 0, missed: float | None = None, beaten: float | None = None) -> Watchdog:
    return Watchdog(
        "am",
        after(seen),
        None if missed is None else after(missed),
        None if beaten is None else after(beaten),
    )


@pytest.mark.parametrize(
    ("known", "minute", "up_since", "expected"),
    [
        pytest.param(watchdog(), 14.9, LONG_AGO, None, id="it may stay away for so long"),
        pytest.param(watchdog(), 15, LONG_AGO, Turn.MISSED, id="and no longer"),
        pytest.param(watchdog(), 99, after(85), None, id="it could not reach us before"),
        pytest.param(watchdog(), 100, after(85), Turn.MISSED, id="but then it could have"),
        pytest.param(watchdog(missed=15), 99, LONG_AGO, None, id="missed already"),
        pytest.param(watchdog(16, missed=15), 16, LONG_AGO, Turn.RETURNED, id="back"),
        pytest.param(watchdog(16, missed=15), 99, LONG_AGO, Turn.RETURNED, id="back, and away again untold"),
        pytest.param(watchdog(14, missed=15), 99, LONG_AGO, None, id="an arrival from before it was missed"),
    ],
)
def test_what_there_is_to_be_told(
    known: Watchdog, minute: float, up_since: datetime, expected: Turn | None
) -> None:
    assert turn(known, POLICY, after(minute), up_since) is expected


def test_what_was_told_is_kept() -> None:
    assert turned(watchdog(), Turn.MISSED, after(15)) == watchdog(missed=15)
    assert turned(watchdog(20, missed=15, beaten=3), Turn.RETURNED, after(21)) == watchdog(20, beaten=3)


@pytest.mark.parametrize(
    ("known", "minute", "expected"),
    [
        pytest.param(watchdog(), 0, True, id="the first arrival"),
        pytest.param(watchdog(0, beaten=0), 5, False, id="passed on already"),
        pytest.param(watchdog(1, beaten=0), 1, True, id="the next arrival"),
        pytest.param(watchdog(0.4, beaten=0), 0.4, False, id="a peer's, a moment later"),
        pytest.param(watchdog(0.4, beaten=0), 0.5, True, id="which is passed on once it is time"),
        pytest.param(watchdog(), 14.9, True, id="late, and still a sign of life"),
        pytest.param(watchdog(), 15, False, id="too late to be one"),
    ],
)
def test_what_is_passed_on(known: Watchdog, minute: float, *, expected: bool) -> None:
    assert owes_a_beat(known, POLICY, after(minute), PACE) is expected


@given(st.lists(st.floats(0.01, 40), max_size=12))
def test_each_absence_is_told_once_and_so_is_each_return(gaps: list[float]) -> None:
    """Looked at every half minute, with arrivals after these gaps, as long as anything is left to be told."""
    arrivals = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    end = (arrivals[-1] if arrivals else 0) + 40
    known, told, beats = watchdog(), [], []
    for step in range(int(end * 2)):
        now = step / 2
        seen = max((at for at in arrivals if at <= now), default=0.0)
        known = replace(known, seen_at=after(seen))
        what = turn(known, POLICY, after(now), LONG_AGO)
        if what is not None:
            told.append(what)
            known = turned(known, what, after(now))
        if owes_a_beat(known, POLICY, after(now), PACE):
            beats.append(now)
            known = replace(known, beaten_at=after(now))
    assert told == [Turn.MISSED if n % 2 == 0 else Turn.RETURNED for n in range(len(told))]
    # A gap of the full time is one absence; of a little more than it the half minute may see one.
    assert sum(gap >= 15.5 for gap in [*gaps, 40]) <= told.count(Turn.MISSED)
    assert told.count(Turn.MISSED) <= sum(gap >= 15 for gap in [*gaps, 40])
    assert len(beats) <= len(arrivals) + 1
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(beats))


def test_without_matchers_no_alert_is_the_watchdog() -> None:
    assert WatchdogPolicy().matches({"alertname": "Watchdog", "severity": "none"})
    assert not WatchdogPolicy().matches({"alertname": "ServiceDown"})
    assert not WatchdogPolicy(()).matches({"alertname": "Watchdog"})
