"""Rows that can't be read: damaged ones, and such as a newer version writes. None stops the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from remediator.core.changes import Decided, DecisionRequest, RunChange, RunFilter
from remediator.core.decide import Decision, DecisionKind
from remediator.core.events import Event, EventKind
from remediator.core.guards import GuardView, PauseScope, Quarantine
from remediator.core.ids import RulebookHash, RunId
from remediator.core.notices import Call, Lane
from remediator.core.ports.channels import RuleFiles
from remediator.core.ports.store import Store, UnreadableRowError
from remediator.core.reasons import Reason
from remediator.core.runs import FINAL, Outcome, RunState
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import (
    CART,
    CLAIM,
    NODE,
    TTL,
    Intending,
    a_request,
    advanced,
    agreeing,
    an_alert,
    an_envelope,
    an_episode,
    an_intent,
    begin,
    due,
    lease,
    running,
    skipping,
    take,
    to,
)


async def met(store: Store) -> list[tuple[str, str, bool]]:
    return [(row.table, row.id, row.newer) for row in await store.unreadable()]


async def aside(store: Store) -> list[str]:
    found = [event for event in await store.events(0, 1000) if event.kind is EventKind.ROW_SET_ASIDE]
    return [f"{event.data['table']} {event.data['id']}" for event in found]


# Webhooks and episodes.


async def test_a_webhook_that_can_not_be_read_is_handed_out_empty_among_the_others(
    store: Store, backend: Backend
) -> None:
    for body in (b"one", b"two", b"three"):
        await store.save_webhook("default", body)
    first, second, third = await store.untaken_webhooks(1 << 20)
    await backend.execute(store, f"UPDATE webhooks SET body = {backend.bytes('0011')} WHERE id = {second.id}")
    assert [each.body for each in await store.untaken_webhooks(1 << 20)] == [b"one", b"", b"three"]
    assert (first.id, third.id) == (second.id - 1, second.id + 1)


async def test_an_episode_that_can_not_be_read_is_set_aside_and_the_others_are_decided(
    store: Store, backend: Backend
) -> None:
    await take(store, *(an_alert(f"f{n}") for n in range(3)))
    await backend.execute(store, "UPDATE episodes SET labels = '{' WHERE fingerprint = 'f1'")
    handed_out = await store.undecided(10, CLAIM)
    assert [work.episode.fingerprint for work in handed_out] == ["f0", "f2"]
    assert [table for table, _, _ in await met(store)] == ["episodes"]
    assert len(await aside(store)) == 1
    await store.decide([a_request(work.episode) for work in handed_out], skipping)
    behind = await store.backlog()
    assert (behind.episodes, behind.oldest_undecided) == (0, None), "it holds no age up"


async def test_an_alert_whose_episode_can_not_be_read_opens_another_when_it_is_told_again(
    store: Store, backend: Backend
) -> None:
    """Its webhook is not lost for it, nor are the other alerts in there."""
    await take(store, an_alert("f0"), an_alert("f1"))
    await backend.execute(store, "UPDATE episodes SET annotations = 'x' WHERE fingerprint = 'f0'")
    await take(store, an_alert("f0"), an_alert("f1"))
    fresh, repeated = sorted(await due(store), key=lambda each: each.fingerprint)
    assert (fresh.repeats, fresh.closed) == (0, None)
    assert repeated.repeats == 1
    assert len(await aside(store)) == 1


async def test_an_episode_that_a_newer_version_closed_is_left_as_it_is(
    store: Store, backend: Backend
) -> None:
    await take(store, an_alert("f0"), an_alert("f1"))
    await backend.execute(store, "UPDATE episodes SET closed = 'dissolved' WHERE fingerprint = 'f0'")
    assert [each.fingerprint for each in await due(store)] == ["f1"]
    assert [newer for _, _, newer in await met(store)] == [True]
    assert await aside(store) == []
    assert (await store.backlog()).episodes == 2, "who knows the word decides it"


async def test_what_nobody_meets_any_more_is_forgotten(
    store: Store, backend: Backend, clock: FakeClock
) -> None:
    await begin(store)
    await backend.execute(store, "UPDATE runs SET state = 'dreaming'")
    assert await store.history(RunFilter()) == []
    assert await met(store) == [("runs", "r-1", True)]
    clock.advance(601)
    assert await met(store) == []


# Runs.


@dataclass(frozen=True, slots=True)
class Damage:
    """A statement that makes a run unreadable, and whether it looks like a newer version's."""

    statement: str
    newer: bool = False


