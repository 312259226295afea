"""The lifeline tells an outage of the ledger once, without it, then ever more rarely, and its end too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from remediator.core.notices import Envelope, Signal
from remediator.core.ports.channels import Delivered, Delivery, TryAgain
from remediator.core.ports.store import StoreUnavailableError
from remediator.engine.lifeline import Lifeline, LifelineLoop
from remediator.telemetry import Metrics
from tests.unit.engine.fast import ClockStore, in_no_time, passed

HOUR = 3600.0
Told = list[tuple[float, str, Signal | None]]


class _Ledger(ClockStore):
    """Gone from time to time."""

    def __init__(self, outages: Sequence[tuple[float, float]]) -> None:
        self._outages = outages

    async def check(self) -> None:
        if any(begin <= passed() < end for begin, end in self._outages):
            raise StoreUnavailableError("disk full")


class _Channel:
    """Takes everything from a time on."""

    def __init__(self, scheme: str, told: Told, since: float = 0) -> None:
        self.scheme = scheme
        self._told = told
        self._since = since

    async def deliver(self, envelope: Envelope, *, head: str, sent: str) -> Delivery:
        del head, sent
        if passed() < self._since:
            return TryAgain("down as well")
        self._told.append((passed(), envelope.channel, envelope.signal))
        assert envelope.thread == "ledger:1"
        return Delivered()


async def _watched(
    outages: Sequence[tuple[float, float]],
    seconds: float,
    *,
    slack_since: float = 0,
    metrics: Metrics | None = None,
) -> Told:
    told: Told = []
    notifiers = {"pagerduty": _Channel("pagerduty", told), "slack": _Channel("slack", told, slack_since)}
    lifeline = Lifeline(notifiers, lambda: ("slack:#a",), "ledger:1", pager=True)
    loop = LifelineLoop(_Ledger(outages), metrics or Metrics("1"), lifeline)  # type: ignore[arg-type]  # what it uses
    running = asyncio.create_task(loop.run())
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return told


def test_an_outage_is_told_everywhere_once_and_its_end_too() -> None:
    told = in_no_time(_watched([(100, 700)], HOUR))
    assert [(channel, signal) for _, channel, signal in told] == [
        ("pagerduty", Signal.TRIGGER),
        ("slack:#a", Signal.TRIGGER),
        ("pagerduty", Signal.RESOLVE),
        ("slack:#a", Signal.RESOLVE),
    ]
    assert 130 <= told[0][0] <= 140
    assert 700 <= told[2][0] <= 710


@pytest.mark.parametrize(("seconds", "engaged"), [(125, 0), (200, 1), (705, 1), (720, 0)])
def test_the_gauge_says_whether_people_are_told(seconds: float, engaged: int) -> None:
    metrics = Metrics("1")
    in_no_time(_watched([(100, 702)], seconds, metrics=metrics))
    assert metrics.registry.get_sample_value("remediator_lifeline_engaged") == engaged


def test_a_moments_absence_is_told_to_nobody() -> None:
    assert in_no_time(_watched([(100, 120), (200, 225)], HOUR)) == []


def test_a_long_outage_is_told_again_ever_more_rarely() -> None:
    told = in_no_time(_watched([(0, 20 * HOUR)], 20 * HOUR))
    times = [at for at, channel, _ in told if channel == "pagerduty"]
    pauses = [round((after - before) / 60) for before, after in pairwise(times)]
    assert pauses[:5] == [15, 30, 60, 120, 120]


def test_the_next_outage_is_told_as_the_first_was() -> None:
    told = in_no_time(_watched([(100, 200), (1000, 1100)], HOUR))
    signals = [signal for _, channel, signal in told if channel == "pagerduty"]
    assert signals == [Signal.TRIGGER, Signal.RESOLVE] * 2


def test_a_channel_that_is_down_too_holds_up_no_other_and_is_told_when_it_can_be() -> None:
    told = in_no_time(_watched([(100, 2 * HOUR)], 2 * HOUR, slack_since=500))
    assert told[0][1] == "pagerduty"
    assert told[0][0] < 140
    assert 500 <= next(at for at, channel, _ in told if channel == "slack:#a") <= 510
