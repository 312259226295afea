"""Old rows go once nothing needs them, at the very age at which they may, and never before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.core.changes import Intake, RunChange, RunFilter
from remediator.core.episodes import observe
from remediator.core.events import Event, EventKind
from remediator.core.guards import PauseScope, Quarantine
from remediator.core.ids import RunId
from remediator.core.notices import Call, Lane
from remediator.core.ports.store import Store
from remediator.core.retention import AUDIT, Shelf
from remediator.core.runs import Outcome, RunState
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import (
    CART,
    CLAIM,
    NODE,
    Intending,
    a_request,
    advanced,
    agreeing,
    an_alert,
    an_envelope,
    an_intent,
    begin,
    due,
    lease,
    skipping,
    take,
    to,
)

DAY = timedelta(days=1)
STEP = timedelta(microseconds=1)


async def pruned(store: Store, *shelves: Shelf, age: timedelta = DAY, limit: int = 3) -> int:
    """Go along shelves to their ends, in small slices; gives how many rows went."""
    rows = 0
    for shelf in shelves or Shelf:
        after: int | None = 0
        while after is not None:
            found = await store.prune(shelf, age, after, limit)
            rows, after = rows + found.rows, found.after
    return rows


async def oldest(store: Store, shelf: Shelf) -> object:
    return (await store.prune(shelf, DAY, 0, 1000)).oldest


async def resolve(store: Store, fingerprint: str) -> None:
    await store.save_webhook("default", b"{}")
    newest = (await store.untaken_webhooks(1 << 20))[-1]
    await store.take_webhooks([Intake(newest.id, (an_alert(fingerprint, firing=False),))], observe)


async def ended(store: Store, id_: str = "r-1", state: RunState = RunState.SUCCEEDED, **kept: object) -> None:
    """A run that acted and ended, and whose alert has resolved."""
    run = await begin(store, id_)
    held = await lease(store, run)
    ready = await advanced(store, held.token, run, RunState.READY)
    await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    acting = await store.run(run.id)
    attempt = await store.attempt_in_doubt(run.id)
    assert acting is not None
    assert attempt is not None
    now = await store.now()
    done = replace(attempt, outcome=Outcome.SUCCEEDED, ended_at=now)
    change = RunChange(to(acting, state, now), acting.state, attempt=done, **kept)  # type: ignore[arg-type]
    assert await store.advance(held.token, change) is None
    await resolve(store, f"of-{id_}")


async def latest(store: Store) -> None:
    """Write what is later than all else, and stays."""
    await store.save_webhook("default", b"{}")
    await store.record([Event(EventKind.RULEBOOK_DRIFTED, await store.now())])


async def test_a_body_goes_at_its_age_and_not_before(store: Store, clock: FakeClock) -> None:
    await take(store, an_alert())
    await latest(store)
    clock.advance((DAY - STEP).total_seconds())
    assert await pruned(store, Shelf.BODIES) == 0
    clock.advance(STEP.total_seconds())
    assert await pruned(store, Shelf.BODIES) == 0, "exactly so old is not older"
    clock.advance(STEP.total_seconds())
    assert await pruned(store, Shelf.BODIES) == 1


@pytest.mark.parametrize(
    ("shelf", "kind"), [(Shelf.EVENTS, EventKind.RUN_LEASED), (Shelf.AUDIT, EventKind.ATTEMPT_INTENDED)]
)
async def test_an_event_goes_at_its_age_and_not_before(
    store: Store, clock: FakeClock, shelf: Shelf, kind: EventKind
) -> None:
    await store.record([Event(kind, await store.now())])
    await latest(store)
    clock.advance(DAY.total_seconds())
    assert await pruned(store, shelf) == 0
    clock.advance(STEP.total_seconds())
    assert await pruned(store, shelf) == 1


async def test_a_webhook_that_is_not_taken_apart_stays(store: Store, clock: FakeClock) -> None:
    await store.save_webhook("default", b"{}")
    clock.advance(1e9)
    assert await pruned(store, Shelf.BODIES) == 0
    assert len(await store.untaken_webhooks(1 << 20)) == 1


async def test_of_events_an_audits_are_kept_for_longer(store: Store, clock: FakeClock) -> None:
    now = await store.now()
    await store.record([Event(kind, now) for kind in EventKind])
    await latest(store)
    clock.advance(2 * DAY.total_seconds())
    await pruned(store, Shelf.EVENTS)
    assert {event.kind for event in await store.events(0, 1000)} == AUDIT
    await pruned(store, Shelf.AUDIT)
    assert len(await store.events(0, 1000)) == 1


async def test_everything_about_a_run_that_is_over_goes(store: Store, clock: FakeClock) -> None:
    await ended(store)
    await store.post([an_envelope(thread="run:r-1")])
    (item,) = await store.due_envelopes(Lane.REPORTS, 9, CLAIM)
    await store.sent(item, "ref")
    await latest(store)
    clock.advance(2 * DAY.total_seconds())
    await pruned(store)
    assert await store.history(RunFilter()) == []
    assert await store.decisions(9) == []
    assert len(await store.events(0, 100)) == 1
    assert await store.run_row("r-1") == []
    again = await begin(store, "r-2")
    assert [run.id for run in await store.history(RunFilter())] == [again.id], "and the ledger goes on"


async def test_a_run_whose_events_are_gone_says_so(store: Store, clock: FakeClock) -> None:
    await ended(store)
    now = await store.now()
    kinds = (EventKind.RUN_CREATED, EventKind.ATTEMPT_INTENDED, EventKind.RUN_SUCCEEDED)
    await store.record([Event(kind, now, run=RunId("r-1")) for kind in kinds])
    await latest(store)
    (before,) = await store.run_row("r-1")
    clock.advance(2 * DAY.total_seconds())
    await pruned(store, Shelf.EVENTS)
    (after,) = await store.run_row("r-1")
    assert (before.pruned, after.pruned) == (False, True)
    assert [event.kind for event in after.events] == [EventKind.ATTEMPT_INTENDED]
    assert after.attempts == before.attempts
    assert after.decisions == before.decisions


@pytest.mark.parametrize("state", [state for state in RunState if not state.is_final])
async def test_a_run_that_has_not_ended_keeps_all_that_is_its(
    store: Store, clock: FakeClock, state: RunState
) -> None:
    run = await begin(store)
    held = await lease(store, run)
    if state not in (RunState.PENDING, RunState.READY):
        await advanced(store, held.token, run, state)
    elif state is RunState.READY:
        await advanced(store, held.token, run, RunState.READY)
    await store.record([Event(EventKind.RUN_CREATED, await store.now(), run=run.id)])
    await store.post([an_envelope(thread="run:r-1")])
    (item,) = await store.due_envelopes(Lane.REPORTS, 9, CLAIM)
    await store.sent(item, "ref")
    await resolve(store, "of-r-1")
    (before,) = await store.run_row("r-1")
    clock.advance(1e9)
    await pruned(store)
    assert await store.run_row("r-1") == [before]


async def test_a_run_stays_for_as_long_as_its_alert_fires(store: Store, clock: FakeClock) -> None:
    """Its decision is what keeps the alert from being decided on again."""
    run = await begin(store)
    held = await lease(store, run)
    await store.advance(held.token, RunChange(to(run, RunState.FAILED, await store.now()), run.state))
    clock.advance(1e9)
    await pruned(store)
    (row,) = await store.run_row("r-1")
    assert (len(row.decisions), len(row.episodes)) == (1, 1)
    (decided,) = await store.decide([a_request(row.episodes[0])], skipping)
    assert len(await store.decisions(9)) == 1, decided
    await resolve(store, "of-r-1")
    clock.advance(2 * DAY.total_seconds())
    await pruned(store)
    assert await store.run_row("r-1") == []


async def test_what_a_quarantine_is_about_stays_until_it_is_lifted(store: Store, clock: FakeClock) -> None:
    run = await begin(store)
    held = await lease(store, run)
    now = await store.now()
    quarantine = Quarantine(CART, run.id, None, "no proof", now)
    ends = RunChange(to(run, RunState.UNKNOWN, now), run.state, quarantine=quarantine)
    await store.advance(held.token, ends)
    await resolve(store, "of-r-1")
    clock.advance(1e9)
    await pruned(store)
    assert len(await store.run_row("r-1")) == 1
    await store.clear_quarantine(CART, "looked", "ann")
    await pruned(store)
    assert await store.run_row("r-1") == []


async def test_an_unsent_message_and_what_it_is_about_stay(store: Store, clock: FakeClock) -> None:
    await ended(store)
    await store.post([an_envelope(thread="run:r-1")])
    clock.advance(1e9)
    await pruned(store)
    assert len(await store.run_row("r-1")) == 1
    (item,) = await store.due_envelopes(Lane.REPORTS, 9, CLAIM)
    await store.sent(item, "ref")
    clock.advance(2 * DAY.total_seconds())
    await pruned(store)
    assert await store.run_row("r-1") == []


async def test_where_a_thread_was_delivered_goes_with_its_last_message(
    store: Store, clock: FakeClock
) -> None:
    async def send(key: str) -> None:
        await store.post([an_envelope(key, thread="t", key=key)])
        (item,) = await store.due_envelopes(Lane.REPORTS, 9, CLAIM)
        await store.sent(item, "ref")

    await send("one")
    clock.advance(1.5 * DAY.total_seconds())
    await send("two")
    await pruned(store, Shelf.MESSAGES)
    await store.post([an_envelope("three", thread="t", key="two")])
    (item,) = await store.due_envelopes(Lane.REPORTS, 9, CLAIM)
    assert item.head == "ref", "one message of the thread is young: the thread is known"
    await store.sent(item, "ref")
    clock.advance(2 * DAY.total_seconds())
    await pruned(store, Shelf.MESSAGES)
    await store.post([an_envelope("four", thread="t", key="two")])
    (item,) = await store.due_envelopes(Lane.REPORTS, 9, CLAIM)
    assert item.head == ""


async def test_an_open_page_stays_with_its_run(store: Store, clock: FakeClock) -> None:
    await ended(store)
    await store.post([replace(an_envelope(thread="page:r-1"), call=Call(RunId("r-1")))])
    (item,) = await store.due_envelopes(Lane.REPORTS, 9, CLAIM)
    await store.sent(item, "ref")
    clock.advance(1e9)
    await pruned(store)
    assert len(await store.open_pages()) == 1
    assert len(await store.run_row("r-1")) == 1


async def test_a_pause_in_force_stays_and_one_that_is_over_goes(store: Store, clock: FakeClock) -> None:
    await store.pause(PauseScope.RULE, "a", "noise", "ann", None)
    await store.pause(PauseScope.RULE, "b", "noise", "ann", None)
    await store.pause(PauseScope.RULE, "c", "noise", "ann", DAY)
    await store.resume(PauseScope.RULE, "b", "over", "ann")
    clock.advance((1.5 * DAY).total_seconds())
    assert await pruned(store, Shelf.PAUSES) == 1, "b was lifted a day and a half ago"
    clock.advance(DAY.total_seconds())
    assert await pruned(store, Shelf.PAUSES) == 0, "c is the latest: its number is nobody else's yet"
    latest = await store.pause(PauseScope.RULE, "d", "noise", "ann", None)
    assert await pruned(store, Shelf.PAUSES) == 1, "c was over a day and a half ago"
    assert [pause.value for pause in await store.pauses()] == ["a", "d"]
    await store.resume(PauseScope.RULE, "d", "over", "ann")
    clock.advance((1.5 * DAY).total_seconds())
    assert await pruned(store, Shelf.PAUSES) == 0
    assert (await store.pause(PauseScope.RULE, "e", "noise", "ann", None)).id > latest.id


async def test_no_number_is_given_twice(store: Store, clock: FakeClock) -> None:
    """Who reads on after the last event that was read misses none, however long nothing happened."""

    async def happened() -> tuple[int, int]:
        alert = an_alert(starts_at=await store.now())
        await take(store, alert)
        (episode,) = await due(store)
        await store.decide([a_request(episode)], skipping)
        await take(store, replace(alert, firing=False, ends_at=await store.now()))
        events = await store.events(0, 1000)
        return episode.id, events[-1].id

    before = await happened()
    clock.advance(2 * DAY.total_seconds())
    assert await pruned(store) > 0
    assert await store.events(before[1], 1000) == []
    after = await happened()
    assert (after[0] > before[0], after[1] > before[1]) == (True, True)


async def test_a_slice_reads_no_more_than_it_is_told_to(store: Store, clock: FakeClock) -> None:
    for _ in range(5):
        await take(store, an_alert())
    await latest(store)
    clock.advance(2 * DAY.total_seconds())
    first = await store.prune(Shelf.BODIES, DAY, 0, 2)
    assert (first.rows, first.after is None) == (2, False)
    assert first.after is not None
    second = await store.prune(Shelf.BODIES, DAY, first.after, 9)
    assert (second.rows, second.after) == (3, None)


async def test_the_oldest_that_stays_is_told(store: Store, clock: FakeClock) -> None:
    await store.save_webhook("default", b"{}")
    at = await store.now()
    clock.advance(2 * DAY.total_seconds())
    await store.save_webhook("default", b"{}")
    assert await oldest(store, Shelf.BODIES) == at
    assert await oldest(store, Shelf.RUNS) is None


async def test_targets_that_were_demanded_long_ago_are_forgotten(store: Store, backend: Backend) -> None:
    await backend.execute(store, f"INSERT INTO demands (target, at) VALUES ('{NODE}', 1)")
    assert await pruned(store, Shelf.DEMANDS) == 1