DAMAGED_RUNS = {
    "results": Damage("UPDATE runs SET results = 'x' WHERE id = 'r-bad'"),
    "target": Damage("UPDATE runs SET target = 'nowhere at all' WHERE id = 'r-bad'"),
    "state": Damage("UPDATE runs SET state = 'dreaming' WHERE id = 'r-bad'", newer=True),
    "phase": Damage("UPDATE runs SET phase = 'encore' WHERE id = 'r-bad'", newer=True),
    "reason": Damage("UPDATE runs SET reason = 'boredom' WHERE id = 'r-bad'", newer=True),
}


@pytest.mark.parametrize("what", DAMAGED_RUNS)
async def test_a_run_that_can_not_be_read_hides_no_other_and_holds_up_no_decision(
    store: Store, backend: Backend, what: str
) -> None:
    await begin(store, "r-bad")
    other = await begin(store, "r-other", rule="other", target=NODE)
    await backend.execute(store, DAMAGED_RUNS[what].statement)
    assert [run.id for run in await store.history(RunFilter())] == [other.id]
    assert [row.run.id for row in await store.run_row("r-")] == [other.id]
    with pytest.raises(UnreadableRowError, match="r-bad"):
        await store.run_row("r-bad")
    assert ("runs", "r-bad", DAMAGED_RUNS[what].newer) in await met(store)
    assert await store.runnable(1, [RunId("r-bad")]) == [other.id], "left alone, it takes nobody's place"
    episode = await an_episode(store, "of another")
    third = a_request(episode, "third", target=replace(CART, name="third"), run="r-third")
    (decided,) = await store.decide([third], running)
    assert decided.run is not None


async def test_an_attempt_that_can_not_be_read_makes_its_run_unreadable_and_no_other(
    store: Store, backend: Backend
) -> None:
    """Without it, nobody could tell what has been done."""
    run, other = await begin(store, "r-1"), await begin(store, "r-2", target=NODE)
    held = await lease(store, run)
    ready = await advanced(store, held.token, run, RunState.READY)
    await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    await backend.execute(store, "UPDATE attempts SET params = 'x'")
    with pytest.raises(UnreadableRowError, match="undo"):
        await store.run_row(run.id)
    with pytest.raises(UnreadableRowError):
        await store.attempt_in_doubt(run.id)
    assert (await store.run_row(other.id))[0].run == other


async def test_a_story_goes_without_what_can_not_be_read_of_it(store: Store, backend: Backend) -> None:
    run = await begin(store)
    now = await store.now()
    await store.record(
        [Event(kind, now, run=run.id) for kind in (EventKind.RUN_WAITING, EventKind.RUN_LEASED)]
    )
    await backend.execute(
        store,
        "UPDATE events SET kind = 'run.dreamt' WHERE kind = 'run.waiting'",
        "UPDATE decisions SET decision = '{' WHERE run = 'r-1'",
    )
    (row,) = await store.run_row(run.id)
    assert [event.kind for event in row.events] == [EventKind.RUN_LEASED]
    assert row.decisions == ()
    assert await store.decisions(10) == []
    assert EventKind.RUN_LEASED in [event.kind for event in await store.events(0, 100)]
    assert {table for table, _, _ in await met(store)} == {"events", "decisions"}


