"""No webhook, however odd or large, holds up the others, and none is counted twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.changes import Intake, Observed
from remediator.core.ids import WebhookId
from remediator.core.ports.store import Fold, StoreError, StoreUnavailableError
from remediator.engine import intake as engine_intake
from remediator.engine.intake import IntakeLoop, slices
from remediator.engine.payload import take_apart
from remediator.store.sqlite import SqliteStore
from tests.store.values import an_alert
from tests.unit.engine.parts import Parts, engine_parts, firing

ODD = "a\x00b"


async def take_in(parts: Parts) -> None:
    """Let the intake work until nothing is left, and fail if it does not come to that."""
    loop = IntakeLoop(parts.engine, parts.alarms)
    for _ in range(20):
        if not await loop.work():
            return
    raise AssertionError("the intake does not get through")


async def names(parts: Parts) -> list[str]:
    """The alert names of all episodes that are due, oldest first."""
    works = await parts.store.undecided(1_000_000, timedelta(0))
    return [work.episode.alertname for work in works]


@pytest.mark.parametrize(
    "odd",
    [
        firing("Odd", fingerprint=ODD),
        firing("Odd", labels={ODD: "x"}),
        firing("Odd", labels={"x": ODD}),
        firing("Odd", annotations={ODD: ODD}),
    ],
    ids=["fingerprint", "label name", "label value", "annotation"],
)
async def test_nul_anywhere_in_an_alert_that_is_told_twice_is_one_episode(
    tmp_path: Path, odd: dict[str, Any]
) -> None:
    async with engine_parts(tmp_path) as parts:
        for _ in range(2):
            await parts.send(odd)
            await take_in(parts)
        await parts.send(firing("Later"))
        await take_in(parts)
        assert await names(parts) == ["Odd", "Later"]
        assert parts.metric("remediator_webhook_alerts_total", sighting="repeated") == 1


class _Picky(SqliteStore):
    """A ledger that can't keep one alert; `error` is what it says."""

    error: Exception = StoreError("the ledger refused a write: UNIQUE constraint failed")

    async def take_webhooks(self, intakes: Sequence[Intake], fold: Fold) -> list[Observed]:
        if any(alert.labels["alertname"] == "Bad" for intake in intakes for alert in intake.alerts):
            raise self.error
        return await super().take_webhooks(intakes, fold)


class _Buggy(_Picky):
    error = KeyError("a bug")


@pytest.mark.parametrize("kind", [_Picky, _Buggy])
async def test_a_webhook_that_can_not_be_kept_is_quarantined_and_alarmed_and_the_others_get_in(
    tmp_path: Path, kind: type[SqliteStore]
) -> None:
    async with engine_parts(tmp_path, kind) as parts:
        for name in ("One", "Bad", "Two"):
            await parts.send(firing(name))
        await take_in(parts)
        assert await names(parts) == ["One", "Two"]
        assert "can't be kept" in (await parts.alarmed())["webhook_quarantined"]
        assert parts.metric("remediator_webhooks_quarantined_total") == 1


async def test_a_webhook_that_breaks_the_taking_apart_is_quarantined_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(webhook: Any) -> Intake:
        if b"Bad" in webhook.body:
            raise KeyError("a bug")
        return take_apart(webhook)

    monkeypatch.setattr(engine_intake, "take_apart", breaking)
    async with engine_parts(tmp_path) as parts:
        for name in ("One", "Bad", "Two"):
            await parts.send(firing(name))
        await take_in(parts)
        assert await names(parts) == ["One", "Two"]
        assert "webhook_quarantined" in await parts.alarmed()


async def test_a_damaged_row_is_quarantined_and_the_others_get_in(tmp_path: Path) -> None:
    async with engine_parts(tmp_path) as parts:
        await parts.send(firing("Bad"))
        await parts.store._writer.submit(lambda t: t.sql.execute("UPDATE webhooks SET body = x'00'"))
        await parts.send(firing("Two"))
        await take_in(parts)
        assert await names(parts) == ["Two"]
        assert "webhook_quarantined" in await parts.alarmed()


class _Failing(SqliteStore):
    """A ledger that is gone once, after the first slice."""

    calls = 0

    async def take_webhooks(self, intakes: Sequence[Intake], fold: Fold) -> list[Observed]:
        self.calls += 1
        if self.calls == 2:
            raise StoreUnavailableError("gone for a moment")
        return await super().take_webhooks(intakes, fold)


async def test_a_ledger_that_is_gone_quarantines_nothing_and_makes_no_alert_count_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_intake, "_SLICE", 3)
    async with engine_parts(tmp_path, _Failing) as parts:
        await parts.send(*(firing(f"A{n}") for n in range(10)))
        loop = IntakeLoop(parts.engine, parts.alarms)
        with pytest.raises(StoreUnavailableError):
            await loop.work()
        assert len(await names(parts)) == 3
        assert await loop.work()
        assert not await loop.work()
        assert await names(parts) == [f"A{n}" for n in range(10)]
        assert parts.metric("remediator_webhook_alerts_total") == 10
        assert await parts.alarmed() == {}


async def test_slices_of_which_a_restart_knows_nothing_are_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_intake, "_SLICE", 3)
    async with engine_parts(tmp_path, _Failing) as parts:
        await parts.send(*(firing(f"A{n}") for n in range(10)))
        with pytest.raises(StoreUnavailableError):
            await take_in(parts)
        await take_in(parts)  # a new loop each time
        assert await names(parts) == [f"A{n}" for n in range(10)]


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 4))
def test_slices_hold_every_alert_in_order_and_end_each_webhook_once(sizes: list[int], size: int) -> None:
    alerts = [tuple(an_alert(f"{n}-{i}") for i in range(count)) for n, count in enumerate(sizes)]
    parts = list(slices([Intake(WebhookId(n), each) for n, each in enumerate(alerts)], size))
    assert all(sum(len(intake.alerts) for intake in part) <= size for part in parts)
    pieces = [intake for part in parts for intake in part]
    assert [alert for piece in pieces for alert in piece.alerts] == [one for each in alerts for one in each]
    assert [piece.webhook for piece in pieces if not piece.more] == list(range(len(sizes)))


@pytest.mark.parametrize("told", ["0123456789abcdef", ""], ids=["with fingerprints", "without"])
async def test_a_large_webhook_keeps_neither_the_event_loop_nor_the_ledger_from_others(
    tmp_path: Path, told: str
) -> None:
    """What others wait for at most is a small part of what it takes in all."""
    alerts = [
        firing(f"A{n}", labels={"job": "x" * 100}, fingerprint=told and f"{n:016x}") for n in range(25_000)
    ]
    async with engine_parts(tmp_path) as parts:
        await parts.store.save_webhook("am", json.dumps({"version": "4", "alerts": alerts}).encode())
        began = time.perf_counter()
        taking = asyncio.create_task(take_in(parts))
        longest = 0.0
        while not taking.done():
            at = time.perf_counter()
            await parts.store.pauses()
            longest = max(longest, time.perf_counter() - at)
            await asyncio.sleep(0.001)
        await taking
        took = time.perf_counter() - began
        assert parts.metric("remediator_webhook_alerts_total", sighting="opened") == 25_000
        assert longest < took / 3, (longest, took)
