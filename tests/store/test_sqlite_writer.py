"""The ledger's thread: what nobody waits for any more is not written, and a stalled disk fills no memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from remediator.core.ports.store import StoreUnavailableError
from remediator.store.sqlite import SqliteStore
from remediator.store.sqlite.writer import MOST_BYTES

MIB = 2**20


@asynccontextmanager
async def a_ledger(folder: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(folder / "ledger.db")
    await store.open()
    yield store
    await store.close()


@asynccontextmanager
async def stalled(store: SqliteStore) -> AsyncIterator[None]:
    """The ledger's thread hangs, as a disk does."""
    began, gate = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        began.set()
        gate.wait(30)

    hanging = store._writer.submit(hang)
    assert await asyncio.to_thread(began.wait, 10)
    try:
        yield
    finally:
        gate.set()
        await hanging


async def test_a_write_that_was_cancelled_before_its_turn_is_not_made(tmp_path: Path) -> None:
    """Its sender was told 503 and sends it again."""
    async with a_ledger(tmp_path) as store:
        async with stalled(store):
            for _ in range(20):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await store.save_webhook("default", b"given up")
            kept = asyncio.create_task(store.save_webhook("default", b"kept"))
            await asyncio.sleep(0)
        await kept
        assert [webhook.body for webhook in await store.untaken_webhooks(MIB)] == [b"kept"]


async def test_no_more_than_so_many_bytes_wait_for_a_stalled_disk(tmp_path: Path) -> None:
    body = bytes(MIB)
    async with a_ledger(tmp_path) as store:
        async with stalled(store):
            queued = [
                asyncio.create_task(store.save_webhook("default", body)) for _ in range(MOST_BYTES // MIB)
            ]
            await asyncio.sleep(0)
            with pytest.raises(StoreUnavailableError, match="behind"):
                await store.save_webhook("default", b"x")
            queued[0].cancel()
            await asyncio.sleep(0)
            with pytest.raises(StoreUnavailableError, match="behind"):
                await store.save_webhook("default", body)  # what was given up is in memory still
            now = asyncio.create_task(store.now())
            await asyncio.sleep(0)
            assert not now.done(), "what holds no memory may queue"
        await asyncio.gather(now, *queued[1:])
        await store.save_webhook("default", body)
        assert (await store.backlog()).webhooks == MOST_BYTES // MIB


async def test_one_that_is_larger_than_all_may_queue_alone(tmp_path: Path) -> None:
    async with a_ledger(tmp_path) as store:
        await store.save_webhook("default", bytes(MOST_BYTES + 1))
