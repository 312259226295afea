"""Replicas race on one ledger for leases, slots and the brake: whatever they do at once, one came first."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from remediator.core.changes import (
    Decided,
    DecisionRequest,
    Intended,
    IntentRequest,
    Refused,
    RunChange,
)
from remediator.core.decide import Decision, DecisionKind
from remediator.core.decide import decide as core_decide
from remediator.core.episodes import Episode
from remediator.core.guards import (
    Answer,
    BudgetKey,
    Guard,
    GuardAnswer,
    GuardView,
    PauseScope,
    Question,
    Tripped,
    Verdict,
    ask_at_first_intent,
)
from remediator.core.ids import Owner, Token
from remediator.core.leases import Held, Lease, Preempted
from remediator.core.notices import Lane
from remediator.core.reasons import Reason
from remediator.core.rules import AlertTrigger, Brake, Budget, Limits, Mode, Rate, Rule, Rulebook, Share, Step
from remediator.core.runs import Run, RunState
from remediator.core.targets import Target
from remediator.core.templates import TargetTemplate
from remediator.store.postgres import PostgresStore
from tests.store.clock import FakeClock
from tests.store.values import (
    BOOK,
    CLAIM,
    ME,
    PEER,
    TTL,
    Intending,
    a_request,
    advanced,
    an_alert,
    an_envelope,
    an_intent,
    begin,
    due,
    lease,
    running,
    skipping,
    take,
    to,
)

NO = Verdict((GuardAnswer(Guard.BRAKE, Answer.WAITS, "too many", Reason.PARALLEL),))


_RULE = Rule("rule", AlertTrigger(()), TargetTemplate(()), steps=(Step("undo", "kubernetes.rollout_undo"),))


def _service(number: int) -> Target:
    return Target("default", "deployment", "shop", f"t{number}")


async def test_one_of_many_contenders_gets_the_lease(replicas: list[PostgresStore], clock: FakeClock) -> None:
    """Again and again: after a release, at the end of a lease, and with tokens that only grow."""
    runs = [await begin(replicas[0], f"r-{n}", rule=f"rule-{n}") for n in range(9)]
    tokens: list[int] = []
    for turn in range(12):
        answers = await asyncio.gather(
            *(replicas[n % 3].acquire(run.id, Owner(f"o{n}"), TTL) for n, run in enumerate(runs))
        )
        (won,) = [answer for answer in answers if isinstance(answer, Lease)]
        assert {answer.run for answer in answers} == {won.run}
        tokens.append(won.token)
        if turn % 2:
            await replicas[turn % 3].release(won)
        else:
            clock.advance(TTL.total_seconds())
    assert tokens == sorted(set(tokens))


async def test_at_its_end_a_lease_is_renewed_or_taken_over_but_never_both(
    replicas: list[PostgresStore], clock: FakeClock
) -> None:
    run = await begin(replicas[0])
    held = await lease(replicas[0], run)
    for turn in range(10):
        over = turn % 2 == 0
        clock.advance(TTL.total_seconds() - (0 if over else 0.000_001))
        renewed, taken = await asyncio.gather(
            replicas[0].renew(held, TTL),
            replicas[1].acquire(run.id, PEER if held.owner == ME else ME, TTL),
        )
        assert (renewed is None, isinstance(taken, Lease)) == (over, over)
        held = taken if isinstance(taken, Lease) else held


async def test_a_taken_over_run_is_not_moved_by_who_had_it(
    replicas: list[PostgresStore], clock: FakeClock
) -> None:
    """The old holder writes at the very moment at which the new one takes the lease."""
    for number in range(8):
        target = _service(number)
        run = await begin(replicas[0], f"r-{number}", target=target)
        old = await lease(replicas[0], run)
        clock.advance(TTL.total_seconds())
        moved, taken = await asyncio.gather(
            replicas[0].advance(old.token, RunChange(to(run, RunState.READY), run.state)),
            replicas[1].acquire(run.id, PEER, TTL),
        )
        assert isinstance(taken, Lease)
        assert moved is Refused.LEASE_LOST
        await advanced(replicas[1], taken.token, run, RunState.READY)


async def test_an_intent_at_the_last_moment_of_its_lease_keeps_others_from_the_target(
    replicas: list[PostgresStore], clock: FakeClock
) -> None:
    """The lease runs out while the intent is being written: it is seen by who waits for the target."""
    run, other = await begin(replicas[0], "r-1"), await begin(replicas[0], "r-2", rule="other")
    held = await lease(replicas[0], run)
    ready = await advanced(replicas[0], held.token, run, RunState.READY)
    acquiring: list[asyncio.Task[Lease | Held]] = []
    loop = asyncio.get_running_loop()

    def ask(_request: IntentRequest, _view: GuardView) -> Verdict:
        clock.advance(TTL.total_seconds())
        acquiring.append(loop.create_task(replicas[1].acquire(other.id, PEER, TTL)))
        return Verdict(())

    answer = await replicas[0].intend(held.token, an_intent(ready), ask, Intending(ready, held.token))
    taken = await acquiring[0]
    if isinstance(answer, Intended):
        assert isinstance(taken, Held)
        assert await replicas[0].attempt_in_doubt(run.id) is not None
    else:
        assert isinstance(taken, Lease)
        assert await replicas[0].attempt_in_doubt(run.id) is None


async def test_work_is_handed_to_one_replica_alone(replicas: list[PostgresStore]) -> None:
    await take(replicas[0], *(an_alert(f"f{n}") for n in range(60)))
    await replicas[0].post([an_envelope(str(n), thread=str(n)) for n in range(60)])

    async def fetch(store: PostgresStore) -> tuple[list[int], list[int]]:
        episodes: list[int] = []
        items: list[int] = []
        while len(episodes) + len(items) < 120:
            work = await store.undecided(4, CLAIM)
            out = await store.due_envelopes(Lane.REPORTS, 4, CLAIM)
            if not work and not out:
                break
            episodes += [each.episode.id for each in work]
            items += [each.id for each in out]
        return episodes, items

    fetched = await asyncio.gather(*(fetch(store) for store in replicas for _ in range(2)))
    for kind in (0, 1):
        counted = Counter(id_ for each in fetched for id_ in each[kind])
        assert len(counted) == 60
        assert set(counted.values()) == {1}


async def test_no_more_runs_are_begun_than_may_act_at_once(replicas: list[PostgresStore]) -> None:
    await take(replicas[0], *(an_alert(f"f{n}") for n in range(24)))
    episodes = await due(replicas[0])

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        return running(request, view) if view.parallel < 3 else skipping(request, view)

    decided = await asyncio.gather(
        *(
            replicas[n % 3].decide([a_request(episode, f"rule-{n}", run=f"r-{n}")], judge)
            for n, episode in enumerate(episodes)
        )
    )
    assert sum(answer.run is not None for (answer,) in decided) == 3
    assert (await replicas[0].backlog()).unfinished_runs == 3


async def test_many_episodes_of_one_target_are_one_run(replicas: list[PostgresStore]) -> None:
    await take(replicas[0], *(an_alert(f"f{n}") for n in range(24)))
    episodes = await due(replicas[0])

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        if view.unfinished is None:
            return running(request, view)
        return Decided(Decision(DecisionKind.JOIN, Reason.JOINED, run=view.unfinished.id))

    decided = await asyncio.gather(
        *(
            replicas[n % 3].decide([a_request(episode, run=f"r-{n}")], judge)
            for n, episode in enumerate(episodes)
        )
    )
    (run,) = [answer.run for (answer,) in decided if answer.run is not None]
    assert len(await replicas[1].episodes_of(run.id)) == 24


async def test_no_more_slots_are_taken_than_the_guards_allow(replicas: list[PostgresStore]) -> None:
    ready = []
    for number in range(9):
        target = _service(number)
        run = await begin(replicas[0], f"r-{number}", target=target)
        held = await lease(replicas[0], run)
        ready.append((await advanced(replicas[0], held.token, run, RunState.READY), held.token))

    def ask(_request: IntentRequest, view: GuardView) -> Verdict:
        return Verdict(()) if view.parallel < 3 else NO

    answers = await asyncio.gather(
        *(
            replicas[n % 3].intend(token, an_intent(run), ask, Intending(run, token))
            for n, (run, token) in enumerate(ready)
        )
    )
    assert sum(isinstance(answer, Intended) and answer.change is not None for answer in answers) == 3


TWICE = Rate(2, timedelta(hours=1))
QUARTER = Share(25, timedelta(hours=1))


@pytest.mark.parametrize(
    ("limits", "budget", "reason"),
    [
        (Limits(timedelta(0), targets=TWICE), Budget(parallel=99), Reason.TARGETS),
        (Limits(timedelta(0)), Budget(parallel=99, share=QUARTER), Reason.BRAKE),
    ],
    ids=["targets", "a share of nine"],
)
async def test_of_many_that_race_for_the_last_slot_exactly_one_gets_it(
    replicas: list[PostgresStore], limits: Limits, budget: Budget, reason: Reason
) -> None:
    """The guards themselves are asked, by three replicas at once: one slot of two was taken before."""
    rule = Rule("rule", AlertTrigger(()), TargetTemplate(()), limits=limits)
    book = Rulebook(BOOK, (rule,), Brake(budget))
    ready = []
    for number in range(9):
        run = await begin(replicas[0], f"r-{number}", target=_service(number))
        held = await lease(replicas[0], run)
        ready.append((await advanced(replicas[0], held.token, run, RunState.READY), held.token))

    def request(run: Run) -> IntentRequest:
        question = Question(rule, run.target, run.mode, (book,), deployments=9)
        return IntentRequest(question, first=True)

    def ask(request: IntentRequest, view: GuardView) -> Verdict:
        return ask_at_first_intent(request.question, view)

    def intend(number: int, run: Run, token: Token) -> Awaitable[Intended | Refused | Preempted]:
        return replicas[number % 3].intend(token, request(run), ask, Intending(run, token))

    earlier = await intend(0, *ready[0])
    answers = await asyncio.gather(*(intend(n, *each) for n, each in enumerate(ready[1:])))
    written = [isinstance(answer, Intended) and answer.change is not None for answer in (earlier, *answers)]
    assert (written[0], sum(written)) == (True, 2)
    objections = {answer.verdict.objection for answer in answers if isinstance(answer, Intended)} - {None}
    assert {said.reason for said in objections if said} == {reason}


async def test_past_the_brakes_budget_nothing_is_begun_and_one_brake_is_engaged(
    replicas: list[PostgresStore],
) -> None:
    """Twenty services at once, decided on by three replicas: as many runs as targets are in the budget."""
    await take(replicas[0], *(an_alert(f"f{n}") for n in range(20)))
    book = Rulebook(BOOK, (_RULE,), Brake(Budget(Rate(5, timedelta(minutes=10)), 99)))

    def judge(request: DecisionRequest, view: GuardView) -> Decided:
        assert request.target is not None
        decision = core_decide(request.episode, Question(_RULE, request.target, Mode.LIVE, (book,)), view)
        made = running(request, view) if decision.kind is DecisionKind.RUN else Decided(decision)
        return Decided(decision, made.run)

    def decide(number: int, episode: Episode) -> Awaitable[list[Decided]]:
        asked = Question(_RULE, _service(number), Mode.LIVE, (book,))
        request = a_request(episode, "rule", target=asked.target, run=f"r-{number}", lookback=asked.lookback)
        return replicas[number % 3].decide([request], judge)

    decided = await asyncio.gather(*(decide(n, each) for n, each in enumerate(await due(replicas[0]))))
    said = Counter((answer.decision.kind.value, answer.decision.reason.value) for (answer,) in decided)
    assert said == {("run", "matched"): 5, ("skip", "brake"): 15}
    (brake,) = (await replicas[1].brakes(timedelta(minutes=10))).rows
    assert (brake.alerts, brake.distinct) == (15, 15)
    assert [await store.pauses() for store in replicas] == [(brake.pause,)] * 3


async def test_of_many_first_intents_no_more_act_than_the_budget_allows(
    replicas: list[PostgresStore],
) -> None:
    """Their decisions are long past, as after an hour's pause: the slots' own transactions count."""
    book = Rulebook(BOOK, (_RULE,), Brake(Budget(Rate(5, timedelta(minutes=10)), 99)))
    ready = []
    for number in range(9):
        run = await begin(replicas[0], f"r-{number}", target=_service(number))
        held = await lease(replicas[0], run)
        ready.append((await advanced(replicas[0], held.token, run, RunState.READY), held.token))

    def ask(request: IntentRequest, view: GuardView) -> Verdict:
        return ask_at_first_intent(request.question, view)

    def intend(number: int, run: Run, token: Token) -> Awaitable[Intended | Refused | Preempted]:
        request = IntentRequest(Question(_RULE, run.target, run.mode, (book,)), first=True)
        return replicas[number % 3].intend(token, request, ask, Intending(run, token))

    answers = await asyncio.gather(*(intend(n, *each) for n, each in enumerate(ready)))
    assert sum(isinstance(answer, Intended) and answer.change is not None for answer in answers) == 5
    assert [each.brake for each in await replicas[2].pauses()] == [BudgetKey.TARGETS]


async def test_of_replicas_that_would_tell_of_the_brake_one_does(replicas: list[PostgresStore]) -> None:
    tripped = Tripped(PauseScope.ALL, "", BudgetKey.TARGETS, "too many")
    await replicas[0].engage_brake(lambda _view: [tripped], timedelta(minutes=10))
    (brake,) = (await replicas[0].brakes(timedelta(minutes=10))).rows
    told = await asyncio.gather(*(store.tell_brake(brake, [an_envelope()]) for store in replicas * 4))
    assert sum(told) == 1
    assert len(await replicas[0].due_envelopes(Lane.REPORTS, 9, CLAIM)) == 1