async def test_a_decision_about_a_run_that_can_not_be_read_is_the_only_one_that_fails(
    store: Store, backend: Backend
) -> None:
    """What the guards must know of it is not known: nothing is begun there, and all else goes on."""
    await begin(store, "r-bad")
    await backend.execute(store, "UPDATE runs SET state = 'dreaming'")
    same, other = await an_episode(store, "same"), await an_episode(store, "other")
    with pytest.raises(ValueError, match="dreaming"):
        await store.decide([a_request(same, run="r-2")], running)
    (decided,) = await store.decide([a_request(other, "other", target=NODE, run="r-3")], running)
    assert decided.run is not None


# What people and rule files steer.


async def test_a_quarantine_stands_whatever_can_not_be_read_of_it(store: Store, backend: Backend) -> None:
    for id_, target in (("r-1", CART), ("r-2", NODE)):
        run = await begin(store, id_, target=target)
        held = await lease(store, run)
        quarantine = Quarantine(target, run.id, None, "no proof", await store.now())
        ended = to(run, RunState.UNKNOWN, await store.now())
        await store.advance(held.token, RunChange(ended, run.state, quarantine=quarantine))
    await backend.damage_time(store, "quarantines", "at", "run = 'r-1'")
    await backend.execute(store, "UPDATE quarantines SET target = 'no where' WHERE run = 'r-2'")
    assert [each.target for each in await store.quarantines()] == [CART]
    seen = await store.view(await begin(store, "r-3", rule="third"))
    assert [each.target for each in seen.quarantines] == [CART]
    assert await store.clear_quarantine(CART, "looked", "ann")
    assert await store.quarantines() == ()


async def test_a_pause_that_can_not_be_read_stops_everything(store: Store, backend: Backend) -> None:
    """It may be of anything, and a newer version knows of what."""
    await store.pause(PauseScope.RULE, "a", "noise", "ann", None)
    kept = await store.pause(PauseScope.RULE, "b", "noise", "ann", None)
    await backend.execute(store, "UPDATE pauses SET scope = 'moon' WHERE value = 'a'")
    strange, other = await store.pauses()
    assert (strange.scope, strange.who) == (PauseScope.ALL, "ann")
    assert "can't be read" in strange.why
    assert other == kept
    assert await met(store) == [("pauses", str(strange.id), True)]


async def test_a_rulebook_that_can_not_be_read_has_no_files_and_can_be_replaced(
    store: Store, backend: Backend
) -> None:
    files = [RuleFiles({"a.yaml": f"# {n}"}, RulebookHash(str(n) * 64)) for n in range(2)]
    await store.propose_rulebook(files[0], None, forced=False)
    await backend.execute(store, "UPDATE rulebooks SET files = '{'")
    row = await store.active_rulebook()
    assert row is not None
    assert (row.hash, row.active, row.files) == (files[0].hash, True, {})
    assert await met(store) == [("rulebooks", files[0].hash, False)]
    await store.propose_rulebook(files[1], files[0].hash, forced=False)
    row = await store.active_rulebook()
    assert row is not None
    assert row.files == files[1].texts


# Notices and pages.


async def test_a_notice_that_can_not_be_read_is_parked_and_those_behind_it_are_sent(
    store: Store, backend: Backend
) -> None:
    await store.post([an_envelope("one"), an_envelope("two"), an_envelope("three", thread="other")])
    await backend.execute(store, "UPDATE outbox SET envelope = '{' WHERE id = (SELECT min(id) FROM outbox)")
    first = await store.due_envelopes(Lane.REPORTS, 10, CLAIM)
    assert [item.envelope.notice.title for item in first] == ["three"]
    then = await store.due_envelopes(Lane.REPORTS, 10, CLAIM)
    assert [item.envelope.notice.title for item in then] == ["two"]
    assert (await store.backlog()).parked_notices == 1
    assert len(await aside(store)) == 1


