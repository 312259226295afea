"""`alert.resolved` against Alertmanagers on loopback: absence proves only from one that was there to know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from remediator.actions.alerts import AlertResolved
from remediator.actions.specs import CHECKS
from remediator.clients.alertmanager import AlertmanagerClient
from remediator.core.answers import Silent
from remediator.core.checks import CheckAnswer, CheckContext, Concerned, Said
from remediator.core.episodes import Closed, Episode
from remediator.core.ids import EpisodeId
from remediator.core.targets import Target
from remediator.sandbox.alertmanager import Alert, AlertmanagerStandIn
from remediator.sandbox.faults import Answer, Hang, Refuse

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LABELS = {"alertname": "ServiceDown", "job": "cart"}
DOWN = Alert(LABELS, starts_at=NOW)
BEFORE, AFTER = NOW - timedelta(hours=1), NOW + timedelta(seconds=1)


def episode(alert: Alert = DOWN, closed: Closed | None = None, number: int = 1) -> Episode:
    return Episode(
        id=EpisodeId(number),
        source="default",
        fingerprint=alert.fingerprint,
        labels=alert.labels,
        annotations={},
        starts_at=NOW,
        first_seen=NOW,
        last_seen=NOW,
        closed=closed,
    )


def in_pages(episodes: Sequence[Episode]) -> Concerned:
    """One to a page, as the ledger gives them."""

    async def pages() -> AsyncIterator[Sequence[Episode]]:
        for each in sorted(episodes, key=lambda one: one.id):
            yield (each,)

    return pages


async def ask(*urls: str, episodes: tuple[Episode, ...] = (episode(),), timeout: float = 5) -> CheckAnswer:
    client = AlertmanagerClient(urls, timeout=timeout)
    spec = CHECKS["alert.resolved"]
    context = CheckContext(
        Target("default", "deployment", "shop", "cart"), spec.parse({}, False), in_pages(episodes), NOW
    )
    try:
        return await AlertResolved(spec, client).look(context)
    finally:
        await client.close()


@asynccontextmanager
async def alertmanager(*firing: Alert, up_since: datetime = BEFORE) -> AsyncIterator[AlertmanagerStandIn]:
    async with AlertmanagerStandIn(up_since=up_since) as server:
        server.fire(firing)
        yield server


async def test_absent_from_every_alertmanager_is_resolved() -> None:
    async with alertmanager() as one, alertmanager() as other:
        answer = await ask(one.url, other.url)
    assert (answer.said, answer.detail) == (Said.YES, "no longer active in 2 Alertmanagers")


async def test_active_in_any_of_them_is_not() -> None:
    async with alertmanager() as one, alertmanager(DOWN) as other:
        answer = await ask(one.url, other.url)
    assert answer.said is Said.NO
    assert answer.evidence["alertmanager"] == other.url


async def test_one_of_several_alerts_still_active_is_not() -> None:
    second = Alert({**LABELS, "alertname": "HighErrorRate"}, starts_at=NOW)
    async with alertmanager(second) as server:
        answer = await ask(server.url, episodes=(episode(), episode(second)))
    assert answer.said is Said.NO


async def test_somebody_elses_alert_of_the_same_name_is_no_matter() -> None:
    async with alertmanager(Alert({**LABELS, "job": "auth"}, starts_at=NOW)) as server:
        assert (await ask(server.url)).said is Said.YES


async def test_a_silenced_alert_still_fires() -> None:
    async with alertmanager(Alert(LABELS, starts_at=NOW, silenced_by=("s-1",))) as server:
        assert (await ask(server.url)).said is Said.NO


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "ünïcode", '{x="y"}'])
async def test_a_hostile_name_is_asked_for_literally(name: str) -> None:
    alert = Alert({"alertname": name}, starts_at=NOW)
    async with alertmanager(alert) as server:
        assert (await ask(server.url, episodes=(episode(alert),))).said is Said.NO


async def test_one_that_can_not_be_asked_makes_it_an_error() -> None:
    async with alertmanager() as one, alertmanager() as other:
        await other.down()
        answer = await ask(one.url, other.url)
    assert answer.said is Said.ERROR
    assert other.url in answer.detail


@pytest.mark.parametrize("path", ["/api/v2/alerts", "/api/v2/status"])
@pytest.mark.parametrize("fault", [Answer(500), Answer(404), Refuse(), Hang()], ids=str)
async def test_no_fault_of_an_alertmanager_is_a_yes(path: str, fault: Answer | Refuse | Hang) -> None:
    async with alertmanager() as server:
        server.faults.add(lambda asked: asked == path, fault, times=None)
        assert (await ask(server.url, timeout=0.5)).said is Said.ERROR


async def test_one_restarted_since_proves_nothing_and_the_ledger_is_asked() -> None:
    """After a restart an Alertmanager may not have heard of a firing alert again."""
    async with alertmanager(up_since=AFTER) as server:
        still_open = await ask(server.url)
        closed = await ask(server.url, episodes=(episode(closed=Closed.RESOLVED),))
    assert (still_open.said, closed.said) == (Said.ERROR, Said.YES)
    assert "was restarted after the alert began" in still_open.detail


async def test_one_restarted_since_may_still_say_that_it_fires() -> None:
    async with alertmanager(DOWN, up_since=AFTER) as server:
        assert (await ask(server.url, episodes=(episode(closed=Closed.RESOLVED),))).said is Said.NO


async def test_without_any_alertmanager_the_ledger_is_asked() -> None:
    assert (await ask()).said is Said.ERROR
    assert (await ask(episodes=(episode(closed=Closed.RESOLVED),))).said is Said.YES


@pytest.mark.parametrize(
    ("last", "said"),
    [(Closed.RESOLVED, Said.YES), (Closed.SUPERSEDED, Said.ERROR), (None, Said.ERROR)],
)
async def test_by_the_ledger_a_superseded_episode_is_as_resolved_as_its_successor(
    last: Closed | None, said: Said
) -> None:
    """The successor of the last one isn't known here, and may still fire."""
    known = (episode(closed=Closed.SUPERSEDED), episode(closed=last, number=2))
    assert (await ask(episodes=known)).said is said
    assert (await ask(episodes=known[::-1])).said is said


