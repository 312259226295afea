"""The dead man's switch: a Watchdog that stays away pages once; one that arrives is a heartbeat outside."""

from __future__ import annotations

import json
import resource
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from remediator.sandbox.alertmanager import Alert, webhook
from tests.support.daemon import HOOK, Story, World
from tests.support.heartbeats import HeartbeatReceiver
from tests.support.metrics import counted, samples
from tests.support.processes import eventually
from tests.support.rulebooks import alert, page_only, rules

WATCHDOG = Alert({"alertname": "Watchdog", "severity": "none"})
AGE = "remediator_watchdog_age_seconds"
PAGES = rules(page_only(when={"matchers": ['alertname!=""']}), watchdog={"within": "1s"})
PATIENT = rules(page_only(when={"matchers": ['alertname!=""']}), watchdog={"within": "1h"})


@pytest.fixture
async def outside() -> AsyncIterator[HeartbeatReceiver]:
    async with HeartbeatReceiver() as receiver:
        yield receiver


async def happened(world: World, kind: str, count: int = 1) -> list[Story]:
    async def there() -> list[Story]:
        found = await world.events(kind)
        assert len(found) >= count, [each["kind"] for each in await world.events()]
        return found

    return await eventually(there, f"{count} {kind}", within=15)


async def metric(world: World, name: str, **labels: str) -> float | None:
    """A sample of the daemon's; None where there is none."""
    found = await samples(world.http, f"{world.url}/metrics", name, **labels)
    return found[0].value if found else None


async def heartbeats(world: World, result: str, times: int) -> None:
    """Return once so many heartbeats that came to this have been counted."""
    metrics = f"{world.url}/metrics"
    await counted(
        world.http, metrics, "remediator_heartbeats_total", lambda seen: seen == times, result=result
    )


async def absent_for(world: World, seconds: float) -> None:
    """Wait until the daemon itself says that it has heard of no Watchdog for so long."""

    async def so_long() -> bool:
        return (await metric(world, AGE, source="default") or 0) >= seconds

    await eventually(so_long, f"no Watchdog for {seconds} s", within=15)


async def beaten(outside: HeartbeatReceiver, count: int) -> None:
    await eventually(lambda: len(outside.beats) == count, f"{count} heartbeats", within=15)


async def test_the_watchdog_is_no_episode_and_nothing_is_decided_about_it(world: World) -> None:
    """Not even by a rule that takes every alert, and not as `no_rule`; what comes with it is taken in."""
    await world.start(PATIENT)
    await world.fire(WATCHDOG)
    await world.fire(WATCHDOG.resolved())
    both = [alert(), Alert({**WATCHDOG.labels, "namespace": "shop"})]
    await world.post(json.dumps(webhook(both, group_by=[])).encode())
    await world.decided("page_only")
    await world.idle()
    (opened,) = await world.events("episode.opened")
    assert opened["data"]["alertname"] == "ServiceDown"
    assert len(await world.get("/decisions")) == 1


async def test_one_that_never_arrived_is_not_missed(world: World) -> None:
    await world.start(PAGES)
    await world.fire(WATCHDOG.resolved())
    await world.fire(alert())
    await world.decided("page_only")
    await world.past(datetime.now(UTC) + timedelta(seconds=1.5))
    assert await world.events("watchdog.missed") == []


async def test_one_that_stays_away_is_paged_once_and_its_return_is_told(world: World) -> None:
    await world.start(PAGES)
    await world.fire(WATCHDOG)
    await happened(world, "watchdog.missed")
    await world.paged("the Watchdog is missing", "no Watchdog of default within 1s")
    await happened(world, "page.opened")
    await absent_for(world, 3)
    assert len(await world.events("watchdog.missed")) == 1
    await world.fire(WATCHDOG)
    await world.told("the Watchdog is back")
    await happened(world, "page.over")
    await happened(world, "watchdog.missed", 2)
    assert len(await world.events("watchdog.returned")) == 1
    await world.idle()
    assert sum("missing" in page.text for page in world.pages) == 2


async def test_with_a_pager_it_is_an_incident_that_its_return_resolves(world: World) -> None:
    await world.start(PAGES, **world.pager)
    await world.fire(WATCHDOG)
    incident = await world.incident("triggered")
    assert incident.dedup_key == "watchdog:default"
    await world.told("the Watchdog is missing")
    await world.fire(WATCHDOG)
    await world.incident("resolved")
    await world.told("the Watchdog is back")
    await world.idle()
    assert world.pages == []


async def test_it_is_awaited_after_a_restart_too(world: World) -> None:
    await world.start(PATIENT)
    await world.fire(WATCHDOG)
    await world.idle()
    await world.stop()
    await world.start(PAGES)
    await happened(world, "watchdog.missed")