async def test_a_notice_of_a_newer_version_is_left_to_it(store: Store, backend: Backend) -> None:
    await store.post([an_envelope("one"), an_envelope("two", thread="other")])
    await backend.execute(
        store,
        "UPDATE outbox SET envelope = replace(envelope, '\"good\"', '\"smug\"')"
        " WHERE id = (SELECT min(id) FROM outbox)",
    )
    items = await store.due_envelopes(Lane.REPORTS, 10, CLAIM)
    assert [item.envelope.notice.title for item in items] == ["two"]
    assert (await store.backlog()).parked_notices == 0
    assert [newer for _, _, newer in await met(store)] == [True]


async def test_what_takes_the_place_of_a_notice_that_can_not_be_read_is_written_with_its_move(
    store: Store, backend: Backend
) -> None:
    """A damaged message must not keep a run from going on."""
    run = await begin(store)
    held = await lease(store, run)
    await store.post([an_envelope("old", key="head")])
    await backend.execute(store, "UPDATE outbox SET envelope = '{'")
    change = RunChange(to(run, RunState.READY), run.state, envelopes=(an_envelope("new", key="head"),))
    assert await store.advance(held.token, change) is None
    (item,) = await store.due_envelopes(Lane.REPORTS, 10, CLAIM)
    assert item.envelope.notice.title == "new"


async def test_a_page_of_a_newer_version_stays_the_one_of_its_thread(store: Store, backend: Backend) -> None:
    """Who calls people for the same thing meanwhile is not held up by it, nor calls them for another."""
    call = replace(an_envelope("page", thread="page:x"), call=Call(RunId("r-1")))
    await store.post([call])
    await backend.execute(store, "UPDATE pages SET notice = replace(notice, '\"good\"', '\"smug\"')")
    await store.post([call, replace(an_envelope("page", thread="page:y"), call=Call(RunId("r-2")))])
    assert [page.thread for page in await store.open_pages()] == ["page:y"]
    assert [newer for _, _, newer in await met(store)] == [True]
    assert await aside(store) == []
    await backend.execute(store, "UPDATE pages SET notice = replace(notice, '\"smug\"', '\"good\"')")
    assert [page.thread for page in await store.open_pages()] == ["page:x", "page:y"]


async def test_a_page_that_can_not_be_read_is_over_and_another_takes_its_place(
    store: Store, backend: Backend
) -> None:
    call = replace(an_envelope("page", thread="page:x"), call=Call(RunId("r-1")))
    await store.post([call, replace(an_envelope("page", thread="page:y"), call=Call(RunId("r-2")))])
    await backend.execute(store, "UPDATE pages SET notice = '{' WHERE thread = 'page:x'")
    assert [page.thread for page in await store.open_pages()] == ["page:y"]
    await store.post([call])
    assert [page.thread for page in await store.open_pages()] == ["page:y", "page:x"]
    await backend.execute(store, "UPDATE pages SET notice = '{' WHERE thread = 'page:y'")
    seen = []
    await store.attend_pages(lambda page, _view: seen.append(page.thread), 10)
    await store.attend_pages(lambda page, _view: seen.append(page.thread), 10)
    assert "page:y" not in [page.thread for page in await store.open_pages()]
    assert len(await aside(store)) == 2


# Runs that nobody can take to their end.

UNFINISHED = [state for state in RunState if state not in FINAL]
OVERDUE = timedelta(minutes=2)


async def in_state(store: Store, state: RunState) -> None:
    """The run r-1 on CART in this state, with an attempt where it has one in doubt, and no lease."""
    run = await begin(store)
    held = await lease(store, run)
    if state not in (RunState.PENDING, RunState.ASKING):
        ready = await advanced(store, held.token, run, RunState.READY)
        if state is not RunState.READY:
            await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
            acting = await store.run(run.id)
            assert acting is not None
            await store.advance(held.token, RunChange(to(acting, state), acting.state))
    elif state is RunState.ASKING:
        await store.advance(held.token, RunChange(to(run, state), run.state))
    await store.release(held)


