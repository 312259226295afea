"""What rules have counted: exact at its window's end, after a restart, and however many decide at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.core.alerts import Alert
from remediator.core.changes import Decided, DecisionRequest
from remediator.core.decide import Decision, DecisionKind, decide
from remediator.core.episodes import Episode
from remediator.core.guards import GuardView, Question
from remediator.core.ids import RunId
from remediator.core.ports.store import Store, Topic
from remediator.core.reasons import Reason
from remediator.core.retention import Shelf
from remediator.core.rules import AlertTrigger, Count, Mode, Rule, Rulebook, Step
from remediator.core.runs import RunState
from remediator.core.templates import TargetTemplate
from remediator.core.triggers import place_of
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.postgres import PostgresBackend
from tests.store.values import BOOK, CART, CLAIM, a_run, advanced, an_alert, due, lease, take

WITHIN = timedelta(minutes=5)


def counting(at_least: int = 2, *, firing_for: timedelta = timedelta(0), **given: object) -> Rule:
    trigger = AlertTrigger((), firing_for, Count(at_least, WITHIN, ("job",)))
    steps = (Step("undo", "kubernetes.rollout_undo"),)
    return Rule(**{"name": "rule", "trigger": trigger, "target": TargetTemplate(()), "steps": steps, **given})  # type: ignore[arg-type]  # a rule's own


def asking(episode: Episode, rule: Rule) -> Question:
    return Question(rule, CART, Mode.LIVE, (Rulebook(BOOK, (rule,)),), place=place_of(episode, rule))


def a_request(episode: Episode, rule: Rule) -> DecisionRequest:
    lookback = asking(episode, rule).lookback
    run = RunId(f"r-{episode.fingerprint}")
    return DecisionRequest(episode, rule.name, CART, "P1", BOOK, run, lookback=lookback)


async def decided(store: Store, episodes: Sequence[Episode], rule: Rule) -> list[Decision]:
    """What the core decides on these, in one transaction."""

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        made = decide(request.episode, asking(request.episode, rule), view)
        if made.kind is not DecisionKind.RUN:
            return Decided(made)
        return Decided(made, a_run(request.run, request.episode.id, view.now, rule=rule.name))

    requests = [a_request(episode, rule) for episode in episodes]
    return [each.decision for each in await store.decide(requests, judge)]


async def an_alert_now(store: Store, fingerprint: str, job: str, *, firing: bool = True) -> Alert:
    now = await store.now()
    told = an_alert(fingerprint, firing=firing, starts_at=now)
    return replace(told, labels={"alertname": "Down", "job": job}, ends_at=None if firing else now)


async def fire(store: Store, *fingerprints: str, job: str = "cart") -> list[Episode]:
    """Have alerts begin now; gives their new episodes."""
    before = {episode.id for episode in await due(store)}
    await take(store, *[await an_alert_now(store, each, job) for each in fingerprints])
    return [episode for episode in await due(store) if episode.id not in before]


async def resolve(store: Store, fingerprint: str, clock: FakeClock) -> None:
    """Have an alert end, after a moment."""
    clock.advance(1)
    await take(store, await an_alert_now(store, fingerprint, "cart", firing=False))
    clock.advance(1)


async def settle(store: Store, rule: Rule) -> list[DecisionKind]:
    """Decide on all that is due."""
    return [each.kind for each in await decided(store, await due(store), rule)]


def kinds(decisions: Sequence[Decision]) -> list[str]:
    return [f"{each.kind.value} {each.reason.value}" for each in decisions]


async def test_too_few_wait_and_the_last_that_is_needed_has_the_others_decided_at_once(
    store: Store, clock: FakeClock
) -> None:
    rule = counting(3)
    for number in range(2):
        (first,) = await decided(store, await fire(store, f"f{number}"), rule)
        assert (first.reason, first.detail) == (Reason.COUNT, f"{number + 1} of 3 within 5m (job=cart)")
        clock.advance(1)
    assert await due(store) == []
    last = await fire(store, "f2")
    assert kinds(await decided(store, last, rule)) == ["run matched"]
    waiting = await due(store)
    assert [episode.fingerprint for episode in waiting] == ["f0", "f1"]
    assert kinds(await decided(store, waiting, rule)) == ["join joined", "join joined"]
    assert {each.fingerprint for each in await store.episodes_of(RunId("r-f2"))} == {"f0", "f1", "f2"}
    (row,) = await store.run_row("r-f2")
    assert kinds([made.decision for made in row.decisions]) == [
        *["defer count"] * 2,
        "run matched",
        *["join joined"] * 2,
    ]
    clock.advance(3600)
    assert await due(store) == []


async def test_who_waits_for_work_hears_of_it_when_there_are_enough(store: Store) -> None:
    await decided(store, await fire(store, "f0"), counting())
    last = await fire(store, "f1")
    await store.wait(Topic.EPISODES, timedelta(0))
    await decided(store, last, counting())
    async with asyncio.timeout(10):
        await store.wait(Topic.EPISODES, timedelta(seconds=60))


async def test_those_that_come_together_are_counted_before_the_first_is_decided(store: Store) -> None:
    episodes = await fire(store, "f0", "f1", "f2")
    assert kinds(await decided(store, episodes, counting(3))) == ["run matched", *["join joined"] * 2]


@pytest.mark.parametrize("inside", [True, False])
async def test_the_window_is_over_at_its_very_end(store: Store, clock: FakeClock, *, inside: bool) -> None:
    """Both for the one that waits, and for the other that would have made them enough."""
    rule = counting()
    (first,) = await fire(store, "f0")
    await decided(store, [first], rule)
    clock.advance(WITHIN.total_seconds() - inside * 0.000_001)
    assert (await due(store) == []) is inside
    (second,) = await fire(store, "f1")
    (made,) = await decided(store, [second], rule)
    assert made.kind is (DecisionKind.RUN if inside else DecisionKind.DEFER)
    assert await due(store) == [first]
    (waited,) = await decided(store, [first], rule)
    assert waited.kind is (DecisionKind.JOIN if inside else DecisionKind.DEFER)
    assert waited.too_few is not inside


async def test_who_has_gone_on_is_handed_out_at_once_and_counts_no_more(
    store: Store, clock: FakeClock
) -> None:
    rule = counting()
    await decided(store, await fire(store, "f0"), rule)
    clock.advance(WITHIN.total_seconds() - 1)
    await decided(store, await fire(store, "f1"), counting(3))
    clock.advance(1)
    (first,) = await decided(store, await due(store), counting(3))
    assert first.too_few
    (work,) = await store.undecided(9, CLAIM)
    assert work.episode.fingerprint == "f0"
    assert work.passed == {"rule"}
    assert not work.decided
    assert (await decided(store, await fire(store, "f2"), counting(3)))[0].detail.startswith("2 of 3")


async def test_those_of_another_group_or_rule_are_not_counted(store: Store) -> None:
    await decided(store, await fire(store, "f0", job="other"), counting())
    await decided(store, await fire(store, "f1"), counting(name="another"))
    (made,) = await decided(store, await fire(store, "f2"), counting())
    assert made.detail == "1 of 2 within 5m (job=cart)"


async def test_a_renamed_rule_goes_on_with_its_count(store: Store) -> None:
    await decided(store, await fire(store, "f0"), counting())
    (made,) = await decided(store, await fire(store, "f1"), counting(name="new", was=("rule",)))
    assert made.kind is DecisionKind.RUN


async def test_a_repeat_counts_once_and_so_does_what_fires_again(store: Store, clock: FakeClock) -> None:
    rule = counting()
    (first,) = await fire(store, "f0")
    await decided(store, [first], rule)
    assert await fire(store, "f0") == [], "a repeat is no episode"
    await resolve(store, "f0", clock)
    (again,) = await fire(store, "f0")
    assert again.id != first.id
    (made,) = await decided(store, [again], rule)
    assert made.detail == "1 of 2 within 5m (job=cart)"


async def test_what_has_resolved_counts_for_those_that_fire_but_begins_nothing(
    store: Store, clock: FakeClock
) -> None:
    rule = counting()
    await decided(store, await fire(store, "f0"), rule)
    await resolve(store, "f0", clock)
    (second,) = await fire(store, "f1")
    assert kinds(await decided(store, [second], rule)) == ["run matched"]
    assert kinds(await decided(store, await due(store), rule)) == ["skip resolved"]


async def test_what_resolved_before_it_had_fired_for_long_enough_never_counts(
    store: Store, clock: FakeClock
) -> None:
    rule = counting(firing_for=timedelta(seconds=2))
    (short,), (long,) = await fire(store, "f0"), await fire(store, "f1")
    await resolve(store, "f0", clock)
    clock.advance(2)
    assert kinds(await decided(store, [short], rule)) == ["skip resolved"]
    (made,) = await decided(store, [long], rule)
    assert made.detail == "1 of 2 within 5m (job=cart)"


async def test_a_run_uses_up_what_was_counted(store: Store, clock: FakeClock) -> None:
    """What it did not act on counts no more for what comes after it."""
    rule = counting(3)
    await decided(store, await fire(store, "f0", "f1", "f2"), rule)
    (run,) = (row.run for row in await store.run_row("r-"))
    joining = await fire(store, "f3")
    assert kinds(await decided(store, joining, rule)) == ["join joined"]
    held = await lease(store, run)
    await advanced(store, held.token, run, RunState.REFUSED)
    clock.advance(1)
    (made,) = await decided(store, await fire(store, "f4"), rule)
    assert made.detail == "1 of 3 within 5m (job=cart)"


async def test_a_waiting_group_survives_a_restart(backend: Backend, clock: FakeClock) -> None:
    store = backend.make()
    await store.open()
    await decided(store, await fire(store, "f0"), counting())
    await store.close()
    clock.advance(WITHIN.total_seconds() - 1)
    store = backend.make()
    await store.open()
    assert kinds(await decided(store, await fire(store, "f1"), counting())) == ["run matched"]
    assert await settle(store, counting()) == [DecisionKind.JOIN]
    await store.close()


async def test_of_many_that_decide_on_the_last_episode_at_once_exactly_one_begins_the_run(
    backend: Backend, clock: FakeClock
) -> None:
    """Each contender decides on one episode of the group, all at the same time, while the alerts repeat."""
    stores = [backend.make()]
    await stores[0].open()
    if isinstance(backend, PostgresBackend):
        stores += [backend.make(), backend.make()]
        await asyncio.gather(*(store.open() for store in stores[1:]))
    rule = counting(5)
    for turn in range(6):
        clock.advance(3600)
        job = f"job-{turn}"
        episodes = await fire(stores[0], *(f"f{turn}-{number}" for number in range(5)), job=job)
        repeats = [await an_alert_now(stores[0], episode.fingerprint, job) for episode in episodes]
        repeating = asyncio.ensure_future(take(stores[0], *repeats))
        made = await asyncio.gather(
            *(
                decided(stores[number % len(stores)], [episode], rule)
                for number, episode in enumerate(reversed(episodes))
            )
        )
        await repeating
        assert Counter(kinds([each for (each,) in made])) == {"defer count": 4, "run matched": 1}
        for store in stores:
            await settle(store, rule)
        (row,) = await stores[0].run_row(f"r-f{turn}-")
        assert {episode.id for episode in row.episodes} == {episode.id for episode in episodes}
        held = await lease(stores[0], row.run)
        await advanced(stores[0], held.token, row.run, RunState.REFUSED)
    for store in stores:
        await store.close()


async def test_what_was_counted_goes_with_its_episode(store: Store, clock: FakeClock) -> None:
    await decided(store, await fire(store, "f0"), counting())
    await resolve(store, "f0", clock)
    clock.advance(WITHIN.total_seconds())
    assert kinds(await decided(store, await due(store), counting())) == ["skip resolved"]
    day = timedelta(days=1)
    clock.advance(2 * day.total_seconds())
    await store.prune(Shelf.DECISIONS, day, 0, 9)
    await fire(store, "the latest, which stays")
    assert (await store.prune(Shelf.EPISODES, day, 0, 9)).rows == 1
    (made,) = await decided(store, await fire(store, "f1"), counting())
    assert made.detail == "1 of 2 within 5m (job=cart)"


async def test_who_only_looks_sees_what_is_counted_and_adds_nothing(store: Store) -> None:
    rule = counting()
    (first,) = await fire(store, "f0")
    asked = a_request(first, rule)
    looking = a_run("r-none", first.id, await store.now())
    assert (await store.view(looking, asked.lookback)).standing is None
    await decided(store, [first], rule)
    standing = (await store.view(looking, asked.lookback)).standing
    assert standing is not None
    assert (standing.seen, standing.enough_at) == (1, None)
    assert standing.over_at == first.first_seen + WITHIN
