"""Moves of runs: all that belongs to one is written with it, and only by who holds the lease."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.core.changes import Intended, IntentRequest, Refused, RunChange
from remediator.core.events import Event, EventKind
from remediator.core.guards import Answer, Guard, GuardAnswer, GuardView, Quarantine, Verdict
from remediator.core.ids import Token
from remediator.core.notices import Lane
from remediator.core.ports.store import Store, StoreError
from remediator.core.reasons import Reason
from remediator.core.rules import Mode
from remediator.core.runs import Outcome, Phase, RunState
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import (
    CART,
    CLAIM,
    ME,
    NODE,
    TTL,
    Intending,
    advanced,
    agreeing,
    an_alert,
    an_attempt,
    an_envelope,
    an_intent,
    begin,
    lease,
    readied,
    take,
    to,
)

NO = Verdict((GuardAnswer(Guard.PAUSE, Answer.WAITS, "paused", Reason.PAUSED),))


async def test_a_move_writes_every_field_of_the_run(store: Store, clock: FakeClock) -> None:
    run = await begin(store)
    held = await lease(store, run)
    now = clock.wall()
    moved = replace(
        run,
        state=RunState.READY,
        phase=Phase.ON_FAILURE,
        position=2,
        tries=1,
        attempts=3,
        results={"undo": {"revision": 3, "deep": [None, 1.5]}},
        broken=True,
        started_at=now,
        verifying_since=now,
        reason=Reason.PAUSED,
        detail="wäiting",
    )
    assert await store.advance(held.token, RunChange(moved, RunState.PENDING)) is None
    assert await store.run(run.id) == moved
    ended = replace(moved, state=RunState.UNKNOWN, ended_at=now)
    assert await store.advance(held.token, RunChange(ended, RunState.READY)) is None
    assert await store.run(run.id) == ended


async def test_all_that_belongs_to_a_move_is_written_with_it(store: Store, clock: FakeClock) -> None:
    run = await begin(store)
    held = await lease(store, run)
    attempt = replace(
        an_attempt(run, held.token, clock.wall()), outcome=Outcome.UNKNOWN, ended_at=clock.wall()
    )
    quarantine = Quarantine(CART, run.id, attempt.id, "reply lost", clock.wall())
    event = Event(EventKind.TARGET_QUARANTINED, clock.wall(), {"why": "reply lost"}, run=run.id)
    ended = to(run, RunState.UNKNOWN, clock.wall())
    change = RunChange(ended, run.state, attempt, quarantine, (event,), (an_envelope(),))
    assert await store.advance(held.token, change) is None
    (story,) = await store.run_row(run.id)
    assert story.attempts == (attempt,)
    assert [replace(told, id=0) for told in story.events] == [event]
    assert await store.quarantines() == (quarantine,)
    assert len(await store.due_envelopes(Lane.REPORTS, 5, CLAIM)) == 1


@pytest.mark.parametrize("kind", ["released", "retaken", "expired", "of another run", "never given"])
async def test_a_move_without_the_live_lease_is_refused_and_writes_nothing(
    store: Store, clock: FakeClock, kind: str
) -> None:
    run = await begin(store)
    other = await begin(store, "r-2", target=NODE)
    held = await lease(store, run)
    token = held.token
    match kind:
        case "released":
            await store.release(held)
        case "retaken":
            await lease(store, run)
        case "expired":
            clock.advance(TTL.total_seconds())
        case "of another run":
            token = (await lease(store, other)).token
        case _:
            token = Token(10_000)
    event = Event(EventKind.RUN_LEASED, clock.wall(), run=run.id)
    change = RunChange(to(run, RunState.READY), run.state, events=(event,), envelopes=(an_envelope(),))
    assert await store.advance(token, change) is Refused.LEASE_LOST
    assert await store.run(run.id) == run
    assert (await store.run_row(run.id))[0].events == ()
    assert await store.due_envelopes(Lane.REPORTS, 5, CLAIM) == []


async def test_a_lease_still_holds_just_before_its_end(store: Store, clock: FakeClock) -> None:
    run = await begin(store)
    held = await lease(store, run)
    clock.advance(TTL.total_seconds() - 0.000_001)
    await advanced(store, held.token, run, RunState.READY)


async def test_a_run_that_moved_meanwhile_is_left_alone(store: Store) -> None:
    ready, held = await readied(store)
    late = RunChange(to(ready, RunState.REFUSED, await store.now()), RunState.PENDING)
    assert await store.advance(held.token, late) is Refused.MOVED
    assert await store.advance(None, late) is Refused.MOVED
    assert await store.run(ready.id) == ready


async def test_without_a_lease_a_run_may_only_leave_pending_untouched(store: Store) -> None:
    run = await begin(store)
    leave = RunChange(to(run, RunState.READY), RunState.PENDING)
    assert await store.advance(None, leave) is Refused.LEASE_LOST
    held = await lease(store, run)
    ready = await advanced(store, held.token, run, RunState.READY)
    cancel = RunChange(to(ready, RunState.REFUSED, await store.now()), RunState.READY)
    assert await store.advance(None, cancel) is Refused.LEASE_LOST
    other = await begin(store, "r-2", target=NODE)
    refused = to(other, RunState.REFUSED, await store.now())
    assert await store.advance(None, RunChange(refused, RunState.PENDING)) is None
    assert await store.run(other.id) == refused


async def test_an_intent_is_written_with_its_attempt_when_the_guards_allow(
    store: Store, clock: FakeClock
) -> None:
    ready, held = await readied(store)
    answer = await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    assert isinstance(answer, Intended)
    assert answer.change is not None
    assert await store.run(ready.id) == answer.change.run
    assert await store.attempt_in_doubt(ready.id) == answer.change.attempt
    done = replace(an_attempt(ready, held.token, clock.wall()), outcome=Outcome.SUCCEEDED, detail="done")
    back = RunChange(to(answer.change.run, RunState.READY), RunState.ACTING, attempt=done)
    assert await store.advance(held.token, back) is None
    assert await store.attempt_in_doubt(ready.id) is None


async def test_no_attempt_is_intended_twice_by_who_has_not_seen_how_far_the_run_is(
    store: Store, clock: FakeClock
) -> None:
    ready, held = await readied(store)
    answer = await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    assert isinstance(answer, Intended)
    assert answer.change is not None
    done = replace(an_attempt(ready, held.token, clock.wall()), outcome=Outcome.SUCCEEDED, detail="done")
    after = replace(to(answer.change.run, RunState.READY), position=1)
    assert await store.advance(held.token, RunChange(after, RunState.ACTING, attempt=done)) is None
    again = await store.intend(
        held.token, an_intent(ready, first=False), agreeing, Intending(ready, held.token)
    )
    assert again is Refused.MOVED
    assert await store.run(ready.id) == after
    assert await store.attempt_in_doubt(ready.id) is None


async def test_an_attempt_in_doubt_is_found_after_a_restart(backend: Backend) -> None:
    store = backend.make()
    await store.open()
    ready, held = await readied(store)
    answer = await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    await store.close()
    store = backend.make()
    await store.open()
    assert isinstance(answer, Intended)
    assert answer.change is not None
    assert await store.attempt_in_doubt(ready.id) == answer.change.attempt
    await store.close()


async def test_guards_that_object_leave_everything_as_it_was(store: Store) -> None:
    ready, held = await readied(store)
    answer = await store.intend(held.token, an_intent(ready), lambda _r, _v: NO, Intending(ready, held.token))
    assert answer == Intended(NO, None)
    assert await store.run(ready.id) == ready
    assert await store.attempt_in_doubt(ready.id) is None
    assert await parallel_seen_by_another(store) == 0


async def parallel_seen_by_another(store: Store) -> int:
    other = await begin(store, "r-other", rule="other", target=NODE)
    return (await store.view(other)).parallel


async def test_a_slot_is_taken_with_the_first_intent_and_counts_until_the_run_ends(store: Store) -> None:
    ready, held = await readied(store)
    assert (await store.view(ready)).parallel == 0
    await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    acting = await store.run(ready.id)
    assert acting is not None
    other = await begin(store, "r-other", rule="other", target=NODE)
    assert (await store.view(other)).parallel == 1
    assert (await store.view(acting)).parallel == 0
    await advanced(store, held.token, acting, RunState.FAILED)
    assert (await store.view(other)).parallel == 0


async def test_an_observed_run_takes_nobodys_place(store: Store) -> None:
    run = await begin(store, mode=Mode.OBSERVE)
    held = await lease(store, run)
    ready = await advanced(store, held.token, run, RunState.READY)
    await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    assert await parallel_seen_by_another(store) == 0


async def test_a_later_intent_takes_no_slot(store: Store) -> None:
    ready, held = await readied(store)
    await store.intend(held.token, an_intent(ready, first=False), agreeing, Intending(ready, held.token))
    assert await parallel_seen_by_another(store) == 0


async def test_the_view_of_an_intent_leaves_the_asking_run_out(store: Store) -> None:
    ready, held = await readied(store)
    seen: list[GuardView] = []

    def ask(_request: IntentRequest, view: GuardView) -> Verdict:
        seen.append(view)
        return NO

    await store.intend(held.token, an_intent(ready), ask, Intending(ready, held.token))
    (view,) = seen
    assert (view.unfinished, view.last, view.last_acted, view.parallel) == (None, None, None, 0)
    assert view == await store.view(ready)


async def test_an_intent_with_a_lost_lease_asks_nobody_and_writes_nothing(
    store: Store, clock: FakeClock
) -> None:
    ready, held = await readied(store)
    clock.advance(TTL.total_seconds())

    def ask(_request: IntentRequest, _view: GuardView) -> Verdict:
        raise AssertionError

    answer = await store.intend(held.token, an_intent(ready), ask, Intending(ready, held.token))
    assert answer is Refused.LEASE_LOST
    assert await store.run(ready.id) == ready


async def test_an_intent_of_a_run_that_moved_is_refused_and_takes_no_slot(store: Store) -> None:
    run = await begin(store)
    held = await lease(store, run)
    answer = await store.intend(
        held.token, an_intent(run), agreeing, Intending(to(run, RunState.READY), held.token)
    )
    assert answer is Refused.MOVED
    assert await store.attempt_in_doubt(run.id) is None
    assert await parallel_seen_by_another(store) == 0


async def test_a_callback_that_raises_leaves_no_intent(store: Store) -> None:
    ready, held = await readied(store)

    def change(_view: GuardView, _verdict: Verdict) -> RunChange:
        message = "planted"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="planted"):
        await store.intend(held.token, an_intent(ready), agreeing, change)
    assert await store.run(ready.id) == ready
    assert await parallel_seen_by_another(store) == 0


async def test_a_second_attempt_in_doubt_is_impossible(store: Store, clock: FakeClock) -> None:
    """Nobody could tell which of two to probe."""
    ready, held = await readied(store)
    await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    acting = await store.run(ready.id)
    assert acting is not None
    second = an_attempt(ready, held.token, clock.wall(), number=2)
    with pytest.raises(StoreError, match="refused"):
        await store.advance(held.token, RunChange(acting, RunState.ACTING, attempt=second))
    doubted = await store.attempt_in_doubt(ready.id)
    assert doubted is not None
    assert doubted.number == 1


async def test_taking_over_needs_the_new_token(store: Store, clock: FakeClock) -> None:
    run = await begin(store)
    old = await lease(store, run)
    ready = await advanced(store, old.token, run, RunState.READY)
    await store.intend(old.token, an_intent(ready), agreeing, Intending(ready, old.token))
    acting = await store.run(run.id)
    assert acting is not None
    clock.advance(TTL.total_seconds())
    new = await lease(store, acting, ME)
    lost = RunChange(to(acting, RunState.PROBING), RunState.ACTING)
    assert await store.advance(old.token, lost) is Refused.LEASE_LOST
    assert await store.advance(new.token, lost) is None


async def test_a_change_that_fails_halfway_leaves_nothing_of_itself(store: Store, clock: FakeClock) -> None:
    """The run and its attempt are written before the event that can't be."""
    run = await begin(store)
    held = await lease(store, run)
    attempt = an_attempt(run, held.token, clock.wall())
    unspeakable = Event(EventKind.RUN_LEASED, clock.wall(), {"what": object()}, run=run.id)
    change = RunChange(to(run, RunState.READY), run.state, attempt, events=(unspeakable,))
    with pytest.raises(TypeError, match="object"):
        await store.advance(held.token, change)
    assert await store.run(run.id) == run
    assert await store.attempt_in_doubt(run.id) is None
    assert (await store.run_row(run.id))[0].events == ()