async def test_a_successor_of_another_alert_says_nothing_of_this_one() -> None:
    second = Alert({**LABELS, "alertname": "HighErrorRate"}, starts_at=NOW)
    known = (episode(closed=Closed.SUPERSEDED), episode(second, closed=Closed.RESOLVED, number=2))
    assert (await ask(episodes=known)).said is Said.ERROR


async def test_without_an_alert_there_is_none_to_have_resolved() -> None:
    async with alertmanager() as server:
        assert (await ask(server.url, episodes=())).said is Said.ERROR


async def test_a_password_in_the_url_is_never_shown() -> None:
    client = AlertmanagerClient(["http://me:hunter2@127.0.0.1:1/prefix/"])
    [heard] = await client.ask()
    await client.close()
    assert isinstance(heard, Silent)
    assert "hunter2" not in f"{heard}"
    assert heard.url == "http://127.0.0.1:1/prefix"


async def test_of_very_many_that_still_fire_all_are_counted_and_some_are_named() -> None:
    alerts = [Alert({**LABELS, "instance": str(number)}, starts_at=NOW) for number in range(250)]
    known = tuple(episode(alert, number=number) for number, alert in enumerate(alerts, 1))
    async with alertmanager(*alerts) as server:
        answer = await ask(server.url, episodes=known)
    named = answer.evidence["fingerprints"]
    assert answer.detail.startswith("250 alerts still active")
    assert isinstance(named, list)
    assert len(named) == 100


async def test_who_joins_while_alertmanager_is_asked_is_the_next_looks() -> None:
    late = Alert({**LABELS, "alertname": "HighErrorRate"}, starts_at=NOW)
    joined: list[Episode] = []

    async def pages() -> AsyncIterator[Sequence[Episode]]:
        yield (episode(),)
        yield joined
        joined[:] = [episode(late, number=2)]

    async with alertmanager(late) as server:
        client = AlertmanagerClient([server.url])
        spec = CHECKS["alert.resolved"]
        target = Target("default", "deployment", "shop", "cart")
        answers = [
            (await AlertResolved(spec, client).look(CheckContext(target, None, pages, NOW))).said
            for _ in range(2)
        ]
        await client.close()
    assert answers == [Said.YES, Said.NO]
