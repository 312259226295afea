"""Several replicas on one ledger share its work: whatever two of them do at once, it counts once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from remediator.core.changes import (
    Intake,
)
from remediator.core.episodes import observe
from remediator.core.events import Event, EventKind
from remediator.core.ids import RulebookHash
from remediator.core.notices import Lane
from remediator.core.ports.channels import RuleFiles
from remediator.core.ports.store import Topic
from remediator.store.postgres import PostgresStore
from tests.store.clock import FakeClock
from tests.store.values import (
    CLAIM,
    a_request,
    an_alert,
    an_envelope,
    due,
    skipping,
    take,
)

SOON = timedelta(seconds=20)


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
