"""Several replicas on one ledger: whatever two of them do at once, it is as if one had come first."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.core.changes import (
    Decided,
    DecisionRequest,
    Intake,
    Intended,
    IntentRequest,
    Refused,
    RunChange,
)
from remediator.core.decide import Decision, DecisionKind
from remediator.core.decide import decide as core_decide
from remediator.core.episodes import Episode, observe
from remediator.core.events import Event, EventKind
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
from remediator.core.ids import Owner, RulebookHash, Token
from remediator.core.leases import Held, Lease, Preempted
from remediator.core.notices import Lane
from remediator.core.ports.channels import RuleFiles
from remediator.core.ports.store import Topic
from remediator.core.reasons import Reason
from remediator.core.rules import AlertTrigger, Brake, Budget, Limits, Mode, Rate, Rule, Rulebook, Share, Step
from remediator.core.runs import Run, RunState
from remediator.core.targets import Target
from remediator.core.templates import TargetTemplate
from remediator.store.postgres import PostgresStore
from tests.store.clock import FakeClock
from tests.store.postgres import PostgresBackend
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

SOON = timedelta(seconds=20)
NO = Verdict((GuardAnswer(Guard.BRAKE, Answer.WAITS, "too many", Reason.PARALLEL),))


_RULE = Rule("rule", AlertTrigger(()), TargetTemplate(()), steps=(Step("undo", "kubernetes.rollout_undo"),))


def _service(number: int) -> Target:
    return Target("default", "deployment", "shop", f"t{number}")


@pytest.fixture
async def replicas(tmp_path: Path, clock: FakeClock) -> AsyncIterator[list[PostgresStore]]:
    """Three replicas of one ledger."""
    backend = PostgresBackend(tmp_path, clock)
    stores = [backend.make() for _ in range(3)]
    for store in stores:
        await store.open()
    yield stores
    for store in stores:
        await store.close()
    backend.close()


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


async def test_webhooks_that_two_replicas_read_count_once(replicas: list[PostgresStore]) -> None:
    for _ in range(12):
        await replicas[0].save_webhook("default", b"{}")
    read = await replicas[0].untaken_webhooks(1 << 20)
    intakes = [Intake(webhook.id, (an_alert("x"), an_alert("y"))) for webhook in read]
    observed = await asyncio.gather(
        *(store.take_webhooks([intake], observe) for intake in intakes for store in replicas)
    )
    assert sum(each.opened for (each,) in observed) == 2
    assert sum(sum(each.sightings.values()) for (each,) in observed) == 24
    assert [(episode.is_open, episode.repeats) for episode in await due(replicas[1])] == [(True, 11)] * 2


async def test_webhooks_are_taken_apart_by_one_replica_at_a_time(
    replicas: list[PostgresStore], clock: FakeClock
) -> None:
    """All would do the same work: whose turn it is goes on with it, and is replaced once it is silent."""
    await replicas[0].save_webhook("default", b"{}")
    (webhook,) = await replicas[0].untaken_webhooks(1 << 20)
    assert await replicas[1].untaken_webhooks(1 << 20) == []
    assert await replicas[0].untaken_webhooks(1 << 20) == [webhook]
    clock.advance(1.999)
    assert await replicas[1].untaken_webhooks(1 << 20) == []
    clock.advance(0.001)
    assert await replicas[1].untaken_webhooks(1 << 20) == [webhook]
    assert await replicas[0].untaken_webhooks(1 << 20) == []
    await replicas[1].close()
    assert await replicas[0].untaken_webhooks(1 << 20) == [webhook]


async def test_one_that_resolves_while_it_is_decided_closes_before_or_after(
    replicas: list[PostgresStore],
) -> None:
    """Two that lock the same episodes at once: neither fails, and the judge never sees half of a change."""
    alerts = [an_alert(f"f{n}") for n in range(10)]
    await take(replicas[0], *alerts)
    episodes = await due(replicas[0])
    for webhook in range(5):
        await replicas[1].save_webhook("default", b"%d" % webhook)
    read = await replicas[0].untaken_webhooks(1 << 20)
    closing = tuple(an_alert(f"f{n}", firing=False) for n in reversed(range(10)))
    await asyncio.gather(
        *(replicas[1].take_webhooks([Intake(webhook.id, closing)], observe) for webhook in read),
        *(replicas[n % 3].decide([a_request(each) for each in episodes], skipping) for n in range(5)),
    )
    assert await due(replicas[0]) == []
    assert (await replicas[0].backlog()).webhooks == 0
    assert len(await replicas[0].decisions(100)) == 10


async def test_the_same_key_from_many_is_one_envelope(replicas: list[PostgresStore]) -> None:
    await asyncio.gather(
        *(replicas[n % 3].post([an_envelope("down", key="k"), an_envelope("up", key="l")]) for n in range(12))
    )
    (first,) = await replicas[0].due_envelopes(Lane.REPORTS, 9, CLAIM)
    assert first.envelope.notice.count == 12
    assert (await replicas[0].backlog()).outbox == 2


async def test_replicas_that_boot_with_the_same_files_activate_them_once(
    replicas: list[PostgresStore],
) -> None:
    files = RuleFiles({"a.yaml": "rules: []\n"}, RulebookHash("1" * 64))
    proposals = await asyncio.gather(*(s.propose_rulebook(files, None, forced=False) for s in replicas))
    assert Counter(each.value for each in proposals) == {"activated": 1, "unchanged": 2}


@pytest.mark.parametrize("forced", [False, True], ids=["boot", "reload"])
async def test_of_replicas_that_propose_different_files_at_once_exactly_one_wins(
    replicas: list[PostgresStore], *, forced: bool
) -> None:
    first = RuleFiles({"a.yaml": "rules: []\n"}, RulebookHash("0" * 64))
    await replicas[0].propose_rulebook(first, None, forced=False)
    files = [RuleFiles({"a.yaml": f"# {n}\n"}, RulebookHash(str(n) * 64)) for n in (1, 2, 3)]
    proposals = await asyncio.gather(
        *(
            store.propose_rulebook(each, first.hash, forced=forced)
            for store, each in zip(replicas, files, strict=True)
        )
    )
    assert Counter(each.value for each in proposals) == {"activated": 1, "overtaken": 2}
    active = await replicas[0].active_rulebook()
    assert active is not None
    assert active.hash == files[[each.value for each in proposals].index("activated")].hash


async def test_who_reads_events_on_from_the_last_misses_none(replicas: list[PostgresStore]) -> None:
    """Ids are in the order of commits, however many write at once."""
    total = 90
    now = await replicas[0].now()

    async def write(number: int) -> None:
        for each in range(total // 9):
            event = Event(EventKind.RUN_CHECKED, now, {"n": f"{number}/{each}"})
            await replicas[number % 3].record([event])

    async def read() -> list[object]:
        seen: list[object] = []
        last = 0
        while len(seen) < total:
            for event in await replicas[1].events(last, 7):
                seen.append(event.data["n"])
                last = event.id
        return seen

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write(number) for number in range(9)))
    async with asyncio.timeout(SOON.total_seconds()):
        seen = await reading
    assert len(set(seen)) == total


async def test_work_wakes_the_other_replicas_too(replicas: list[PostgresStore]) -> None:
    for store in replicas:
        # What was said before somebody listened counts as work.
        await store.wait(Topic.EPISODES, SOON)
    waiting = [asyncio.create_task(store.wait(Topic.EPISODES, SOON * 10)) for store in replicas]
    await take(replicas[0], an_alert())
    async with asyncio.timeout(SOON.total_seconds()):
        await asyncio.gather(*waiting)


async def test_what_a_dead_replica_had_claimed_is_kept_until_the_claim_is_over(
    replicas: list[PostgresStore], clock: FakeClock
) -> None:
    await take(replicas[0], an_alert())
    await replicas[0].post([an_envelope()])
    dead, alive, _ = replicas
    (work,) = await dead.undecided(9, CLAIM)
    (item,) = await dead.due_envelopes(Lane.REPORTS, 9, CLAIM)
    clock.advance(CLAIM.total_seconds() - 0.000_001)
    assert await alive.undecided(9, CLAIM) == []
    assert await alive.due_envelopes(Lane.REPORTS, 9, CLAIM) == []
    clock.advance(0.000_001)
    assert await alive.undecided(9, CLAIM) == [work]
    assert await alive.due_envelopes(Lane.REPORTS, 9, CLAIM) == [item]
    await dead.close()
    assert await replicas[2].undecided(9, CLAIM) == [], "it gives back what is its own alone"


async def test_what_another_replica_has_by_now_is_held_by_it_alone(
    replicas: list[PostgresStore], clock: FakeClock
) -> None:
    await replicas[0].post([an_envelope()])
    (item,) = await replicas[0].due_envelopes(Lane.REPORTS, 9, CLAIM)
    clock.advance(CLAIM.total_seconds())
    assert await replicas[1].due_envelopes(Lane.REPORTS, 9, CLAIM) == [item]
    assert not await replicas[0].hold(item, CLAIM)
    assert await replicas[1].hold(item, CLAIM)


async def test_who_stops_gives_back_what_it_had_claimed(replicas: list[PostgresStore]) -> None:
    await take(replicas[0], an_alert())
    (work,) = await replicas[0].undecided(9, CLAIM)
    await replicas[0].close()
    assert await replicas[1].undecided(9, CLAIM) == [work]