async def test_no_run_is_cancelled_from_under_an_episode_that_joined_it(store: Store) -> None:
    """Meanwhile another alert joined, and nobody would decide that one again."""
    ready, held = await readied(store)
    cancelled = RunChange(to(ready, RunState.CANCELLED, await store.now()), RunState.READY)
    assert await store.advance(held.token, cancelled) is Refused.MOVED
    await take(store, an_alert("of-r-1", firing=False))
    assert await store.advance(held.token, cancelled) is None


async def test_the_view_of_an_intent_says_whether_an_alert_of_the_run_still_fires(store: Store) -> None:
    run = await begin(store)
    assert (await store.view(run)).firing
    await take(store, an_alert("of-r-1", firing=False))
    assert not (await store.view(run)).firing


async def test_an_intent_sees_the_runs_of_its_rules_earlier_names(store: Store) -> None:
    earlier = await begin(store, "r-0", rule="old")
    run = await begin(store, "r-1", rule="new")
    held = await lease(store, run)
    ready = await advanced(store, held.token, run, RunState.READY)
    seen: list[GuardView] = []

    def ask(_request: IntentRequest, view: GuardView) -> Verdict:
        seen.append(view)
        return NO

    for was in (("old",), ()):
        await store.intend(held.token, an_intent(ready, was=was), ask, Intending(ready, held.token))
    assert seen[0].unfinished is not None
    assert seen[0].unfinished.id == earlier.id
    assert seen[1].unfinished is None