async def test_what_was_told_before_a_restart_is_not_told_after_it(world: World) -> None:
    await world.start(PAGES)
    await world.fire(WATCHDOG)
    await happened(world, "watchdog.missed")
    await world.paged("the Watchdog is missing")
    await world.stop()
    await world.start(PAGES)
    await world.past(datetime.now(UTC) + timedelta(seconds=1.5))
    await absent_for(world, 3)
    assert len(await world.events("watchdog.missed")) == 1
    await world.fire(WATCHDOG)
    await happened(world, "watchdog.returned")


async def test_which_alert_it_is_and_whether_there_is_one_is_the_rulebooks(world: World) -> None:
    own = {"matchers": ['alertname="DeadMansSnitch"'], "within": "1s"}
    await world.start(rules(page_only(when={"matchers": ['alertname!=""']}), watchdog=own))
    await world.fire(Alert({"alertname": "DeadMansSnitch"}))
    await world.fire(WATCHDOG)
    await world.decided("target_invalid")
    await happened(world, "watchdog.missed")
    assert [each["data"]["alertname"] for each in await world.events("episode.opened")] == ["Watchdog"]
    world.write_rules(rules(page_only(), watchdog={"matchers": []}))
    assert (await world.ask("POST", "/api/v1/rulebook/reload"))[0] == 200

    async def nobody_waits() -> bool:
        return await metric(world, AGE, source="default") is None

    await eventually(nobody_waits, "nobody waits for it any more", within=15)


async def test_each_arrival_is_a_heartbeat_at_a_bounded_pace(
    world: World, outside: HeartbeatReceiver
) -> None:
    await world.start(PATIENT, heartbeat_url=SecretStr(outside.url))
    for count in (1, 2, 3):
        for _ in range(5):
            await world.fire(WATCHDOG)
        await beaten(outside, count)
    await absent_for(world, 1)
    assert len(outside.beats) <= 4
    assert set(outside.beats) == {("GET", "/ping/s3cr3t-value")}
    await heartbeats(world, "sent", len(outside.beats))


async def test_without_arrivals_there_is_no_heartbeat(world: World, outside: HeartbeatReceiver) -> None:
    await world.start(PATIENT, heartbeat_url=SecretStr(outside.url))
    await world.fire(WATCHDOG)
    await beaten(outside, 1)
    await world.fire(alert())
    await world.decided("page_only")
    await absent_for(world, 2)
    assert len(outside.beats) == 1
    await world.stop()
    await world.start(PATIENT, heartbeat_url=SecretStr(outside.url))
    await world.past(datetime.now(UTC) + timedelta(seconds=0.5))
    await absent_for(world, 2)
    assert len(outside.beats) == 1


async def test_a_heartbeat_that_fails_is_counted_and_alarmed_and_holds_nothing_up(
    world: World, outside: HeartbeatReceiver, capfd: pytest.CaptureFixture[str]
) -> None:
    outside.status = 500
    await world.start(PATIENT, heartbeat_url=SecretStr(outside.url))
    await world.fire(WATCHDOG)
    await world.told("heartbeat failed", "500")
    await heartbeats(world, "failed", 1)
    outside.status = 200
    await world.fire(WATCHDOG)
    await beaten(outside, 2)
    written = "".join(capfd.readouterr()) + str(await world.events()) + str(world.slack.messages)
    assert "s3cr3t-value" not in written


@pytest.mark.timeout(150)  # two heartbeats of a daemon that is in no hurry lie half a minute apart
async def test_while_nothing_can_be_kept_there_is_no_heartbeat_and_afterwards_no_false_alarm(
    world: World, outside: HeartbeatReceiver
) -> None:
    """What could not reach us was not absent: only once it could again is it awaited anew."""
    within = rules(page_only(), watchdog={"within": "3s"})
    process = await world.spawn(within, HEARTBEAT_URL=outside.url)
    await world.fire(WATCHDOG)
    await beaten(outside, 1)
    pid = process.pid
    limit = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    async def refused() -> bool:
        status, _ = await world.post(b'{"version": "4", "alerts": []}', HOOK)
        return status == 503

    await eventually(refused, "nothing can be kept", within=15)
    await world.past(datetime.now(UTC) + timedelta(seconds=4))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)

    async def taken() -> bool:
        status, _ = await world.post(b'{"version": "4", "alerts": []}', HOOK)
        return status == 200

    assert len(outside.beats) == 1
    await eventually(taken, "it can be kept again", within=15)

    async def passed_on() -> bool:
        await world.fire(WATCHDOG)
        return len(outside.beats) == 2

    await eventually(passed_on, "the heartbeat after it", within=60)
    assert await world.events("watchdog.missed") == []
