"""Requests for approval: kept with the run, answered once, by whoever is first and in time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from remediator.core.approvals import (
    Answer,
    How,
    Objection,
    Obstacle,
    Settled,
    settle,
)
from remediator.core.changes import Decided, DecisionRequest, Refused, RunChange, RunRow
from remediator.core.decide import Decision, DecisionKind
from remediator.core.events import EventKind
from remediator.core.guards import GuardView
from remediator.core.ids import RunId
from remediator.core.notices import Lane
from remediator.core.ports.store import Store
from remediator.core.reasons import Reason
from remediator.core.rules import Mode
from remediator.core.runs import RunState
from tests.store.asking import WITHIN, a_request_of, answering, ask
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import (
    CLAIM,
    NODE,
    Intending,
    a_request,
    advanced,
    agreeing,
    an_alert,
    an_episode,
    an_intent,
    begin,
    lease,
    skipping,
    take,
    to,
)


def says(who: str = "ada", *, granted: bool = True) -> Answer:
    return Answer(granted, who, "why nöt", How.SLACK)


async def test_a_request_is_kept_with_its_run_and_found_among_those_that_wait(
    store: Store, clock: FakeClock
) -> None:
    first, second = await begin(store), await begin(store, "r-2", target=NODE)
    asked_second = await ask(store, second)
    clock.advance(1)
    asked_first = await ask(store, first)
    waiting = await store.asking()
    assert [(one.run.id, one.approval) for one in waiting] == [
        (second.id, asked_second),
        (first.id, asked_first),
    ]
    assert (await store.run_row(first.id))[0].approvals == (asked_first,)
    backlog = await store.backlog()
    assert (backlog.asking, backlog.next_lapse) == (2, asked_second.until)


async def test_without_requests_nobody_waits(store: Store) -> None:
    run = await begin(store)
    assert (await store.run_row(run.id))[0].approvals == ()
    assert await store.asking() == []
    backlog = await store.backlog()
    assert (backlog.asking, backlog.next_lapse) == (0, None)


async def test_a_grant_is_written_with_all_that_belongs_to_it(store: Store, clock: FakeClock) -> None:
    run = await begin(store)
    asked = await ask(store, run)
    clock.advance(5)
    change = await store.answer(run.id, answering(says()))
    assert isinstance(change, RunChange)
    expected = settle(asked, Settled.GRANTED, clock.wall(), who="ada", why="why nöt", how=How.SLACK)
    assert change.approval == expected
    (row,) = await store.run_row(run.id)
    assert row.approvals == (expected,)
    assert row.run == change.run
    assert row.run.state is RunState.PENDING
    assert row.events[-1].kind is EventKind.RUN_APPROVED
    assert len(await store.due_envelopes(Lane.REPORTS, 5, CLAIM)) == 1
    assert await store.asking() == []
    assert await store.runnable(5) == [run.id]


async def test_a_denial_ends_the_run(store: Store) -> None:
    run = await begin(store)
    await ask(store, run)
    change = await store.answer(run.id, answering(says(granted=False)))
    assert isinstance(change, RunChange)
    assert (await store.run_row(run.id))[0].run.state is RunState.REFUSED
    assert await store.runnable(5) == []


@pytest.mark.parametrize("others", [says("sam"), says("sam", granted=False)])
async def test_of_many_who_answer_at_once_one_is_first_and_the_others_are_told(
    store: Store, others: Answer
) -> None:
    run = await begin(store)
    await ask(store, run)
    answers = [says(f"ada-{n}") if n % 2 else replace(others, who=f"sam-{n}") for n in range(12)]
    found = await asyncio.gather(*(store.answer(run.id, answering(answer)) for answer in answers))
    (won,) = [one for one in found if isinstance(one, RunChange)]
    assert won.approval is not None
    lost = [one for one in found if isinstance(one, Objection)]
    assert len(lost) == 11
    assert {one.obstacle for one in lost} == {Obstacle.ANSWERED}
    assert all(won.approval.outcome in one.detail for one in lost)
    (row,) = await store.run_row(run.id)
    assert row.approvals == (won.approval,)
    assert [event.data["who"] for event in row.events if event.kind is EventKind.RUN_APPROVED] == [
        won.approval.who
    ]


@pytest.mark.parametrize(("left", "granted"), [(0.000_001, True), (0, False)])
async def test_it_may_be_answered_until_its_very_end(
    store: Store, clock: FakeClock, left: float, *, granted: bool
) -> None:
    run = await begin(store)
    await ask(store, run)
    clock.advance(WITHIN.total_seconds() - left)
    found = await store.answer(run.id, answering(says()))
    assert isinstance(found, RunChange if granted else Objection)
    if isinstance(found, Objection):
        assert found.obstacle is Obstacle.TOO_LATE
        assert (await store.run(run.id)) == (await store.asking())[0].run


async def test_who_waits_is_left_alone_until_it_lapses(store: Store, clock: FakeClock) -> None:
    run = await begin(store)
    assert await store.runnable(5) == [run.id]
    await ask(store, run)
    assert await store.runnable(5) == []
    clock.advance(WITHIN.total_seconds() - 0.000_001)
    assert await store.runnable(5) == []
    clock.advance(0.000_001)
    assert await store.runnable(5) == [run.id]


async def test_who_waits_is_taken_up_once_none_of_its_alerts_fires(store: Store) -> None:
    run = await begin(store)
    await ask(store, run)
    joined = await an_episode(store, "more")

    def joining(_request: DecisionRequest, view: GuardView) -> Decided:
        assert view.unfinished is not None
        return Decided(Decision(DecisionKind.JOIN, Reason.JOINED, run=view.unfinished.id))

    await store.decide([a_request(joined)], joining)
    await take(store, an_alert("of-r-1", firing=False))
    assert await store.runnable(5) == []
    await take(store, an_alert("more", firing=False))
    assert await store.runnable(5) == [run.id]


async def test_who_waits_takes_nobodys_place_and_who_was_granted_does(store: Store) -> None:
    run = await begin(store, mode=Mode.APPROVE)
    assert await _parallel_seen(store) == 1
    await ask(store, run)
    assert await _parallel_seen(store) == 0
    await store.answer(run.id, answering(says()))
    assert await _parallel_seen(store) == 1


async def _parallel_seen(store: Store) -> int:
    """How many act or are about to, as a decision on another target sees it."""
    episode = await an_episode(store, f"looks-{len(await store.decisions(99))}")
    seen: list[int] = []

    def looking(request: DecisionRequest, view: GuardView) -> Decided:
        seen.append(view.parallel)
        return skipping(request, view)

    await store.decide([a_request(episode, "other", target=NODE)], looking)
    return seen[0]


async def test_an_approved_run_counts_with_its_slot(store: Store) -> None:
    run = await begin(store, mode=Mode.APPROVE)
    held = await lease(store, run)
    ready = await advanced(store, held.token, run, RunState.READY)
    await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    other = await begin(store, "r-other", rule="other", target=NODE)
    assert (await store.view(other)).parallel == 1


async def test_the_guards_see_the_latest_request_of_the_asking_run_alone(store: Store) -> None:
    run, other = await begin(store), await begin(store, "r-2", target=NODE)
    await ask(store, run)
    assert (await store.view(other)).approval is None
    await store.answer(run.id, answering(says()))
    granted = (await store.view(run)).approval
    assert granted is not None
    assert granted.granted
    pending = await store.run(run.id)
    assert pending is not None
    second = await ask(store, pending, number=2)
    assert (await store.view(run)).approval == second


async def test_a_run_has_one_open_request(store: Store) -> None:
    run = await begin(store)
    await ask(store, run)
    waiting = (await store.asking())[0].run
    again = RunChange(waiting, RunState.ASKING, approval=a_request_of(run, await store.now(), 2))
    with pytest.raises(Exception, match="refused"):
        await store.advance(None, again)
    assert len((await store.run_row(run.id))[0].approvals) == 1


async def test_a_request_outlives_a_restart(backend: Backend) -> None:
    store = backend.make()
    await store.open()
    run = await begin(store)
    asked = await ask(store, run)
    await store.close()
    store = backend.make()
    await store.open()
    assert [one.approval for one in await store.asking()] == [asked]
    assert isinstance(await store.answer(run.id, answering(says())), RunChange)
    await store.close()


async def test_who_waits_for_people_may_leave_without_a_lease_and_only_untouched(store: Store) -> None:
    run = await begin(store)
    await ask(store, run)
    waiting = (await store.asking())[0].run
    ready = RunChange(to(waiting, RunState.READY), RunState.ASKING)
    assert await store.advance(None, ready) is Refused.LEASE_LOST
    cancelled = RunChange(to(waiting, RunState.CANCELLED, await store.now()), RunState.ASKING)
    assert await store.advance(None, cancelled) is Refused.MOVED
    await take(store, an_alert("of-r-1", firing=False))
    assert await store.advance(None, cancelled) is None


async def test_a_run_that_is_not_there_is_judged_by_nobody(store: Store) -> None:
    def never(_row: RunRow, _now: datetime) -> None:
        raise AssertionError

    assert await store.answer(RunId("r-nobody"), never) is None


async def test_an_answer_that_is_not_to_be_written_changes_nothing(store: Store) -> None:
    run = await begin(store)
    await ask(store, run)
    before = await store.run_row(run.id)
    assert await store.answer(run.id, lambda _row, _now: None) is None

    def raising(_row: RunRow, _now: datetime) -> None:
        message = "planted"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="planted"):
        await store.answer(run.id, raising)
    assert await store.run_row(run.id) == before
