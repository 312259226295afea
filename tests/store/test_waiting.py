"""Who waits for a topic is woken by its work, whoever else waits for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from remediator.core.ports.store import Store, Topic
from tests.store.values import an_envelope

LONG, SHORT = timedelta(seconds=30), timedelta(seconds=0.05)


async def test_everybody_who_waits_is_woken(store: Store) -> None:
    waiting = [asyncio.create_task(store.wait(Topic.OUTBOX, LONG)) for _ in range(3)]
    await asyncio.sleep(0)
    await store.post([an_envelope()])
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)


async def test_a_call_that_came_while_one_worked_is_not_taken_from_it_by_another(store: Store) -> None:
    """Two lanes deliver: the one that is busy when envelopes come must not sleep over its own."""
    busy, done = asyncio.Event(), asyncio.Event()

    async def works_then_waits() -> None:
        await store.wait(Topic.OUTBOX, SHORT)
        busy.set()
        await done.wait()
        await store.wait(Topic.OUTBOX, LONG)

    one = asyncio.create_task(works_then_waits())
    await busy.wait()
    other = asyncio.create_task(store.wait(Topic.OUTBOX, LONG))
    await asyncio.sleep(0)
    await store.post([an_envelope()])
    async with asyncio.timeout(5):
        await other
        done.set()
        await one


async def test_what_was_heard_once_is_waited_for_anew(store: Store) -> None:
    """PostgreSQL may tell a replica of its own work a moment after the replica did so itself."""
    await store.post([an_envelope()])
    await store.wait(Topic.OUTBOX, LONG)
    assert True in [await whole(store) for _ in range(3)]


async def whole(store: Store) -> bool:
    """Wait for a short while, and say whether all of it passed."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await store.wait(Topic.OUTBOX, SHORT)
    return loop.time() - began >= SHORT.total_seconds() * 0.9
