"""Of a Watchdog the last arrival is known, whoever took it in, and one alone tells of each turn."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.core.changes import Intake
from remediator.core.episodes import observe
from remediator.core.events import Event, EventKind
from remediator.core.notices import Lane
from remediator.core.ports.store import Store, Topic
from remediator.core.watchdog import Watchdog
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import CLAIM, an_alert, an_envelope


async def arrive(store: Store, source: str = "default", *, watchdog: bool = True, more: bool = False) -> None:
    """Take in whatever waits, and one more webhook."""
    await store.save_webhook(source, b"{}")
    newest = (await store.untaken_webhooks(1 << 20))[-1]
    await store.take_webhooks([Intake(newest.id, (an_alert(),), watchdog=watchdog, more=more)], observe)


async def test_there_is_none_before_one_has_arrived(store: Store) -> None:
    await arrive(store, watchdog=False)
    assert await store.watchdogs() == ()


async def test_the_last_arrival_of_each_source_counts(store: Store, clock: FakeClock) -> None:
    began = clock.wall()
    await arrive(store, "west")
    clock.advance(60)
    await arrive(store, "east")
    clock.advance(60)
    await arrive(store, "east")
    assert await store.watchdogs() == (
        Watchdog("east", began + timedelta(seconds=120)),
        Watchdog("west", began),
    )


async def test_it_arrived_when_its_webhook_did_and_not_when_that_was_taken_apart(
    store: Store, clock: FakeClock
) -> None:
    began = clock.wall()
    await store.save_webhook("default", b"first")
    clock.advance(60)
    await store.save_webhook("default", b"second")
    clock.advance(600)
    first, second = await store.untaken_webhooks(1 << 20)
    await store.take_webhooks([Intake(second.id, watchdog=True)], observe)
    await store.take_webhooks([Intake(first.id, watchdog=True)], observe)
    assert await store.watchdogs() == (Watchdog("default", began + timedelta(seconds=60)),)


async def test_a_slice_is_no_arrival_before_the_last_one(store: Store) -> None:
    await arrive(store, more=True)
    assert await store.watchdogs() == ()
    (webhook,) = await store.untaken_webhooks(1 << 20)
    await store.take_webhooks([Intake(webhook.id, watchdog=True)], observe)
    assert len(await store.watchdogs()) == 1


def missed(watchdog: Watchdog, at: datetime) -> Watchdog:
    return replace(watchdog, missed_at=at)


async def test_what_was_told_is_written_with_what_tells_it(store: Store, clock: FakeClock) -> None:
    await arrive(store)
    (watchdog,) = await store.watchdogs()
    clock.advance(900)
    gone = missed(watchdog, clock.wall())
    event = Event(EventKind.WATCHDOG_MISSED, clock.wall(), {"source": "default"})
    page = an_envelope("missing", lane=Lane.PAGES)
    assert await store.change_watchdog(watchdog, gone, [event], [page])
    assert await store.watchdogs() == (gone,)
    assert (await store.events(0, 100))[-1].kind is EventKind.WATCHDOG_MISSED
    assert [each.envelope for each in await store.due_envelopes(Lane.PAGES, 10, CLAIM)] == [page]


async def test_of_several_who_would_tell_it_one_does(store: Store, clock: FakeClock) -> None:
    await arrive(store)
    (watchdog,) = await store.watchdogs()
    told = await asyncio.gather(
        *(
            store.change_watchdog(
                watchdog, missed(watchdog, clock.wall()), [Event(EventKind.WATCHDOG_MISSED, clock.wall())]
            )
            for _ in range(5)
        )
    )
    assert sorted(told) == [False, False, False, False, True]
    kinds = [event.kind for event in await store.events(0, 100)]
    assert kinds.count(EventKind.WATCHDOG_MISSED) == 1


async def test_an_arrival_meanwhile_makes_it_untrue(store: Store, clock: FakeClock) -> None:
    await arrive(store)
    (watchdog,) = await store.watchdogs()
    clock.advance(900)
    await arrive(store)
    gone = missed(watchdog, clock.wall())
    assert not await store.change_watchdog(watchdog, gone, envelopes=[an_envelope()])
    assert await store.watchdogs() == (Watchdog("default", clock.wall()),)
    assert await store.due_envelopes(Lane.REPORTS, 10, CLAIM) == []


async def test_an_arrival_leaves_what_was_told_as_it_is(store: Store, clock: FakeClock) -> None:
    await arrive(store)
    (watchdog,) = await store.watchdogs()
    told = replace(watchdog, missed_at=clock.wall(), beaten_at=clock.wall())
    assert await store.change_watchdog(watchdog, told)
    clock.advance(60)
    await arrive(store)
    assert await store.watchdogs() == (replace(told, seen_at=clock.wall()),)
    (now,) = await store.watchdogs()
    assert await store.change_watchdog(now, replace(now, missed_at=None))
    assert (await store.watchdogs())[0].missed_at is None


async def test_it_is_known_after_a_restart(backend: Backend) -> None:
    store = backend.make()
    await store.open()
    await arrive(store)
    known = await store.watchdogs()
    await store.close()
    store = backend.make()
    await store.open()
    assert await store.watchdogs() == known
    await store.close()


async def test_whoever_waits_for_watchdogs_is_woken(store: Store) -> None:
    waiting = asyncio.create_task(store.wait(Topic.WATCHDOGS, timedelta(seconds=30)))
    await asyncio.sleep(0)
    await arrive(store)
    async with asyncio.timeout(10):
        await waiting
