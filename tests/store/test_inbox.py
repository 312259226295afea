"""Webhooks and the episodes made of them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from remediator.core.alerts import Alert
from remediator.core.changes import Intake
from remediator.core.episodes import Closed, Episode, Observation, Sighting, observe
from remediator.core.events import EventKind
from remediator.core.ids import WebhookId
from remediator.core.ports.store import Store
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import START, a_request, an_alert, an_episode, due, skipping, take

PLENTY = 1 << 30


@pytest.mark.parametrize("body", [b"", b"{}", bytes(range(256)) * 5000], ids=["empty", "small", "binary"])
async def test_a_body_comes_back_as_it_was_sent(store: Store, clock: FakeClock, body: bytes) -> None:
    await store.save_webhook("team-a", body)
    (webhook,) = await store.untaken_webhooks(PLENTY)
    assert (webhook.source, webhook.body, webhook.received_at) == ("team-a", body, clock.wall())


async def test_webhooks_are_handed_out_oldest_first_up_to_so_many_bytes_and_at_least_one(
    store: Store,
) -> None:
    for letter in (b"a", b"b", b"c"):
        await store.save_webhook("default", letter * 100)
    assert [w.body[:1] for w in await store.untaken_webhooks(250)] == [b"a", b"b"]
    assert [w.body[:1] for w in await store.untaken_webhooks(1)] == [b"a"]


async def test_a_firing_alert_opens_an_episode_with_all_that_was_told(store: Store, clock: FakeClock) -> None:
    alert = an_alert()
    episode = await an_episode(store)
    assert episode == Episode(
        id=episode.id,
        source="default",
        fingerprint="f1",
        labels=alert.labels,
        annotations=alert.annotations,
        group=alert.group,
        starts_at=START,
        first_seen=clock.wall(),
        last_seen=clock.wall(),
    )
    assert episode.id > 0


async def test_each_webhook_says_what_its_alerts_were(store: Store) -> None:
    await store.save_webhook("default", b"1")
    await store.save_webhook("default", b"2")
    first, second = await store.untaken_webhooks(PLENTY)
    observed = await store.take_webhooks(
        [
            Intake(first.id, (an_alert("x"), an_alert("y"), an_alert("x"))),
            Intake(second.id, (an_alert("y", firing=False), an_alert("z", firing=False))),
        ],
        observe,
    )
    assert [dict(o.sightings) for o in observed] == [
        {Sighting.OPENED: 2, Sighting.REPEATED: 1},
        {Sighting.RESOLVED: 1, Sighting.UNKNOWN_RESOLVED: 1},
    ]
    assert [o.opened for o in observed] == [2, 0]
    by_key = {episode.fingerprint: episode for episode in await due(store)}
    assert observed[1].closed == (by_key["y"].id,)
    assert by_key["y"].closed is Closed.RESOLVED
    assert (by_key["x"].is_open, by_key["x"].repeats) == (True, 1)


async def test_folding_in_one_call_is_folding_one_by_one(store: Store, clock: FakeClock) -> None:
    """Open, repeat, refire, resolve, stale and reopen, of one key, within a single webhook."""
    later = START + timedelta(hours=1)
    alerts = (
        an_alert(),
        an_alert(starts_at=START - timedelta(minutes=1)),
        an_alert(starts_at=later),
        an_alert(starts_at=later, firing=False),
        an_alert(starts_at=START),
        an_alert(starts_at=later + timedelta(hours=1)),
    )
    expected: list[Sighting] = []
    latest: Episode | None = None
    for alert in alerts:
        seen = observe(alert, latest, clock.wall())
        expected.append(seen.sighting)
        latest = seen.opened or seen.changed or latest
    await take(store, *alerts)
    kinds = [event.kind.value for event in await store.events(0, 100)]
    assert kinds == [f"episode.{s.value}" for s in expected if s is not Sighting.REPEATED]
    episodes = await due(store)
    assert [episode.closed for episode in episodes] == [Closed.SUPERSEDED, Closed.RESOLVED, None]
    assert episodes[0].starts_at == START - timedelta(minutes=1)


async def test_the_latest_episode_of_a_key_is_folded_into_across_calls_and_restarts(
    backend: Backend, clock: FakeClock
) -> None:
    store = backend.make()
    await store.open()
    await take(store, an_alert())
    await store.close()
    clock.advance(60)
    store = backend.make()
    await store.open()
    await take(store, an_alert())
    (episode,) = await due(store)
    assert (episode.repeats, episode.last_seen) == (1, clock.wall())
    await store.close()


async def test_the_same_fingerprint_of_two_sources_is_two_episodes(store: Store) -> None:
    for source in ("east", "west"):
        await store.save_webhook(source, b"")
        (webhook,) = await store.untaken_webhooks(PLENTY)
        alert = an_alert()
        named = Alert(
            source,
            alert.fingerprint,
            firing=True,
            labels=alert.labels,
            annotations={},
            starts_at=START,
        )
        await store.take_webhooks([Intake(webhook.id, (named,))], observe)
    assert [episode.source for episode in await due(store)] == ["east", "west"]


async def test_mere_repeats_write_no_event(store: Store) -> None:
    await take(store, an_alert())
    before = await store.events(0, 100)
    await take(store, an_alert(), an_alert())
    assert await store.events(0, 100) == before


async def test_a_webhook_taken_twice_counts_once(store: Store) -> None:
    await store.save_webhook("default", b"")
    (webhook,) = await store.untaken_webhooks(PLENTY)
    intake = Intake(webhook.id, (an_alert(),))
    (first, again) = await store.take_webhooks([intake, intake], observe)
    assert (first.opened, again.opened, again.sightings) == (1, 0, {})
    (later,) = await store.take_webhooks([intake], observe)
    assert (later.opened, later.sightings) == (0, {})
    (episode,) = await due(store)
    assert episode.repeats == 0
    assert await store.untaken_webhooks(PLENTY) == []


async def test_a_webhook_that_is_no_payload_is_taken_with_an_event_and_touches_no_episode(
    store: Store,
) -> None:
    await store.save_webhook("default", b"[]")
    (webhook,) = await store.untaken_webhooks(PLENTY)
    await store.take_webhooks([Intake(webhook.id, quarantine="no alerts in it")], observe)
    (event,) = await store.events(0, 10)
    assert event.kind is EventKind.WEBHOOK_QUARANTINED
    assert event.data == {"webhook": webhook.id, "why": "no alerts in it"}
    assert await store.untaken_webhooks(PLENTY) == []
    assert await due(store) == []


async def test_a_webhook_that_the_ledger_does_not_have_is_passed_over(store: Store) -> None:
    (observed,) = await store.take_webhooks([Intake(WebhookId(77), (an_alert(),))], observe)
    assert observed.sightings == {}
    assert await due(store) == []


async def test_a_fold_that_raises_leaves_nothing(store: Store) -> None:
    await store.save_webhook("default", b"")
    (webhook,) = await store.untaken_webhooks(PLENTY)

    def failing(alert: Alert, latest: Episode | None, now: datetime) -> Observation:
        if alert.fingerprint == "bad":
            message = "planted"
            raise RuntimeError(message)
        return observe(alert, latest, now)

    with pytest.raises(RuntimeError, match="planted"):
        await store.take_webhooks([Intake(webhook.id, (an_alert("good"), an_alert("bad")))], failing)
    assert await store.untaken_webhooks(PLENTY) == [webhook]
    assert await due(store) == []
    assert await store.events(0, 10) == []


async def test_a_closed_episode_is_still_decided_and_a_new_one_may_open(store: Store) -> None:
    first = await an_episode(store)
    await take(store, an_alert(firing=False))
    assert [episode.id for episode in await due(store)] == [first.id]
    await store.decide([a_request(first)], skipping)
    await take(store, an_alert(starts_at=START + timedelta(hours=2)))
    (second,) = await due(store)
    assert second.id > first.id


async def test_a_refire_closes_the_open_episode_of_an_earlier_call_and_opens_the_next(
    store: Store, clock: FakeClock
) -> None:
    await take(store, an_alert())
    clock.advance(3600)
    await take(store, an_alert(starts_at=clock.wall()))
    old, new = await due(store)
    assert (old.closed, old.closed_at, new.closed) == (Closed.SUPERSEDED, clock.wall(), None)
    told = (await store.events(0, 10))[-1]
    assert (told.kind, told.episode, told.data["superseded"]) == (
        EventKind.EPISODE_REFIRED,
        new.id,
        old.id,
    )
