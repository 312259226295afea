"""Open episodes that nobody tells of are found, and what is seen of them is folded in as alerts are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import pytest

from remediator.core.changes import Decided, DecisionRequest
from remediator.core.decide import Decision, DecisionKind
from remediator.core.episodes import Closed, Episode, Sighting
from remediator.core.guards import GuardView
from remediator.core.ids import EpisodeId
from remediator.core.ports.store import Store, Topic
from remediator.core.quiet import Look, Presence, review
from remediator.core.reasons import Reason
from remediator.core.rules import Patience
from remediator.store.common.episodes import closed_words
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import a_request, an_alert, due, take

MINUTE = timedelta(minutes=1)
ASK_AFTER = 30 * MINUTE
PATIENCE = Patience(ASK_AFTER, 60 * MINUTE, 24 * 60 * MINUTE)
NONE = EpisodeId(0)


async def quiet(store: Store, after: EpisodeId = NONE, limit: int = 100) -> list[Episode]:
    return await store.quiet_episodes(ASK_AFTER, after, limit)


async def look(store: Store, presence: Presence, *episodes: Episode) -> Mapping[Sighting, int]:
    starts = an_alert().starts_at
    looks = [
        Look(
            each,
            presence,
            "because",
            an_alert(each.fingerprint, starts_at=starts) if presence is Presence.FIRING else None,
        )
        for each in episodes
    ]
    return await store.review(looks, partial(review, patience=PATIENCE))


async def test_it_is_quiet_once_it_was_not_told_of_for_so_long(store: Store, clock: FakeClock) -> None:
    await take(store, an_alert("a"))
    clock.advance(1799.9)
    assert await quiet(store) == []
    await take(store, an_alert("b"))
    clock.advance(0.1)
    assert [each.fingerprint for each in await quiet(store)] == ["a"]
    await take(store, an_alert("a"))
    assert await quiet(store) == []


async def test_what_is_closed_is_not_quiet(store: Store, clock: FakeClock) -> None:
    await take(store, an_alert(), an_alert(firing=False))
    clock.advance(9999)
    assert await quiet(store) == []


async def test_they_are_handed_out_in_parts_by_their_ids(store: Store, clock: FakeClock) -> None:
    await take(store, *(an_alert(name) for name in "abcde"))
    clock.advance(1800)
    first = await quiet(store, limit=2)
    rest = await quiet(store, first[-1].id)
    assert [each.fingerprint for each in (*first, *rest)] == list("abcde")


async def test_what_still_fires_is_seen_and_not_quiet_for_as_long_again(
    store: Store, clock: FakeClock
) -> None:
    await take(store, an_alert())
    clock.advance(1800)
    before = await store.events(0, 100)
    assert await look(store, Presence.FIRING, *await quiet(store)) == {Sighting.REPEATED: 1}
    assert await store.events(0, 100) == before
    clock.advance(1799.9)
    assert await quiet(store) == []
    clock.advance(0.1)
    (again,) = await quiet(store)
    assert (again.repeats, again.last_seen) == (1, clock.wall() - ASK_AFTER)


async def test_what_is_silenced_is_not_seen_and_not_asked_about_for_as_long_again(
    store: Store, clock: FakeClock
) -> None:
    await take(store, an_alert())
    seen = clock.wall()
    clock.advance(1800)
    assert await look(store, Presence.SUPPRESSED, *await quiet(store)) == {Sighting.QUIET: 1}
    clock.advance(1799.9)
    assert await quiet(store) == []
    clock.advance(0.1)
    (again,) = await quiet(store)
    assert (again.last_seen, again.confirmed_at, again.repeats) == (seen, clock.wall() - ASK_AFTER, 0)


@pytest.mark.parametrize(
    ("presence", "after", "sighting", "closed"),
    [
        (Presence.ABSENT, 60 * MINUTE, Sighting.VANISHED, Closed.VANISHED),
        (Presence.UNKNOWN, 24 * 60 * MINUTE, Sighting.LAPSED, Closed.LAPSED),
    ],
)
async def test_what_is_gone_is_closed_once_with_its_word_and_event(
    store: Store,
    clock: FakeClock,
    presence: Presence,
    after: timedelta,
    sighting: Sighting,
    closed: Closed,
) -> None:
    await take(store, an_alert())
    clock.advance(after.total_seconds() - 0.1)
    episodes = await quiet(store)
    assert await look(store, presence, *episodes) == {Sighting.QUIET: 1}
    clock.advance(0.1)
    assert await look(store, presence, *episodes) == {sighting: 1}
    assert await look(store, presence, *episodes) == {Sighting.QUIET: 1}
    (episode,) = await due(store)
    assert (episode.closed, episode.closed_at, episode.ended_at) == (closed, clock.wall(), None)
    assert await quiet(store) == []
    event = (await store.events(0, 100))[-1]
    assert event.kind.value == f"episode.{closed.value}"
    assert event.episode == episode.id
    assert event.data["why"]
    assert event.data["alertname"] == "ServiceDown"


async def test_it_stays_closed_with_its_word_across_a_restart(backend: Backend, clock: FakeClock) -> None:
    store = backend.make()
    await store.open()
    await take(store, an_alert())
    clock.advance(3600)
    await look(store, Presence.ABSENT, *await quiet(store))
    await store.close()
    store = backend.make()
    await store.open()
    assert [each.closed for each in await due(store)] == [Closed.VANISHED]
    await take(store, an_alert())
    assert [each.closed for each in await due(store)] == [Closed.VANISHED, None]
    await store.close()


async def test_of_several_who_look_at_once_one_closes_it(store: Store, clock: FakeClock) -> None:
    await take(store, *(an_alert(name) for name in "abc"))
    clock.advance(3600)
    episodes = await quiet(store)
    found = await asyncio.gather(*(look(store, Presence.ABSENT, *episodes) for _ in range(5)))
    assert sum(each.get(Sighting.VANISHED, 0) for each in found) == 3
    kinds = [event.kind.value for event in await store.events(0, 100)]
    assert kinds.count("episode.vanished") == 3


async def test_of_several_who_see_it_fire_at_once_one_counts(store: Store, clock: FakeClock) -> None:
    await take(store, an_alert())
    clock.advance(3600)
    episodes = await quiet(store)
    await asyncio.gather(*(look(store, Presence.FIRING, *episodes) for _ in range(5)))
    (episode,) = await due(store)
    assert episode.repeats == 1


async def test_what_was_told_while_it_was_asked_about_stays_open(store: Store, clock: FakeClock) -> None:
    await take(store, an_alert())
    clock.advance(3600)
    episodes = await quiet(store)
    await take(store, an_alert())
    assert await look(store, Presence.ABSENT, *episodes) == {Sighting.QUIET: 1}
    assert [each.is_open for each in await due(store)] == [True]


async def test_what_began_anew_meanwhile_is_due_to_be_decided(store: Store, clock: FakeClock) -> None:
    await take(store, an_alert())
    clock.advance(3600)
    (episode,) = await quiet(store)
    alert = an_alert(starts_at=clock.wall() - MINUTE)
    waiting = asyncio.create_task(store.wait(Topic.EPISODES, timedelta(seconds=30)))
    await asyncio.sleep(0)
    looks = [Look(episode, Presence.FIRING, "because", alert)]
    assert await store.review(looks, partial(review, patience=PATIENCE)) == {Sighting.REFIRED: 1}
    async with asyncio.timeout(10):
        await waiting
    assert [each.closed for each in await due(store)] == [Closed.SUPERSEDED, None]


async def test_one_that_vanished_since_it_was_handed_out_is_judged_as_it_is_now(
    store: Store, clock: FakeClock
) -> None:
    await take(store, an_alert())
    (handed_out,) = await due(store)
    clock.advance(3600)
    await look(store, Presence.ABSENT, *await quiet(store))
    judged: list[Episode] = []

    def judge(request: DecisionRequest, _view: GuardView) -> Decided:
        judged.append(request.episode)
        return Decided(Decision(DecisionKind.SKIP, Reason.RESOLVED))

    await store.decide([a_request(handed_out)], judge)
    assert [each.closed for each in judged] == [Closed.VANISHED]


async def test_a_turn_is_one_callers_until_its_time_is_over(store: Store, clock: FakeClock) -> None:
    taken = await asyncio.gather(*(store.take_turn("quiet", MINUTE) for _ in range(5)))
    assert sorted(taken) == [False, False, False, False, True]
    assert await store.take_turn("another", MINUTE)
    clock.advance(59.9)
    assert not await store.take_turn("quiet", MINUTE)
    clock.advance(0.1)
    assert await store.take_turn("quiet", MINUTE)
    assert not await store.take_turn("quiet", MINUTE)


def test_the_version_before_knows_every_word_that_an_episode_is_closed_with() -> None:
    """It reads `closed` alone, and must still fold alerts after a rollback."""
    words = {closed: closed_words(closed) for closed in Closed}
    assert {word for word, _ in words.values()} == {"resolved", "superseded"}
    assert [exact or word for word, exact in words.values()] == [closed.value for closed in Closed]
