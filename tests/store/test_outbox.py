"""Envelopes: at least once, in order, the latest of a key, and none before the one it follows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.core.changes import OutboxItem
from remediator.core.events import Event, EventKind
from remediator.core.notices import Lane
from remediator.core.ports.store import Store
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import CLAIM, NO_CLAIM, an_envelope


async def due(store: Store, lane: Lane = Lane.REPORTS, claim: timedelta = CLAIM) -> list[OutboxItem]:
    return await store.due_envelopes(lane, 100, claim)


async def one(store: Store, lane: Lane = Lane.REPORTS) -> OutboxItem:
    (item,) = await due(store, lane)
    return item


def titles(items: list[OutboxItem]) -> list[str]:
    return [item.envelope.notice.title for item in items]


async def test_an_envelope_comes_out_as_it_went_in(store: Store, clock: FakeClock) -> None:
    envelope = an_envelope("<&> ☃", key="k", lane=Lane.PAGES)
    await store.post([envelope], [Event(EventKind.RULEBOOK_REFUSED, clock.wall())])
    item = await one(store, Lane.PAGES)
    assert (item.envelope, item.tries, item.created_at) == (envelope, 0, clock.wall())
    assert (item.head, item.sent) == ("", "")
    assert [event.kind for event in await store.events(0, 10)] == [EventKind.RULEBOOK_REFUSED]


async def test_order_is_kept_within_a_thread_and_threads_do_not_wait_for_one_another(store: Store) -> None:
    await store.post([an_envelope("a1", thread="a"), an_envelope("b1", thread="b")])
    await store.post([an_envelope("a2", thread="a"), an_envelope("c1", thread="a", channel="log")])
    first = await due(store)
    assert titles(first) == ["a1", "b1", "c1"]
    await store.sent(first[0], "")
    assert titles(await due(store)) == ["a2"]


async def test_no_more_are_handed_out_than_asked_for(store: Store) -> None:
    await store.post([an_envelope(str(n), thread=str(n)) for n in range(5)])
    assert titles(await store.due_envelopes(Lane.REPORTS, 2, CLAIM)) == ["0", "1"]
    assert titles(await store.due_envelopes(Lane.REPORTS, 9, CLAIM)) == ["2", "3", "4"]


async def test_one_on_its_way_keeps_those_behind_it_back_until_its_claim_is_over(
    store: Store, clock: FakeClock
) -> None:
    await store.post([an_envelope("1"), an_envelope("2")])
    await one(store)
    clock.advance(CLAIM.total_seconds() - 0.000_001)
    assert await due(store) == []
    clock.advance(0.000_001)
    assert titles(await due(store)) == ["1"]


async def test_pages_never_queue_behind_reports(store: Store) -> None:
    await store.post([an_envelope("report"), an_envelope("page", lane=Lane.PAGES)])
    assert titles(await due(store, Lane.PAGES)) == ["page"]
    assert titles(await due(store)) == ["report"]


async def test_the_first_ref_heads_the_thread_and_a_key_remembers_its_last(store: Store) -> None:
    await store.post([an_envelope("status", key="run"), an_envelope("line")])
    await store.sent(await one(store), "1.0")
    line = await one(store)
    assert (line.head, line.sent) == ("1.0", "")
    await store.sent(line, "2.0")
    await store.post([an_envelope("status, later", key="run")])
    later = await one(store)
    assert (later.head, later.sent) == ("1.0", "1.0")
    await store.sent(later, "3.0")
    await store.post([an_envelope("again", key="run")])
    again = await one(store)
    assert (again.head, again.sent) == ("1.0", "3.0")


async def test_heads_and_refs_are_those_of_the_channel(store: Store) -> None:
    await store.post([an_envelope("a", key="k"), an_envelope("b", key="k", channel="slack:#b")])
    first, second = await due(store)
    await store.sent(first, "1.0")
    await store.delay(second, NO_CLAIM, "busy")
    other = await one(store)
    assert (other.head, other.sent) == ("", "")


async def test_the_latest_of_a_key_replaces_the_unsent_one_in_its_place(store: Store) -> None:
    await store.post([an_envelope("first", key="k"), an_envelope("other")])
    await store.post([an_envelope("second", key="k"), an_envelope("third", key="k")])
    item = await one(store)
    assert (item.envelope.notice.title, item.envelope.notice.count) == ("third", 3)
    await store.sent(item, "")
    assert titles(await due(store)) == ["other"]


async def test_keys_of_other_threads_and_no_key_at_all_replace_nothing(store: Store) -> None:
    await store.post([an_envelope("1", key="k"), an_envelope("2", key="k", thread="u")])
    await store.post([an_envelope("3", thread="v"), an_envelope("4", thread="v")])
    assert titles(await due(store)) == ["1", "2", "3"]


async def test_what_was_sent_is_not_replaced_but_followed(store: Store) -> None:
    await store.post([an_envelope("first", key="k")])
    await store.sent(await one(store), "1.0")
    await store.post([an_envelope("second", key="k")])
    item = await one(store)
    assert (item.envelope.notice.title, item.envelope.notice.count, item.sent) == ("second", 1, "1.0")


async def test_one_replaced_on_its_way_stays_due_in_its_new_form(store: Store) -> None:
    await store.post([an_envelope("old", key="k"), an_envelope("behind")])
    old = await one(store)
    await store.post([an_envelope("new", key="k")])
    assert await due(store) == []
    await store.sent(old, "1.0")
    new = await one(store)
    assert (new.envelope.notice.title, new.envelope.notice.count) == ("new", 2)
    assert (new.head, new.sent) == ("1.0", "1.0")
    await store.sent(new, "1.0")
    assert titles(await due(store)) == ["behind"]


async def test_the_same_words_again_while_it_is_on_its_way_still_go_out(store: Store) -> None:
    await store.post([an_envelope("same", key="k")])
    item = await one(store)
    await store.post([an_envelope("same", key="k")])
    await store.sent(item, "1.0")
    assert (await one(store)).envelope.notice.count == 2


async def test_a_page_of_the_same_key_takes_a_waiting_report_into_the_pages_lane(store: Store) -> None:
    await store.post([an_envelope("report", key="k")])
    await store.post([an_envelope("page", key="k", lane=Lane.PAGES)])
    await store.post([an_envelope("report again", key="k")])
    assert await due(store) == []
    assert titles(await due(store, Lane.PAGES)) == ["report again"]


async def test_a_delayed_one_waits_its_time_exactly_and_those_behind_it_too(
    store: Store, clock: FakeClock
) -> None:
    await store.post([an_envelope("1"), an_envelope("2")])
    await store.delay(await one(store), timedelta(seconds=60), "HTTP 429")
    clock.advance(59.999_999)
    assert await due(store) == []
    clock.advance(0.000_001)
    item = await one(store)
    assert (item.envelope.notice.title, item.tries) == ("1", 1)


async def test_one_replaced_while_it_is_delayed_still_waits(store: Store, clock: FakeClock) -> None:
    await store.post([an_envelope("1", key="k")])
    await store.delay(await one(store), timedelta(seconds=60), "HTTP 429")
    await store.post([an_envelope("2", key="k")])
    assert await due(store) == []
    clock.advance(60)
    assert titles(await due(store)) == ["2"]


async def test_a_parked_one_leaves_an_event_and_blocks_nobody(store: Store) -> None:
    await store.post([an_envelope("1"), an_envelope("2")])
    await store.park(await one(store), "channel_not_found")
    assert titles(await due(store)) == ["2"]
    (event,) = await store.events(0, 10)
    assert event.kind is EventKind.NOTICE_PARKED
    assert event.data["error"] == "channel_not_found"
    assert (await store.backlog()).parked_notices == 1


async def test_the_new_form_of_a_rejected_one_is_tried(store: Store) -> None:
    await store.post([an_envelope("too long", key="k")])
    item = await one(store)
    await store.post([an_envelope("short", key="k")])
    await store.park(item, "msg_too_long")
    assert titles(await due(store)) == ["short"]
    assert await store.events(0, 10) == []


async def test_after_a_parked_one_its_key_begins_anew(store: Store) -> None:
    await store.post([an_envelope("1", key="k")])
    await store.park(await one(store), "no")
    await store.post([an_envelope("2", key="k")])
    item = await one(store)
    assert (item.envelope.notice.title, item.envelope.notice.count) == ("2", 1)


async def test_one_that_is_held_on_to_is_kept_from_others_for_as_long(store: Store, clock: FakeClock) -> None:
    await store.post([an_envelope("slow")])
    item = await one(store)
    for _ in range(3):
        clock.advance(CLAIM.total_seconds() - 1)
        assert await store.hold(item, CLAIM)
        assert await due(store) == []
    clock.advance(CLAIM.total_seconds())
    assert not await store.hold(item, CLAIM), "its claim is over, and anybody may have it"
    assert await due(store) == [item]


async def test_one_that_has_ended_is_not_held(store: Store) -> None:
    await store.post([an_envelope()])
    item = await one(store)
    await store.sent(item, "1.0")
    assert not await store.hold(item, CLAIM)


async def test_ending_one_twice_changes_nothing(store: Store) -> None:
    """Its claim ran out, a peer delivered it as well, and both say so."""
    await store.post([an_envelope("1", key="k"), an_envelope("2")])
    (item,) = await due(store, claim=NO_CLAIM)
    (again,) = await due(store)
    await store.sent(item, "1.0")
    await store.sent(again, "2.0")
    await store.park(again, "late")
    await store.delay(again, timedelta(hours=1), "late")
    assert titles(await due(store)) == ["2"]
    assert (await store.backlog()).parked_notices == 0


async def test_a_restart_loses_and_reorders_nothing(backend: Backend) -> None:
    store = backend.make()
    await store.open()
    await store.post([an_envelope("1", key="k"), an_envelope("2"), an_envelope("3")])
    await store.sent(await one(store), "1.0")
    await one(store)
    await store.close()
    store = backend.make()
    await store.open()
    item = await one(store)
    assert (item.envelope.notice.title, item.head) == ("2", "1.0")
    await store.sent(item, "")
    assert titles(await due(store)) == ["3"]
    await store.close()


async def test_envelopes_whose_events_cannot_be_written_are_not_kept(store: Store, clock: FakeClock) -> None:
    unspeakable = Event(EventKind.RUN_FAILED, clock.wall(), {"what": object()})
    with pytest.raises(TypeError, match="object"):
        await store.post([an_envelope()], [unspeakable])
    assert await due(store) == []
