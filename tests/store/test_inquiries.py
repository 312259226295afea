"""What webhooks left out is asked for until it is answered, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from remediator.core.changes import Intake
from remediator.core.episodes import observe
from remediator.core.events import Event, EventKind
from remediator.core.inquiries import Inquiry, LeftOut
from remediator.core.ports.store import Store, Topic
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import an_alert

CLAIM = timedelta(seconds=30)
ONE = LeftOut(3, r"web\.hook", {"alertname": "Down", "odd": "\x00 ☃"})
OTHER = LeftOut(1, r"web\.hook", {"alertname": "Up"})


async def truncated(store: Store, *left_out: LeftOut, source: str = "default", more: bool = False) -> None:
    """Take a webhook in for each of these, which tells of one alert and leaves the others out."""
    intakes = []
    for number, each in enumerate(left_out):
        await store.save_webhook(source, b"{}")
        newest = (await store.untaken_webhooks(1 << 20))[-1]
        intakes.append(Intake(newest.id, (an_alert(f"f{number}"),), left_out=each, more=more))
    await store.take_webhooks(intakes, observe)


async def due(store: Store, claim: timedelta = CLAIM) -> list[Inquiry]:
    return await store.due_inquiries(10, claim)


async def test_a_truncated_webhook_makes_an_inquiry_with_all_that_was_told(
    store: Store, clock: FakeClock
) -> None:
    await truncated(store, ONE)
    assert await due(store) == [Inquiry("default", ONE, 1, clock.wall())]


async def test_a_webhook_that_is_whole_makes_none(store: Store) -> None:
    await store.save_webhook("default", b"{}")
    (webhook,) = await store.untaken_webhooks(1 << 20)
    await store.take_webhooks([Intake(webhook.id, (an_alert(),))], observe)
    assert await due(store) == []


async def test_a_slice_makes_none_before_the_last_one(store: Store) -> None:
    await truncated(store, ONE, more=True)
    assert await due(store) == []
    (webhook,) = await store.untaken_webhooks(1 << 20)
    await store.take_webhooks([Intake(webhook.id, left_out=ONE)], observe)
    assert len(await due(store)) == 1


async def test_of_one_group_there_is_one_however_often_it_is_wished_for(store: Store) -> None:
    await truncated(store, ONE, ONE)
    await truncated(store, LeftOut(5, ONE.receiver, dict(reversed(list(ONE.group.items())))))
    (inquiry,) = await due(store)
    assert (inquiry.wishes, inquiry.left_out.count, inquiry.left_out.group) == (3, 5, ONE.group)


async def test_each_source_receiver_and_group_has_its_own(store: Store) -> None:
    await truncated(store, ONE, OTHER, LeftOut(1, "another", OTHER.group))
    await truncated(store, ONE, source="west")
    assert len(await due(store)) == 4
    assert (await store.backlog()).inquiries == 4


async def test_one_that_is_handed_out_is_nobody_elses_before_its_claim_is_over(
    store: Store, clock: FakeClock
) -> None:
    await truncated(store, ONE)
    assert len(await due(store)) == 1
    assert await due(store) == []
    clock.advance(CLAIM.total_seconds() - 0.1)
    assert await due(store) == []
    clock.advance(0.1)
    assert len(await due(store)) == 1


async def test_many_who_ask_at_once_get_each_one_once(store: Store) -> None:
    await truncated(store, *(LeftOut(1, "r", {"n": str(n)}) for n in range(20)))
    found = await asyncio.gather(*(store.due_inquiries(3, CLAIM) for _ in range(10)))
    names = [each.left_out.group["n"] for part in found for each in part]
    assert sorted(names) == sorted(str(n) for n in range(20))


async def test_those_first_that_have_waited_longest(store: Store, clock: FakeClock) -> None:
    for each in (OTHER, ONE):
        await truncated(store, each)
        clock.advance(1)
    assert [each.left_out for each in await store.due_inquiries(1, CLAIM)] == [OTHER]
    assert [each.left_out for each in await store.due_inquiries(1, CLAIM)] == [ONE]


async def test_what_was_answered_is_a_webhook_of_the_same_source_and_the_end_of_it(
    store: Store, clock: FakeClock
) -> None:
    await truncated(store, ONE, source="west")
    (inquiry,) = await due(store)
    event = Event(EventKind.INQUIRY_ANSWERED, clock.wall(), {"alerts": 2})
    await store.settle_inquiry(inquiry, b"told", None, [event])
    (webhook,) = await store.untaken_webhooks(1 << 20)
    assert (webhook.source, webhook.body) == ("west", b"told")
    assert (await store.events(0, 100))[-1].data == {"alerts": 2}
    clock.advance(3600)
    assert await due(store) == []
    assert (await store.backlog()).inquiries == 0


async def test_with_nothing_to_tell_there_is_no_webhook(store: Store) -> None:
    await truncated(store, ONE)
    (inquiry,) = await due(store)
    await store.settle_inquiry(inquiry, None, None)
    assert await store.untaken_webhooks(1 << 20) == []


async def test_asked_in_vain_it_is_due_again_later_and_what_was_told_is_kept(
    store: Store, clock: FakeClock
) -> None:
    await truncated(store, ONE)
    (inquiry,) = await due(store)
    await store.settle_inquiry(inquiry, b"some", timedelta(seconds=10))
    assert len(await store.untaken_webhooks(1 << 20)) == 1
    clock.advance(9.9)
    assert await due(store) == []
    clock.advance(0.1)
    (again,) = await due(store)
    assert again.tries == 1


async def test_a_wish_that_comes_while_it_is_asked_is_asked_too(store: Store, clock: FakeClock) -> None:
    """The answer may be older than what that webhook left out."""
    await truncated(store, ONE)
    (inquiry,) = await due(store)
    await truncated(store, ONE)
    assert await due(store) == []
    await store.settle_inquiry(inquiry, None, None)
    (again,) = await due(store)
    assert (again.wishes, again.tries) == (2, 0)
    await store.settle_inquiry(again, None, None)
    clock.advance(3600)
    assert await due(store) == []


async def test_an_old_answer_does_not_end_a_later_wish(store: Store, clock: FakeClock) -> None:
    await truncated(store, ONE)
    (old,) = await due(store)
    clock.advance(CLAIM.total_seconds())
    (same,) = await due(store)
    await store.settle_inquiry(same, None, None)
    await truncated(store, ONE)
    await store.settle_inquiry(old, None, None)
    assert len(await due(store)) == 1


async def test_wishes_hurry_nothing_that_was_asked_in_vain(store: Store, clock: FakeClock) -> None:
    await truncated(store, ONE)
    (inquiry,) = await due(store)
    await store.settle_inquiry(inquiry, None, timedelta(minutes=5))
    await truncated(store, ONE)
    assert await due(store) == []
    clock.advance(300)
    (again,) = await due(store)
    assert (again.tries, again.wanted_at) == (1, clock.wall() - timedelta(minutes=5))


async def test_its_age_counts_from_the_first_wish_that_nobody_answered(
    store: Store, clock: FakeClock
) -> None:
    first = clock.wall()
    await truncated(store, ONE)
    clock.advance(60)
    await truncated(store, ONE)
    assert (await store.backlog()).oldest_inquiry == first


async def test_it_outlives_the_process_that_took_the_webhook_in(backend: Backend) -> None:
    store = backend.make()
    await store.open()
    await truncated(store, ONE)
    await store.close()
    store = backend.make()
    await store.open()
    assert [each.left_out for each in await due(store)] == [ONE]
    await store.close()


async def test_whoever_waits_for_inquiries_is_woken(store: Store) -> None:
    waiting = asyncio.create_task(store.wait(Topic.INQUIRIES, timedelta(seconds=30)))
    await asyncio.sleep(0)
    await truncated(store, ONE)
    async with asyncio.timeout(10):
        await waiting


@pytest.mark.parametrize("size", [1, 20_000])
async def test_a_group_with_labels_of_any_length_is_kept(store: Store, size: int) -> None:
    left_out = LeftOut(1, "r" * size, {"x" * size: "y" * size})
    await truncated(store, left_out)
    assert [each.left_out for each in await due(store)] == [left_out]
