"""The gauges follow the ledger, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.core.changes import Backlog
from remediator.core.notices import Lane
from remediator.core.ports.channels import RulebookError
from remediator.core.ports.store import StoreUnavailableError
from remediator.engine.watch import WatchLoop
from remediator.store.sqlite import SqliteStore
from tests.store.values import an_envelope
from tests.support.processes import eventually
from tests.unit.engine.parts import Parts, engine_parts


class _Breaking(SqliteStore):
    failure: Exception | None = None

    async def backlog(self) -> Backlog:
        if self.failure is not None:
            raise self.failure
        return await super().backlog()


async def _up(parts: Parts, *, up: bool) -> None:
    async def there() -> bool:
        return parts.metric("remediator_store_up") == up

    await eventually(there, f"the store is {'up' if up else 'down'}")


@pytest.mark.parametrize("failure", [ValueError("one odd row"), StoreUnavailableError("gone")])
async def test_no_error_ends_it(tmp_path: Path, failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatchLoop, "idle", timedelta(seconds=0.01))
    monkeypatch.setattr("remediator.engine.loops._LONGEST_PAUSE", 0.01)
    async with engine_parts(tmp_path, _Breaking) as parts:
        store = parts.store
        assert isinstance(store, _Breaking)
        watching = asyncio.create_task(WatchLoop(parts.engine, parts.alarms).run())
        await _up(parts, up=True)
        store.failure = failure
        await asyncio.sleep(0.1)
        assert not watching.done()
        store.failure = None
        await store.save_webhook("am", b"{}")

        async def seen() -> bool:
            return parts.metric("remediator_undecided_webhooks") == 1

        await eventually(seen, "the gauges follow again")
        watching.cancel()


async def test_a_rulebook_that_can_not_be_used_does_not_stop_the_gauges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_parts(tmp_path) as parts:

        async def broken() -> None:
            raise RulebookError(("rules.yaml:1:1: what",))

        monkeypatch.setattr(parts.engine.rulebooks, "refresh", broken)
        assert not await WatchLoop(parts.engine, parts.alarms).work()
        assert parts.metric("remediator_store_up") == 1


async def test_a_ledger_that_can_not_be_written_is_down(tmp_path: Path) -> None:
    async with engine_parts(tmp_path) as parts:
        await parts.store.close()
        with pytest.raises(StoreUnavailableError):
            await WatchLoop(parts.engine, parts.alarms).work()
        assert parts.metric("remediator_store_up") == 0


async def test_the_oldest_page_and_each_write_to_the_ledger_are_measured(tmp_path: Path) -> None:
    async with engine_parts(tmp_path) as parts:
        await parts.store.post([an_envelope(lane=Lane.PAGES), an_envelope("2", thread="other")])
        await WatchLoop(parts.engine, parts.alarms).work()
        assert parts.metric("remediator_unsent_notices") == 2
        assert parts.metric("remediator_unsent_pages") == 1
        assert parts.metric("remediator_page_age_seconds") > 0
        assert parts.metric("remediator_store_write_seconds_count") == 1
