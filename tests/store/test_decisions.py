"""What is due to be decided, and what a decision entails."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.core.changes import Decided, DecisionRequest
from remediator.core.checks import CheckAnswer, Fact, Said
from remediator.core.decide import Decision, DecisionKind
from remediator.core.episodes import Closed
from remediator.core.events import Event, EventKind
from remediator.core.guards import Answer, Guard, GuardAnswer, GuardView, Lookback, PauseScope
from remediator.core.ids import RunId
from remediator.core.notices import Lane
from remediator.core.ports.store import Store
from remediator.core.reasons import Reason
from remediator.core.rules import Expect, Mode
from remediator.core.runs import RunState
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import (
    CART,
    CLAIM,
    NO_CLAIM,
    NODE,
    a_request,
    advanced,
    an_alert,
    an_envelope,
    an_episode,
    begin,
    deferring,
    due,
    lease,
    running,
    skipping,
    take,
)

NAMES = Lookback(frozenset({"new", "old", "older"}))


async def test_new_episodes_are_handed_out_oldest_first(store: Store) -> None:
    await take(store, *(an_alert(f"f{n}") for n in range(5)))
    work = await store.undecided(3, CLAIM)
    assert [w.episode.fingerprint for w in work] == ["f0", "f1", "f2"]
    assert [w.episode.fingerprint for w in await store.undecided(3, CLAIM)] == ["f3", "f4"]


async def test_a_claim_ends_at_its_end_and_not_before(store: Store, clock: FakeClock) -> None:
    await take(store, an_alert())
    (work,) = await store.undecided(9, CLAIM)
    clock.advance(CLAIM.total_seconds() - 0.000_001)
    assert await store.undecided(9, CLAIM) == []
    clock.advance(0.000_001)
    assert await store.undecided(9, CLAIM) == [work]


async def test_a_skip_is_final(store: Store) -> None:
    episode = await an_episode(store)
    await store.decide([a_request(episode)], skipping)
    assert await due(store) == []


async def test_a_deferral_comes_back_at_its_time_at_once_even_if_claimed(
    store: Store, clock: FakeClock
) -> None:
    await take(store, an_alert())
    (work,) = await store.undecided(9, timedelta(hours=1))
    later = clock.wall() + timedelta(seconds=2)
    await store.decide([a_request(work.episode)], lambda _r, _v: Decided(deferring(later)))
    clock.advance(1.999_999)
    assert await due(store) == []
    clock.advance(0.000_001)
    assert await due(store) == [work.episode]


async def test_an_episode_with_one_deferral_waits_for_it_and_tells_which_rules_are_done(
    store: Store, clock: FakeClock
) -> None:
    episode = await an_episode(store)
    soon, later = (clock.wall() + timedelta(seconds=s) for s in (2, 5))
    answers = {"a": None, "b": later, "c": soon}

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        wait = answers[request.rule]
        return skipping(request, view) if wait is None else Decided(deferring(wait))

    await store.decide([a_request(episode, rule, last=rule == "c") for rule in "abc"], judge)
    clock.advance(2)
    (work,) = await store.undecided(9, CLAIM)
    assert work.decided == {"a"}


async def test_an_episode_that_waits_for_facts_is_handed_out_to_who_asks_for_such_alone(
    backend: Backend, clock: FakeClock
) -> None:
    store = backend.make()
    await store.open()
    await take(store, *(an_alert(f"f{n}") for n in range(4)))
    first, second, *_ = await store.undecided(3, CLAIM)
    behind = await store.backlog()
    await store.wait_for_facts([second.episode.id, first.episode.id])
    assert await store.backlog() == behind, "it is due as before"
    assert await store.undecided(9, CLAIM, for_facts=True) == [first, second]
    assert await store.undecided(9, CLAIM, for_facts=True) == []
    clock.advance(CLAIM.total_seconds())
    assert [work.episode.fingerprint for work in await store.undecided(9, NO_CLAIM)] == ["f2", "f3"]
    await store.close()
    store = backend.make()
    await store.open()
    assert await store.undecided(9, NO_CLAIM, for_facts=True) == [first, second], "also after a restart"
    await store.decide([a_request(second.episode)], lambda _r, _v: Decided(deferring(clock.wall())))
    await store.decide([a_request(first.episode)], skipping)
    assert await store.undecided(9, NO_CLAIM, for_facts=True) == []
    assert [work.episode.fingerprint for work in await store.undecided(9, NO_CLAIM)] == ["f1", "f2", "f3"]
    await store.close()


async def test_a_decision_is_kept_with_its_facts_and_answers(store: Store, clock: FakeClock) -> None:
    episode = await an_episode(store)
    fact = Fact(
        "kubernetes.rolled_out_within",
        {"window": "1h", "deep": {"n": [1, None]}},
        Expect.YES,
        CheckAnswer(Said.YES, "rolled out 3m ago", {"revision": 7}),
        clock.wall(),
    )
    decision = Decision(
        DecisionKind.SKIP,
        Reason.COOLDOWN,
        "too soon",
        mode=Mode.LIVE,
        report=True,
        page=True,
        answers=(GuardAnswer(Guard.COOLDOWN, Answer.REFUSES, "3m ago", Reason.COOLDOWN),),
    )
    request = a_request(episode, target=NODE)
    wanted = DecisionRequest(episode, "rule", NODE, "P1", request.rulebook, RunId("r-x"), facts=(fact, fact))
    await store.decide([wanted], lambda _r, _v: Decided(decision))
    (row,) = await store.decisions(10)
    assert (row.episode, row.rule, row.target, row.at) == (episode.id, "rule", str(NODE), clock.wall())
    assert row.decision == decision
    assert row.facts == (fact, fact)


async def test_a_run_decision_creates_the_run_and_a_join_joins_it(store: Store) -> None:
    first, second = await an_episode(store, "f1"), await an_episode(store, "f2")
    events = (Event(EventKind.RUN_CREATED, first.first_seen, run=RunId("r-1")),)

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        if view.unfinished is None:
            made = running(request, view)
            return Decided(made.decision, made.run, events, (an_envelope(),))
        return Decided(Decision(DecisionKind.JOIN, Reason.JOINED, run=view.unfinished.id))

    decided = await store.decide([a_request(first, run="r-1"), a_request(second, run="r-2")], judge)
    assert [d.decision.kind for d in decided] == [DecisionKind.RUN, DecisionKind.JOIN]
    run = decided[0].run
    assert run is not None
    assert await store.run(run.id) == run
    assert await store.run(RunId("r-2")) is None
    assert await store.episodes_of(run.id) == (first, second)
    assert EventKind.RUN_CREATED in {event.kind for event in await store.events(0, 100)}
    assert len(await store.due_envelopes(Lane.REPORTS, 10, CLAIM)) == 1
    assert await store.runnable(10) == [run.id]


async def test_later_requests_see_the_runs_of_earlier_ones_in_parallel(store: Store) -> None:
    await take(store, *(an_alert(f"f{n}") for n in range(4)))
    seen: list[int] = []

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        seen.append(view.parallel)
        return running(request, view, Mode.OBSERVE if request.rule == "watch" else Mode.LIVE)

    rules = ("a", "watch", "b", "c")
    requests = [
        a_request(episode, rule, run=f"r-{rule}")
        for rule, episode in zip(rules, await due(store), strict=True)
    ]
    await store.decide(requests, judge)
    assert seen == [0, 1, 1, 2]


async def test_runs_that_wait_for_their_slot_count_for_decisions_until_they_end(store: Store) -> None:
    run = await begin(store, "r-1")
    await begin(store, "r-2", mode=Mode.OBSERVE, rule="watch")
    seen: list[int] = []

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        seen.append(view.parallel)
        return skipping(request, view)

    await store.decide([a_request(await an_episode(store, "x"))], judge)
    held = await lease(store, run)
    await advanced(store, held.token, run, RunState.REFUSED)
    await store.decide([a_request(await an_episode(store, "y"))], judge)
    assert seen == [1, 0]


async def test_a_decision_already_made_is_judged_again_and_not_written(store: Store) -> None:
    episode = await an_episode(store)
    request = a_request(episode, run="r-1")
    await store.decide([request], running)
    rows, events = await store.decisions(10), await store.events(0, 100)
    (again,) = await store.decide([a_request(episode, run="r-2")], running)
    assert again.run is not None
    assert await store.run(RunId("r-2")) is None
    assert (await store.decisions(10), await store.events(0, 100)) == (rows, events)
    assert await due(store) == []


async def test_the_same_rule_decides_once_even_within_one_call(store: Store) -> None:
    episode = await an_episode(store)
    await store.decide([a_request(episode, run="r-1", last=False), a_request(episode, run="r-2")], running)
    assert [run.run.id for run in await store.run_row("r-")] == ["r-1"]


async def test_a_deferral_can_be_followed_by_another_and_by_a_final_decision(
    store: Store, clock: FakeClock
) -> None:
    episode = await an_episode(store)
    for _ in range(2):
        await store.decide([a_request(episode)], lambda _r, view: Decided(deferring(view.now)))
    await store.decide([a_request(episode)], skipping)
    kinds = [row.decision.kind for row in await store.decisions(10)]
    assert kinds == [DecisionKind.SKIP, DecisionKind.DEFER, DecisionKind.DEFER]
    clock.advance(3600)
    assert await due(store) == []


async def test_the_judge_sees_the_episode_as_it_is_now(store: Store) -> None:
    """An alert that resolved after its episode was handed out must not begin a run."""
    episode = await an_episode(store)
    await take(store, an_alert(firing=False))
    seen: list[Closed | None] = []

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        seen.append(request.episode.closed)
        return skipping(request, view)

    await store.decide([a_request(episode)], judge)
    assert seen == [Closed.RESOLVED]


async def test_a_judge_that_raises_leaves_nothing(store: Store) -> None:
    first, second = await an_episode(store, "f1"), await an_episode(store, "f2")
    before = await store.events(0, 100)

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        if request.episode.id == second.id:
            message = "planted"
            raise RuntimeError(message)
        return running(request, view)

    with pytest.raises(RuntimeError, match="planted"):
        await store.decide([a_request(first, run="r-1"), a_request(second)], judge)
    assert await store.run(RunId("r-1")) is None
    assert await store.decisions(10) == []
    assert await store.events(0, 100) == before
    assert [episode.id for episode in await due(store)] == [first.id, second.id]


async def test_the_view_holds_what_is_known_of_rule_and_target_and_of_nothing_else(
    store: Store, clock: FakeClock
) -> None:
    ended = await begin(store, "r-1")
    held = await lease(store, ended)
    ended = await advanced(store, held.token, ended, RunState.ACTING)
    clock.advance(1)
    ended = await advanced(store, held.token, ended, RunState.FAILED)
    clock.advance(60)
    idle = await begin(store, "r-2")
    held = await lease(store, idle)
    clock.advance(1)
    idle = await advanced(store, held.token, idle, RunState.REFUSED)
    waiting = await begin(store, "r-3")
    pause = await store.pause(PauseScope.RULE, "other", "why", "ann", None)
    views: dict[tuple[str, str], GuardView] = {}

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        views[request.rule, str(request.target)] = view
        return skipping(request, view)

    episode = await an_episode(store)
    asked = [("rule", CART), ("other", CART), ("rule", NODE), ("", None)]
    await store.decide([a_request(episode, rule, target=on) for rule, on in asked], judge)
    full = views["rule", str(CART)]
    assert full.last_acted is not None
    assert full.last is not None
    assert full.unfinished is not None
    assert (full.last_acted.id, full.last_acted.ended_at) == (ended.id, ended.ended_at)
    assert (full.last_acted.state, full.last_acted.reached_intent) == (RunState.FAILED, True)
    assert (full.last.id, full.last.reached_intent) == (idle.id, False)
    assert (full.unfinished.id, full.unfinished.mode) == (waiting.id, Mode.LIVE)
    for key in (("other", str(CART)), ("rule", str(NODE)), ("", "None")):
        empty = views[key]
        assert (empty.unfinished, empty.last, empty.last_acted) == (None, None, None)
        assert (empty.pauses, empty.parallel, empty.now) == ((pause,), 1, clock.wall())


async def test_a_renamed_rule_sees_the_runs_of_all_its_names(store: Store, clock: FakeClock) -> None:
    """The oldest that is unfinished and the newest that ended, whatever the rule was called then."""
    ended = []
    for number, name in enumerate(("older", "old", "other")):
        run = await begin(store, f"r-{number}", rule=name)
        held = await lease(store, run)
        clock.advance(1)
        acting = await advanced(store, held.token, run, RunState.READY)
        acting = await advanced(store, held.token, acting, RunState.ACTING)
        acting = await advanced(store, held.token, acting, RunState.PROBING)
        ended.append(await advanced(store, held.token, acting, RunState.UNKNOWN))
    waiting = await begin(store, "r-w", rule="older")
    later = await begin(store, "r-l", rule="new")
    seen: list[GuardView] = []

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        seen.append(view)
        return skipping(request, view)

    await store.decide([a_request(await an_episode(store), "new", lookback=NAMES)], judge)
    renamed = await store.view(later, NAMES)
    for view in (seen[0], renamed):
        assert view.unfinished is not None
        assert view.last == view.last_acted
        assert view.last is not None
        assert (view.unfinished.id, view.last.id) == (waiting.id, ended[1].id)
    alone = await store.view(later)
    assert (alone.unfinished, alone.last, alone.last_acted) == (None, None, None)
