"""Alerts that nobody tells of any more: asked about, refreshed, and closed only with proof or after long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.sandbox.alertmanager import Alert, AlertmanagerStandIn
from tests.support.daemon import Story, World, moment, reading
from tests.support.processes import eventually
from tests.support.rulebooks import alert, page_only, rule, rules

SOON = {"ask_after": "300ms", "vanish_after": "1s", "lapse_after": "3s"}
NEVER = {**SOON, "lapse_after": "1h"}


async def begun(world: World, text: str, *alerts: Alert, **settings: Any) -> datetime:
    """Start with these alerts firing in Alertmanager since before now, and told of once; gives when."""
    world.alertmanager.up_since = datetime.now(UTC) - timedelta(hours=1)
    await world.start(text, **settings)
    world.alertmanager.fire(alerts)
    await world.fire(*alerts)
    await world.idle()
    opened = await world.events("episode.opened")
    return moment(opened[-1]["at"])


async def closed(world: World, word: str) -> Story:
    """The event of an episode that ended so."""

    async def there() -> Story:
        found = await world.events(f"episode.{word}")
        assert found, [each["kind"] for each in await world.events()]
        return found[0]

    return await eventually(there, f"an episode has {word}", within=15)


async def looks(world: World, sighting: str) -> float:
    """How many looks at quiet episodes turned out so."""
    async with world.http.get(f"{world.url}/metrics") as answer:
        name = f'remediator_quiet_episodes_total{{sighting="{sighting}"}}'
        (line,) = [each for each in (await answer.text()).splitlines() if each.startswith(name)]
        return float(line.split()[-1])


async def looked(world: World, sighting: str, times: int = 3) -> None:
    async def often() -> bool:
        return await looks(world, sighting) >= times

    await eventually(often, f"{times} looks that are {sighting}", within=15)


async def test_an_alert_that_vanished_without_resolved_is_closed_after_a_while(world: World) -> None:
    firing = alert()
    opened = await begun(world, rules(page_only(), episodes=NEVER), firing)
    world.alertmanager.resolve([firing])
    event = await closed(world, "vanished")
    assert moment(event["at"]) - opened >= timedelta(seconds=1)
    assert world.alertmanager.url in event["data"]["why"]
    await world.fire(firing.resolved())
    await world.idle()
    assert await world.events("episode.resolved") == []


async def test_an_alert_that_still_fires_is_refreshed_and_never_closed(world: World) -> None:
    await begun(world, rules(page_only(), episodes=SOON), alert())
    await looked(world, "repeated")
    assert await world.events("episode.vanished", "episode.lapsed") == []
    assert len(await world.get("/decisions")) == 1


async def test_a_silenced_alert_is_not_closed_and_once_it_is_over_too_it_is(world: World) -> None:
    """Of a silenced alert no resolved is ever sent."""
    muted = alert(silenced_by=("s",))
    await begun(world, rules(page_only(), episodes=SOON), alert())
    world.alertmanager.fire([muted])
    await looked(world, "quiet", 6)
    assert await world.events("episode.vanished", "episode.lapsed") == []
    world.alertmanager.resolve([muted])
    await closed(world, "vanished")


async def test_one_that_can_not_be_asked_proves_nothing_until_long_after(world: World) -> None:
    opened = await begun(world, rules(page_only(), episodes=SOON), alert())
    await world.alertmanager.down()
    event = await closed(world, "lapsed")
    assert moment(event["at"]) - opened >= timedelta(seconds=3)
    assert "can't be asked" in event["data"]["why"]
    assert await world.events("episode.vanished") == []


async def test_without_any_to_ask_it_lapses_too(world: World) -> None:
    opened = await begun(world, rules(page_only(), episodes=SOON), alert(), alertmanager_url=())
    event = await closed(world, "lapsed")
    assert moment(event["at"]) - opened >= timedelta(seconds=3)


async def test_one_that_was_restarted_proves_nothing(world: World) -> None:
    await begun(world, rules(page_only(), episodes=SOON), alert())
    world.alertmanager.restart()
    event = await closed(world, "lapsed")
    assert "was restarted" in event["data"]["why"]
    assert await world.events("episode.vanished") == []


@pytest.mark.parametrize("fault", ["down", "restarted"])
async def test_both_of_a_pair_have_to_say_so(world: World, fault: str) -> None:
    before = datetime.now(UTC) - timedelta(hours=1)
    async with AlertmanagerStandIn(up_since=before) as other:
        urls = (world.alertmanager.url, other.url)
        firing = alert()
        await begun(world, rules(page_only(), episodes=NEVER), firing, alertmanager_url=urls)
        world.alertmanager.resolve([firing])
        if fault == "down":
            await other.down()
        else:
            other.restart()
        await looked(world, "quiet", 15)
        assert await world.events("episode.vanished") == []


async def test_a_run_that_has_not_begun_to_act_is_cancelled_by_it(world: World) -> None:
    """Law 3: it is seen as resolved."""
    world.alertmanager.up_since = datetime.now(UTC) - timedelta(hours=1)
    await world.start(rules(episodes=NEVER))
    firing = await world.break_service()
    held = world.hold(reading)
    await world.fire(firing)
    await held.struck()
    await world.ask("POST", "/api/v1/pauses", {"scope": "all", "value": "", "why": "to be slow"})
    held.release()
    await world.run_in("ready")
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("cancelled", "resolved")
    assert [each["closed"] for each in run["episodes"]] == ["vanished"]
    assert not world.applied()


async def test_one_that_waits_to_be_decided_is_skipped_by_it(world: World) -> None:
    trigger = {"matchers": ['alertname="ServiceDown"'], "firing_for": "3s"}
    world.alertmanager.up_since = datetime.now(UTC) - timedelta(hours=1)
    await world.start(rules(rule(when=trigger), episodes=NEVER))
    await world.fire(alert())
    decision = await world.decided("resolved")
    assert "vanished from Alertmanager" in decision["detail"]


async def test_what_fires_again_after_it_vanished_is_an_episode_of_its_own(world: World) -> None:
    firing = alert()
    await begun(world, rules(page_only(), episodes=NEVER), firing)
    world.alertmanager.resolve([firing])
    await closed(world, "vanished")
    world.alertmanager.fire([firing])
    await world.fire(firing)
    await world.idle()
    assert len(await world.events("episode.opened")) == 2
    assert await world.events("episode.stale") == []


async def test_it_outlives_the_process_that_heard_of_it(world: World) -> None:
    firing = alert()
    await begun(world, rules(page_only(), episodes=NEVER), firing)
    await world.stop()
    world.alertmanager.resolve([firing])
    await world.start()
    await closed(world, "vanished")
