"""Reading, for people, and the little that concerns the store as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.core.changes import (
    MOST_OF_STORY,
    Backlog,
    Decided,
    DecisionFilter,
    EpisodeFilter,
    RunFilter,
)
from remediator.core.checks import CheckAnswer, Fact, Said
from remediator.core.decide import Decision, DecisionKind, PassedOver
from remediator.core.events import Event, EventKind
from remediator.core.ids import EpisodeId, RulebookHash, RunId
from remediator.core.inquiries import LeftOut
from remediator.core.notices import Lane
from remediator.core.ports.channels import RuleFiles
from remediator.core.ports.store import Store, StoreUnavailableError, Topic
from remediator.core.reasons import Reason
from remediator.core.rules import Expect
from remediator.core.runs import RunState
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.test_inquiries import truncated
from tests.store.values import (
    CART,
    ME,
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
    skipping,
    take,
)

SOON = timedelta(seconds=5)


async def test_the_decisions_on_an_alert_are_those_on_its_latest_episode(
    store: Store, clock: FakeClock
) -> None:
    await take(store, an_alert())
    (episode,) = await due(store)
    later = deferring(await store.now() + timedelta(seconds=1))
    await store.decide([a_request(episode)], lambda _request, _view: Decided(later))
    clock.advance(2)
    await store.decide([a_request(await an_episode(store))], skipping)
    kinds = [row.decision.kind.value for row in await store.decisions_on(episode.key)]
    assert kinds == ["defer", "skip"]
    assert await store.decisions_on(episode.key._replace(source="other")) == []


async def test_history_is_newest_first_and_pages(store: Store) -> None:
    for number in (1, 3, 2):
        await begin(store, f"r-{number}")
    shown = await store.history(RunFilter(limit=2))
    assert [run.id for run in shown] == ["r-2", "r-3"]
    assert [run.id for run in await store.history(RunFilter(before=shown[-1].id))] == ["r-1"]


async def test_history_can_be_narrowed(store: Store, clock: FakeClock) -> None:
    await begin(store, "r-1", rule="a", target=CART)
    clock.advance(60)
    middle = await begin(store, "r-2", rule="a", target=NODE)
    await begin(store, "r-3", rule="b", target=NODE)

    async def ids(wanted: RunFilter) -> list[str]:
        return [run.id for run in await store.history(wanted)]

    assert await ids(RunFilter(rule="a")) == ["r-2", "r-1"]
    assert await ids(RunFilter(target=str(NODE))) == ["r-3", "r-2"]
    assert await ids(RunFilter(since=middle.created_at)) == ["r-3", "r-2"]
    assert await ids(RunFilter(rule="a", target=str(NODE), since=middle.created_at)) == ["r-2"]


async def test_a_run_is_shown_by_its_id_or_the_beginning_of_it(store: Store) -> None:
    for number in range(7):
        await begin(store, f"r-a{number}")
    await begin(store, "r-a")
    assert [row.run.id for row in await store.run_row("r-a")] == ["r-a"]
    assert [row.run.id for row in await store.run_row("r-a3")] == ["r-a3"]
    assert len(await store.run_row("r-")) == 5
    assert await store.run_row("r-%") == []
    assert await store.run_row("r-b") == []


async def test_a_story_has_the_episodes_and_the_decisions_that_led_to_it(store: Store) -> None:
    run = await begin(store)
    (row,) = await store.run_row("r-1")
    assert row.run == run
    assert [episode.id for episode in row.episodes] == [run.episode]
    assert [decision.episode for decision in row.decisions] == [run.episode]
    assert (row.attempts, row.events) == ((), ())


async def test_a_run_that_very_many_joined_is_told_in_part_and_counted_whole(
    store: Store, clock: FakeClock
) -> None:
    run = await begin(store)
    await take(store, *(an_alert(f"f{n}") for n in range(MOST_OF_STORY + 50)))
    joins = [a_request(episode) for episode in await due(store)]
    joined = Event(EventKind.RUN_JOINED, clock.wall(), run=run.id)
    answer = Decided(Decision(DecisionKind.JOIN, Reason.JOINED, run=run.id), events=(joined,))
    await store.decide(joins, lambda _r, _v: answer)
    await store.record([Event(EventKind.RUN_WAITING, clock.wall(), run=run.id)])
    (row,) = await store.run_row("r-1")
    assert (row.joined, row.firing) == (MOST_OF_STORY + 51, True)
    assert len(row.episodes) == len(row.decisions) == MOST_OF_STORY
    assert row.episodes[0].id == row.decisions[0].episode == run.episode
    assert [event.kind for event in row.events] == [EventKind.RUN_JOINED] * MOST_OF_STORY + [
        EventKind.RUN_WAITING
    ]
    assert len(await store.episodes_of(run.id)) == MOST_OF_STORY + 51
    await take(store, *(an_alert(episode.fingerprint, firing=False) for episode in row.episodes))
    assert (await store.run_row("r-1"))[0].firing
    everything = await store.episodes_of(run.id)
    await take(store, *(an_alert(episode.fingerprint, firing=False) for episode in everything))
    assert not (await store.run_row("r-1"))[0].firing


async def test_the_episodes_of_a_run_are_given_page_by_page_over_those_that_can_not_be_read(
    store: Store, backend: Backend
) -> None:
    run = await begin(store)
    joins = [a_request(await an_episode(store, f"f{n}")) for n in range(6)]
    await store.decide(joins, lambda _r, _v: Decided(Decision(DecisionKind.JOIN, Reason.JOINED, run=run.id)))
    every = await store.episodes_of(run.id)
    assert [each.id for each in every] == sorted(each.id for each in every)
    damaged = [each.id for each in every[2:5]]
    for id_ in damaged:
        await backend.execute(store, f"UPDATE episodes SET labels = '{{' WHERE id = {id_}")
    after, found = 0, list[int]()
    while page := await store.episodes_of(run.id, after, 2):
        assert len(page) <= 2
        found += [each.id for each in page]
        after = page[-1].id
    assert found == [each.id for each in every if each.id not in damaged]


async def test_decisions_are_newest_first_and_page(store: Store) -> None:
    episodes = [await an_episode(store, f"f{n}") for n in range(3)]
    await store.decide([a_request(episode) for episode in episodes], skipping)
    shown = await store.decisions(2)
    assert [row.episode for row in shown] == [episodes[2].id, episodes[1].id]
    assert [row.episode for row in await store.decisions(9, before=shown[-1].id)] == [episodes[0].id]


async def test_decisions_are_those_on_an_episode_or_of_a_rule_under_any_of_its_names(store: Store) -> None:
    one, two = await an_episode(store, "f1"), await an_episode(store, "f2")
    await store.decide([a_request(one, rule) for rule in ("a", "b", "c")], skipping)
    await store.decide([a_request(two, "b")], skipping)

    async def found(wanted: DecisionFilter, limit: int = 9, before: int | None = None) -> list[str]:
        rows = await store.decisions(limit, before, wanted)
        return [f"{row.rule}{row.episode - one.id}" for row in rows]

    assert await found(DecisionFilter(episode=one.id)) == ["c0", "b0", "a0"]
    assert await found(DecisionFilter(rules=frozenset({"a", "b"}))) == ["b1", "b0", "a0"]
    assert await found(DecisionFilter(rules=frozenset({"a", "b"})), limit=2) == ["b1", "b0"]
    assert await found(DecisionFilter(two.id, frozenset({"b"}))) == ["b1"]
    assert await found(DecisionFilter(rules=frozenset())) == []
    (newest, *_) = await store.decisions(1)
    assert await found(DecisionFilter(rules=frozenset({"b"})), before=newest.id) == ["b0"]


async def test_a_rules_decisions_are_counted_by_kind_and_reason(store: Store, clock: FakeClock) -> None:
    episodes = [await an_episode(store, f"f{n}") for n in range(3)]
    await store.decide([a_request(episode, "now") for episode in episodes[:2]], skipping)
    clock.advance(60)
    later = deferring(await store.now() + SOON)
    await store.decide([a_request(episodes[2], "once")], lambda _r, _v: Decided(later))
    await store.decide([a_request(episodes[2], "other")], skipping)
    counts = await store.decision_counts(frozenset({"now", "once"}))
    assert [(one.kind, one.reason, one.count) for one in counts] == [
        (DecisionKind.SKIP, Reason.NO_RULE, 2),
        (DecisionKind.DEFER, Reason.PARALLEL, 1),
    ]
    assert counts[1].latest - counts[0].latest >= timedelta(seconds=60)
    assert await store.decision_counts(frozenset({"none"})) == []


async def test_a_decision_keeps_the_facts_of_the_rules_that_were_passed_over(
    store: Store, clock: FakeClock
) -> None:
    answer = CheckAnswer(Said.NO, "it is 2 h old", {"age": 7200})
    fact = Fact("a.check", {"window": "1h"}, Expect.YES, answer, clock.wall())
    passed = (PassedOver("first", (fact,), str(CART)),)
    made = Decision(DecisionKind.SKIP, Reason.NO_RULE, passed=passed)
    await store.decide([a_request(await an_episode(store))], lambda _r, _v: Decided(made))
    (row,) = await store.decisions(1)
    assert row.decision.passed == passed
    assert row.facts == ()


async def test_episodes_are_found_by_id_fingerprint_and_labels_newest_first(store: Store) -> None:
    await take(store, an_alert("aa1"), an_alert("aa2"), an_alert("b_1"))
    odd = replace(an_alert("c%1"), labels={"alertname": 'a "b"', "job": "cart"})
    await take(store, odd)
    every = await store.episodes(EpisodeFilter(9))
    assert [each.fingerprint for each in every] == ["c%1", "b_1", "aa2", "aa1"]

    async def found(limit: int = 9, **wanted: Any) -> list[str]:
        return [each.fingerprint for each in await store.episodes(EpisodeFilter(limit, **wanted))]

    assert await found(id=every[2].id) == ["aa2"]
    assert await found(id=EpisodeId(10**6)) == []
    assert await found(before=every[1].id) == ["aa2", "aa1"]
    assert await found(fingerprint="aa") == ["aa2", "aa1"]
    assert await found(fingerprint="c%1") == ["c%1"]
    assert await found(fingerprint="%") == []
    assert await found(labels={"alertname": 'a "b"'}) == ["c%1"]
    assert await found(2, labels={"job": "cart", "alertname": "ServiceDown"}) == ["b_1", "aa2"]
    assert await found(labels={"job": "car"}) == []


async def test_the_past_is_read_page_by_page_newest_first_with_its_decisions(
    store: Store, clock: FakeClock
) -> None:
    answer = CheckAnswer(Said.YES, "it is", {"replicas": 2})
    fact = Fact("a.check", {"window": "1h"}, Expect.YES, answer, clock.wall())
    begun = await store.now()
    episodes = []
    for number in range(3):
        episodes.append(await an_episode(store, f"f{number}"))
        clock.advance(60)
    await store.decide([replace(a_request(episodes[1], "one"), facts=(fact,), last=False)], skipping)
    await store.decide([a_request(episodes[1], "two")], skipping)
    later = deferring(await store.now() + SOON)
    await store.decide([a_request(episodes[0], "late")], lambda _r, _v: Decided(later))

    newest = await store.past_episodes(None, None, 2)
    assert [each.episode for each in newest.episodes] == [episodes[2], episodes[1]]
    assert [(row.rule, row.facts) for row in newest.episodes[1].decisions] == [("one", (fact,)), ("two", ())]
    oldest = await store.past_episodes(None, newest.before, 2)
    assert [(each.episode, each.decisions) for each in oldest.episodes] == [(episodes[0], ())]
    assert oldest.before is None
    # The first that is too old ends it, whatever lies before.
    lately = await store.past_episodes(begun + timedelta(seconds=50), None, 3)
    assert [each.episode.id for each in lately.episodes] == [episodes[2].id, episodes[1].id]
    assert lately.before is None


async def test_events_are_kept_whole_and_read_oldest_first(store: Store, clock: FakeClock) -> None:
    told = Event(
        EventKind.RUN_CHECKED,
        clock.wall(),
        {"said": "no", "deep": [1, {"x": None}], "at": "2025"},
        run=RunId("r-1"),
        rule="rule",
        target=str(CART),
        version=7,
    )
    await store.record([told, Event(EventKind.RUN_FAILED, clock.wall())])
    first, second = await store.events(0, 10)
    assert Event(**{**_fields(first), "id": 0}) == told  # type: ignore[arg-type]  # fields of one class
    assert [event.id for event in await store.events(first.id, 10)] == [second.id]
    assert [event.id for event in await store.events(0, 1)] == [first.id]


def _fields(event: Event) -> dict[str, object]:
    return {name: getattr(event, name) for name in Event.__slots__}


async def test_an_empty_ledger_is_behind_with_nothing(store: Store) -> None:
    assert await store.backlog() == Backlog(0, 0, 0, 0, None, None, 0, 0)


async def test_the_backlog_counts_what_waits_and_names_the_oldest(store: Store, clock: FakeClock) -> None:
    start = clock.wall()
    await begin(store, "r-1")
    clock.advance(10)
    await take(store, an_alert("x"))
    clock.advance(10)
    await store.save_webhook("default", b"")
    await store.post([an_envelope("1"), an_envelope("2")])
    clock.advance(5)
    await store.post([an_envelope("3", lane=Lane.PAGES)])
    seconds = timedelta(seconds=1)
    assert await store.backlog() == Backlog(
        webhooks=1,
        episodes=1,
        outbox=3,
        parked_notices=0,
        oldest_undecided=start + 10 * seconds,
        oldest_unsent=start + 20 * seconds,
        quarantined=0,
        unfinished_runs=1,
        by_lane={Lane.REPORTS: 2, Lane.PAGES: 1},
        oldest_page=start + 25 * seconds,
    )
    (episode,) = await due(store)
    await store.decide([a_request(episode)], skipping)
    assert (await store.backlog()).oldest_undecided == start + 20 * seconds
    for lane in Lane:
        for item in await store.due_envelopes(lane, 9, NO_CLAIM):
            await store.park(item, "no")
    assert (await store.backlog()).parked_notices == 2


async def test_an_episode_that_waits_by_its_own_decision_is_no_backlog(
    store: Store, clock: FakeClock
) -> None:
    episode = await an_episode(store)
    later = clock.wall() + timedelta(minutes=5)
    await store.decide([a_request(episode)], lambda _r, _v: Decided(deferring(later)))
    assert (await store.backlog()).episodes == 0
    clock.advance(300)
    behind = await store.backlog()
    assert (behind.episodes, behind.oldest_undecided) == (1, later)


async def test_an_ended_run_is_no_longer_unfinished(store: Store) -> None:
    run = await begin(store)
    held = await lease(store, run)
    await advanced(store, held.token, run, RunState.REFUSED)
    assert (await store.backlog()).unfinished_runs == 0


async def test_check_passes_while_writes_are_durable(store: Store) -> None:
    await store.check()


async def test_a_closed_ledger_refuses_everything(backend: Backend) -> None:
    store = backend.make()
    with pytest.raises(StoreUnavailableError):
        await store.check()
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailableError):
        await store.save_webhook("default", b"")


async def _webhook(store: Store) -> None:
    await store.save_webhook("default", b"")


async def _episode(store: Store) -> None:
    await take(store, an_alert())


async def _run(store: Store) -> None:
    await begin(store)


async def _envelope(store: Store) -> None:
    await store.post([an_envelope()])


async def _event(store: Store) -> None:
    await store.record([Event(EventKind.RUN_FAILED, await store.now())])


async def _inquiry(store: Store) -> None:
    await truncated(store, LeftOut(1, "hook", {}))


async def _rulebook(store: Store) -> None:
    await store.propose_rulebook(RuleFiles({}, RulebookHash("1" * 64)), None, forced=True)


async def _facts(store: Store) -> None:
    await store.wait_for_facts([(await an_episode(store, "late")).id])


WORK: dict[Topic, Callable[[Store], Awaitable[None]]] = {
    Topic.WEBHOOKS: _webhook,
    Topic.INQUIRIES: _inquiry,
    Topic.RULEBOOK: _rulebook,
    Topic.EPISODES: _episode,
    Topic.RUNS: _run,
    Topic.OUTBOX: _envelope,
    Topic.EVENTS: _event,
    Topic.FACTS: _facts,
}


@pytest.mark.parametrize("topic", WORK)
async def test_work_wakes_who_waits_for_it_and_who_was_about_to(store: Store, topic: Topic) -> None:
    waiting = asyncio.create_task(store.wait(topic, timedelta(seconds=30)))
    await asyncio.sleep(0)
    await WORK[topic](store)
    async with asyncio.timeout(SOON.total_seconds()):
        await waiting
    await begin(store, "r-more", target=NODE)
    await _webhook(store)
    await _envelope(store)
    async with asyncio.timeout(SOON.total_seconds()):
        await store.wait(topic, timedelta(seconds=30))


async def test_waiting_ends_by_itself(store: Store) -> None:
    async with asyncio.timeout(SOON.total_seconds()):
        await store.wait(Topic.OUTBOX, timedelta(milliseconds=10))


async def test_callers_at_the_same_time_each_get_their_own_answer(store: Store) -> None:
    """One failure among many in the same commit is its caller's alone."""
    missing = RunId("r-none")
    calls = [
        store.acquire(missing, ME, SOON) if n % 7 == 3 else store.save_webhook("default", b"%d" % n)
        for n in range(100)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, Exception)] == [
        n for n in range(100) if n % 7 == 3
    ]
    bodies = [webhook.body for webhook in await store.untaken_webhooks(1 << 20)]
    assert bodies == [b"%d" % n for n in range(100) if n % 7 != 3]