@pytest.mark.parametrize("damaged", [False, True], ids=["readable", "damaged"])
@pytest.mark.parametrize("state", UNFINISHED)
async def test_a_run_in_any_state_is_ended_once_it_is_overdue_and_not_before(
    store: Store, backend: Backend, clock: FakeClock, state: RunState, *, damaged: bool
) -> None:
    await in_state(store, state)
    if damaged:
        await backend.execute(store, "UPDATE runs SET results = '{'")
    clock.advance((timedelta(minutes=12) + OVERDUE).total_seconds() - 0.000_001)
    assert not await store.abandon(RunId("r-1"), OVERDUE, "nobody could", (an_envelope(),))
    clock.advance(0.000_001)
    assert await store.abandon(RunId("r-1"), OVERDUE, "nobody could", (an_envelope(),))
    untouched = state in (RunState.PENDING, RunState.ASKING)
    kinds = [event.kind for event in await store.events(0, 100) if event.run == "r-1"]
    assert (EventKind.RUN_EXPIRED in kinds, EventKind.RUN_UNKNOWN in kinds) == (untouched, not untouched)
    assert [each.target for each in await store.quarantines()] == ([] if untouched else [CART])
    assert len(await store.due_envelopes(Lane.REPORTS, 9, CLAIM)) == 1
    assert (await store.backlog()).unfinished_runs == 0
    assert await store.runnable(9) == []
    assert not await store.abandon(RunId("r-1"), OVERDUE, "once more")
    if not damaged:
        run = await store.run(RunId("r-1"))
        assert run is not None
        assert run.state is (RunState.EXPIRED if untouched else RunState.UNKNOWN)
        assert (run.ended_at, run.reason) == (clock.wall(), Reason.EXPIRED)
        assert await store.attempt_in_doubt(run.id) is None


async def test_an_attempt_in_doubt_of_an_abandoned_run_is_what_its_quarantine_is_about(
    store: Store, clock: FakeClock
) -> None:
    await in_state(store, RunState.PROBING)
    clock.advance(3600)
    await store.abandon(RunId("r-1"), OVERDUE, "nobody could")
    (row,) = await store.run_row("r-1")
    (held,) = await store.quarantines()
    assert held.attempt == row.attempts[0].id
    assert row.attempts[0].outcome is Outcome.UNKNOWN


async def test_a_run_that_somebody_drives_is_not_abandoned(store: Store, clock: FakeClock) -> None:
    run = await begin(store)
    clock.advance(3600)
    await lease(store, run)
    assert not await store.abandon(run.id, OVERDUE, "nobody could")
    clock.advance(TTL.total_seconds())
    assert await store.abandon(run.id, OVERDUE, "nobody could")


async def test_a_run_in_a_state_of_a_newer_version_is_left_to_it(
    store: Store, backend: Backend, clock: FakeClock
) -> None:
    run = await begin(store)
    await backend.execute(store, "UPDATE runs SET state = 'dreaming'")
    clock.advance(1e6)
    assert not await store.abandon(run.id, OVERDUE, "nobody could")
    assert (await store.backlog()).unfinished_runs == 1


async def test_a_run_whose_target_can_not_be_read_ends_without_a_quarantine(
    store: Store, backend: Backend, clock: FakeClock
) -> None:
    await in_state(store, RunState.VERIFYING)
    await backend.execute(store, "UPDATE runs SET target = 'no where'")
    clock.advance(3600)
    assert await store.abandon(RunId("r-1"), OVERDUE, "nobody could")
    assert await store.quarantines() == ()


async def test_a_live_run_that_can_not_be_read_keeps_no_place_from_others_once_it_is_ended(
    store: Store, backend: Backend, clock: FakeClock
) -> None:
    await in_state(store, RunState.ACTING)
    await backend.execute(store, "UPDATE runs SET results = '{'")
    clock.advance(3600)
    await store.abandon(RunId("r-1"), OVERDUE, "nobody could")
    seen: list[GuardView] = []

    def judge(_request: DecisionRequest, view: GuardView) -> Decided:
        seen.append(view)
        return Decided(Decision(DecisionKind.SKIP, Reason.NO_RULE))

    await store.decide([a_request(await an_episode(store, "x"), target=NODE)], judge)
    assert seen[0].parallel == 0
