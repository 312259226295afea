"""Pauses, quarantines and the active rulebook."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from remediator.core.changes import Proposal, RulebookRow, RunChange
from remediator.core.events import EventKind
from remediator.core.guards import Pause, PauseScope, Quarantine
from remediator.core.ids import RulebookHash
from remediator.core.ports.channels import RuleFiles
from remediator.core.ports.store import Store, Topic
from remediator.core.runs import RunState
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import CART, NODE, an_envelope, begin, lease, to

OLD = RuleFiles({"a.yaml": "rules: []\n", "b/ü.yaml": ""}, RulebookHash("1" * 64))
NEW = RuleFiles({"a.yaml": "rules: [x]\n"}, RulebookHash("2" * 64))


async def kinds(store: Store) -> list[EventKind]:
    return [event.kind for event in await store.events(0, 100)]


async def test_a_pause_holds_until_its_end_exactly(store: Store, clock: FakeClock) -> None:
    pause = await store.pause(PauseScope.ALL, "", "storm", "ann", timedelta(hours=2))
    until = clock.wall() + timedelta(hours=2)
    assert pause == Pause(pause.id, PauseScope.ALL, "", "storm", "ann", clock.wall(), until)
    clock.advance(7199.999_999)
    assert await store.pauses() == (pause,)
    clock.advance(0.000_001)
    assert await store.pauses() == ()


async def test_an_open_ended_pause_outlives_a_restart(backend: Backend, clock: FakeClock) -> None:
    store = backend.make()
    await store.open()
    pause = await store.pause(PauseScope.TARGET, str(CART), "maintenance", "ann", None)
    await store.close()
    clock.advance(1e7)
    store = backend.make()
    await store.open()
    assert await store.pauses() == (pause,)
    await store.close()


async def test_resuming_lifts_the_pauses_of_exactly_that_scope_and_value(
    store: Store, clock: FakeClock
) -> None:
    await store.pause(PauseScope.RULE, "a", "1", "ann", timedelta(seconds=1))
    clock.advance(1)
    await store.pause(PauseScope.RULE, "a", "2", "ann", None)
    await store.pause(PauseScope.RULE, "a", "3", "bob", timedelta(hours=1))
    others = (
        await store.pause(PauseScope.RULE, "b", "4", "ann", None),
        await store.pause(PauseScope.ALL, "", "5", "ann", None),
    )
    assert await store.resume(PauseScope.RULE, "a", "done", "cy") == 2
    assert await store.pauses() == others
    assert await store.resume(PauseScope.RULE, "a", "done", "cy") == 0


async def test_pauses_stack_have_names_and_are_lifted_one_by_one(store: Store) -> None:
    first = await store.pause(PauseScope.ALL, "", "1", "ann", None, "night")
    second = await store.pause(PauseScope.ALL, "", "2", "bob", None)
    assert (first.name, second.name) == ("night", "")
    assert await store.pauses() == (first, second)
    assert await store.lift(first.id, "done", "cy") == first
    assert await store.pauses() == (second,)
    assert await store.lift(first.id, "done", "cy") is None
    assert await store.lift(second.id + 100, "done", "cy") is None
    told = (await store.events(0, 10))[-1]
    assert (told.kind, told.data["why"], told.data["who"]) == (EventKind.AUTOMATION_RESUMED, "done", "cy")
    assert told.data["ids"] == [first.id]


async def test_a_pause_that_is_over_is_not_lifted(store: Store, clock: FakeClock) -> None:
    made = await store.pause(PauseScope.ALL, "", "1", "ann", timedelta(seconds=1))
    clock.advance(1)
    assert await store.lift(made.id, "done", "cy") is None


async def test_of_those_who_would_remind_of_a_pause_the_first_does(store: Store) -> None:
    made = await store.pause(PauseScope.ALL, "", "1", "ann", None)
    told = await asyncio.gather(*(store.remind(made, 2, [an_envelope()]) for _ in range(4)))
    assert sorted(told) == [False, False, False, True]
    assert (await store.backlog()).outbox == 1
    (now,) = await store.pauses()
    assert now.reminded == 2
    assert await store.remind(made, 3, [an_envelope("late")]) is False
    await store.lift(made.id, "done", "cy")
    assert await store.remind(now, 3, [an_envelope("late")]) is False
    assert (await store.backlog()).outbox == 1


async def test_who_paused_and_resumed_and_why_is_told(store: Store) -> None:
    await store.pause(PauseScope.RULE, "a", "noise", "ann", None)
    await store.resume(PauseScope.RULE, "a", "quiet", "bob")
    paused, resumed = await store.events(0, 10)
    assert (paused.kind, paused.rule) == (EventKind.AUTOMATION_PAUSED, "a")
    assert (paused.data["who"], paused.data["why"]) == ("ann", "noise")
    assert (resumed.kind, resumed.rule) == (EventKind.AUTOMATION_RESUMED, "a")
    assert (resumed.data["who"], resumed.data["why"]) == ("bob", "quiet")


async def quarantined(store: Store, clock: FakeClock, id_: str, why: str) -> Quarantine:
    run = await begin(store, id_)
    held = await lease(store, run)
    quarantine = Quarantine(CART, run.id, None, why, clock.wall())
    ended = to(run, RunState.UNKNOWN, clock.wall())
    await store.advance(held.token, RunChange(ended, run.state, quarantine=quarantine))
    return quarantine


async def test_a_quarantine_stands_without_end_until_a_named_person_clears_it(
    store: Store, clock: FakeClock
) -> None:
    quarantine = await quarantined(store, clock, "r-1", "no proof")
    clock.advance(1e8)
    assert await store.quarantines() == (quarantine,)
    seen = await store.view(await begin(store, "r-2"))
    assert seen.quarantines == (quarantine,)
    assert (await store.view(await begin(store, "r-3", target=NODE))).quarantines == seen.quarantines
    assert await store.clear_quarantine(CART, "looked", "ann") is True
    assert await store.quarantines() == ()
    told = (await store.events(0, 100))[-1]
    assert (told.kind, told.target, told.run) == (EventKind.TARGET_CLEARED, str(CART), quarantine.run)
    assert (told.data["who"], told.data["why"]) == ("ann", "looked")


async def test_clearing_what_is_not_quarantined_says_so_and_tells_nothing(store: Store) -> None:
    assert await store.clear_quarantine(CART, "looked", "ann") is False
    assert await store.events(0, 10) == []


async def test_the_latest_reason_of_a_quarantine_is_the_one_shown(store: Store, clock: FakeClock) -> None:
    await quarantined(store, clock, "r-1", "first")
    clock.advance(1)
    second = await quarantined(store, clock, "r-2", "second")
    assert await store.quarantines() == (second,)


async def test_the_first_rulebook_becomes_active(store: Store, clock: FakeClock) -> None:
    assert (await store.active_hash(), await store.active_rulebook()) == (None, None)
    assert await store.propose_rulebook(OLD, None, forced=False) is Proposal.ACTIVATED
    row = RulebookRow(OLD.hash, clock.wall(), active=True, files=OLD.texts)
    assert (await store.active_hash(), await store.active_rulebook()) == (OLD.hash, row)
    assert await store.rulebook(OLD.hash) == row
    assert await store.rulebook(NEW.hash) is None
    assert await kinds(store) == [EventKind.RULEBOOK_ACTIVATED]


@pytest.mark.parametrize("forced", [False, True])
async def test_the_active_rulebook_again_changes_nothing(store: Store, *, forced: bool) -> None:
    await store.propose_rulebook(OLD, None, forced=False)
    for expected in (None, OLD.hash, NEW.hash):
        assert await store.propose_rulebook(OLD, expected, forced=forced) is Proposal.UNCHANGED
    assert await kinds(store) == [EventKind.RULEBOOK_ACTIVATED]


async def test_one_that_was_replaced_is_drift_at_boot_and_never_flips_back(store: Store) -> None:
    await store.propose_rulebook(OLD, None, forced=False)
    assert await store.propose_rulebook(NEW, OLD.hash, forced=False) is Proposal.ACTIVATED
    assert await store.propose_rulebook(OLD, NEW.hash, forced=False) is Proposal.DRIFTED
    active = await store.active_rulebook()
    assert active is not None
    assert active.hash == NEW.hash
    assert (await kinds(store))[-1] is EventKind.RULEBOOK_DRIFTED


async def test_a_person_may_go_back(store: Store, clock: FakeClock) -> None:
    first_seen = clock.wall()
    await store.propose_rulebook(OLD, None, forced=False)
    await store.propose_rulebook(NEW, OLD.hash, forced=False)
    clock.advance(60)
    assert await store.propose_rulebook(OLD, NEW.hash, forced=True) is Proposal.ACTIVATED
    assert await store.active_hash() == OLD.hash
    assert await store.active_rulebook() == RulebookRow(OLD.hash, first_seen, active=True, files=OLD.texts)
    replaced = await store.rulebook(NEW.hash)
    assert replaced is not None
    assert not replaced.active


@pytest.mark.parametrize("forced", [False, True])
async def test_one_that_was_to_replace_another_than_the_active_is_overtaken(
    store: Store, *, forced: bool
) -> None:
    """Whoever proposed it looked at something that is in force no more."""
    await store.propose_rulebook(OLD, None, forced=False)
    await store.propose_rulebook(NEW, OLD.hash, forced=False)
    late = RuleFiles({"a.yaml": "rules: [y]\n"}, RulebookHash("3" * 64))
    assert await store.propose_rulebook(late, OLD.hash, forced=forced) is Proposal.OVERTAKEN
    active = await store.active_rulebook()
    assert active is not None
    assert active.hash == NEW.hash
    assert (await store.events(0, 100))[-1].data["proposal"] == "overtaken"
    assert await store.propose_rulebook(late, NEW.hash, forced=False) is Proposal.DRIFTED, (
        "a restart flips nothing"
    )
    assert await store.propose_rulebook(late, NEW.hash, forced=True) is Proposal.ACTIVATED


async def test_a_rulebook_put_in_force_wakes_who_follows_it(store: Store) -> None:
    waiting = asyncio.create_task(store.wait(Topic.RULEBOOK, timedelta(seconds=30)))
    await asyncio.sleep(0)
    await store.propose_rulebook(OLD, None, forced=False)
    async with asyncio.timeout(5):
        await waiting


async def test_proposing_what_is_active_mends_a_damaged_copy_of_it(store: Store, backend: Backend) -> None:
    await store.propose_rulebook(OLD, None, forced=False)
    await backend.execute(store, "UPDATE rulebooks SET files = '{}'")
    assert await store.propose_rulebook(OLD, OLD.hash, forced=False) is Proposal.UNCHANGED
    row = await store.active_rulebook()
    assert row is not None
    assert row.files == OLD.texts
