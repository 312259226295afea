"""Alarms: the first of a kind at once, then at growing intervals; each counts, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from remediator.core.events import Event, EventKind
from remediator.core.notices import Envelope
from remediator.core.ports.store import StoreUnavailableError
from remediator.engine.alarms import Alarms
from remediator.store.sqlite import SqliteStore
from remediator.telemetry import Metrics
from tests.unit.engine.fast import ClockStore, in_no_time, passed
from tests.unit.engine.parts import engine_parts

HOUR = 3600


class _Heard(ClockStore):
    """Keeps what is posted, and when; `gone` says from when to when it can't."""

    def __init__(self, gone: tuple[float, float] = (0, 0)) -> None:
        self.told: list[tuple[float, str, int]] = []
        self._gone = gone

    async def post(self, envelopes: Sequence[Envelope], events: Sequence[Event] = ()) -> None:
        if self._gone[0] <= passed() < self._gone[1]:
            raise StoreUnavailableError("gone for a while")
        assert [envelope.notice.count for envelope in envelopes] == [event.data["count"] for event in events]
        self.told += [(passed(), str(e.data["alarm"]), int(str(e.data["count"]))) for e in events]


async def _flooded(store: _Heard, seconds: int, *, then: int = 0) -> list[tuple[float, str, int]]:
    """One alarm a second, and one more after it was quiet for `then` seconds; the loop is ended at last."""
    alarms = Alarms(store, Metrics("1"), ("log",))  # type: ignore[arg-type]  # the part that alarms use
    running = asyncio.create_task(alarms.run())
    for _ in range(seconds):
        alarms.alarm("webhook_unauthorized", "from 10.0.0.7")
        await asyncio.sleep(1)
    if then:
        await asyncio.sleep(then)
        alarms.alarm("webhook_unauthorized", "from 10.0.0.7")
        await asyncio.sleep(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await alarms.close()
    return store.told


def test_a_flood_is_told_at_once_and_then_ever_more_rarely_and_every_alarm_counts() -> None:
    told = in_no_time(_flooded(_Heard(), 2 * HOUR))
    times = [at for at, _, _ in told]
    assert times[0] < 1
    pauses = [round(after - before) for before, after in pairwise(times[:-1])]
    assert pauses[:4] == [2, 4, 8, 16]
    assert pauses == sorted(pauses)
    assert max(pauses) == 600
    assert len(told) < 25
    assert sum(count for _, _, count in told) == 2 * HOUR


def test_after_a_long_quiet_time_the_next_is_told_at_once_and_the_intervals_begin_anew() -> None:
    told = in_no_time(_flooded(_Heard(), HOUR, then=3 * HOUR))
    assert told[-1][0] == 4 * HOUR
    assert told[-1][2] == 1


def test_another_kind_does_not_wait_for_a_flood_of_one() -> None:
    async def both() -> list[tuple[float, str, int]]:
        store = _Heard()
        alarms = Alarms(store, Metrics("1"), ("log",))  # type: ignore[arg-type]  # as above
        running = asyncio.create_task(alarms.run())
        for _ in range(100):
            alarms.alarm("webhook_unauthorized", "x")
            await asyncio.sleep(1)
        alarms.alarm("notice_parked", "y")
        await asyncio.sleep(0.5)
        running.cancel()
        return store.told

    assert in_no_time(both())[-1] == (100, "notice_parked", 1)


def test_what_the_ledger_does_not_take_is_told_later_with_all_that_came_meanwhile() -> None:
    told = in_no_time(_flooded(_Heard(gone=(0, 60)), 100))
    assert 60 <= told[0][0] < 70
    assert sum(count for _, _, count in told) == 100


def test_nothing_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    store, calls = _Heard(), [0]

    async def breaking(_: _Heard) -> object:
        calls[0] += 1
        if calls[0] == 1:
            raise ValueError("a bug")
        return await ClockStore.now(store)

    monkeypatch.setattr(_Heard, "now", breaking)
    assert sum(count for _, _, count in in_no_time(_flooded(store, 5))) == 5


async def test_they_are_in_the_ledger_under_their_own_name_when_the_engine_has_stopped(
    tmp_path: Path,
) -> None:
    async with engine_parts(tmp_path) as parts:
        for _ in range(3):
            parts.alarms.alarm("webhook_unauthorized", "from 10.0.0.7")
        await parts.alarms.close()
        (event,) = [e for e in await parts.store.events(0, 100) if e.kind is EventKind.ALARM_RAISED]
        assert event.data == {"alarm": "webhook_unauthorized", "count": 3, "detail": "from 10.0.0.7"}


async def test_a_ledger_that_is_gone_at_the_end_is_no_error(tmp_path: Path) -> None:
    alarms = Alarms(SqliteStore(tmp_path / "never-opened.db"), Metrics("1"), ("log",))
    alarms.alarm("webhook_unauthorized", "x")
    await alarms.close()
