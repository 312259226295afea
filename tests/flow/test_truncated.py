"""A webhook that leaves alerts out: they are asked of Alertmanager, and taken in as if it had told them."""

from __future__ import annotations

from remediator.sandbox.alertmanager import Alert, AlertmanagerStandIn
from remediator.sandbox.faults import Answer, Hang
from tests.support.daemon import Story, World, reasons
from tests.support.processes import eventually
from tests.support.rulebooks import alert, page_only, rule, rules


def group(count: int) -> list[Alert]:
    """ServiceDown of so many instances of one service."""
    return [alert(instance=f"10.0.0.{n}:80") for n in range(count)]


async def opened(world: World, count: int) -> list[Story]:
    """The events of so many episodes that opened, once there are so many."""

    async def there() -> list[Story]:
        found = await world.events("episode.opened")
        assert len(found) >= count, found
        return found

    found = await eventually(there, f"{count} episodes", within=15)
    await world.idle()
    return found


async def test_what_was_left_out_is_taken_in_as_webhooks_are(world: World) -> None:
    """Of one run and one source, with the group's labels, and the told ones are no second episode."""
    await world.start(rules())
    await world.break_service()
    alerts = group(4)
    world.alertmanager.fire(alerts)
    await world.fire(*alerts, max_alerts=1)
    events = await opened(world, 4)
    assert {each["data"]["source"] for each in events} == {"default"}
    assert {each["data"]["fingerprint"] for each in events} == {each.fingerprint for each in alerts}
    run = await world.run_ended()
    assert len(await world.runs()) == 1
    assert len(run["episodes"]) == 4
    assert len(world.applied()) == 1
    (answered,) = await world.events("inquiry.answered")
    assert answered["data"]["alerts"] == 4
    assert answered["data"]["by"] == [world.alertmanager.url]
    await world.told("webhook truncated", "left 3 alerts out")
    assert len(await world.events("episode.opened")) == 4


async def test_a_template_sees_the_group_of_one_that_was_left_out(world: World) -> None:
    on_group = rule(
        when={"matchers": ['instance="10.0.0.3:80"']}, target="deployment/shop/{{ group.alertname | lower }}"
    )
    await world.start(rules(on_group))
    alerts = group(4)
    world.alertmanager.fire(alerts)
    await world.fire(*alerts, max_alerts=1)
    await opened(world, 4)
    decided: list[Story] = await world.get("/decisions?limit=100")
    assert {each["target"] for each in decided if each["rule"]} == {"deployment/shop/servicedown"}


async def test_of_silenced_inhibited_and_other_alerts_none_is_taken_in(world: World) -> None:
    await world.start(rules(page_only()))
    told, missing = group(2)
    quiet = [
        alert(instance="silenced", silenced_by=("s",)),
        alert(instance="inhibited", inhibited_by=("f",)),
        alert(instance="other", labels={"alertname": "HighErrorRate"}),
    ]
    world.alertmanager.fire([told, missing, *quiet])
    await world.fire(told, missing, max_alerts=1)
    events = await opened(world, 2)
    assert {each["data"]["fingerprint"] for each in events} == {told.fingerprint, missing.fingerprint}


async def test_what_webhooks_tell_too_is_no_second_episode(world: World) -> None:
    await world.start(rules(page_only()))
    alerts = group(3)
    world.alertmanager.fire(alerts)
    for _ in range(2):
        await world.fire(*alerts, max_alerts=2)
        await world.fire(*alerts)
    await opened(world, 3)
    await answered(world, 1)
    assert len(await world.events("episode.opened")) == 3
    assert reasons(await world.get("/decisions")) == [("skip", "page_only")] * 3


async def answered(world: World, count: int) -> None:
    async def there() -> bool:
        assert len(await world.events("inquiry.answered")) >= count
        return not (await world.get("/status"))["backlog"]["inquiries"]

    await eventually(there, f"{count} answers", within=15)
    await world.idle()


async def test_one_that_resolved_meanwhile_is_not_taken_in(world: World) -> None:
    await world.start(rules(page_only()))
    told, gone = group(2)
    world.alertmanager.fire([told])
    await world.fire(told, gone, max_alerts=1)
    await answered(world, 1)
    assert len(await world.events("episode.opened")) == 1


async def test_while_none_answers_it_is_alarmed_and_asked_again(world: World) -> None:
    await world.start(rules(page_only()))
    alerts = group(3)
    world.alertmanager.fire(alerts)
    await world.alertmanager.down()
    await world.fire(*alerts, max_alerts=1)
    await world.told("inquiry unanswered", "alertname=ServiceDown: 2", world.alertmanager.url)
    assert len(await world.events("episode.opened")) == 1
    await world.alertmanager.up()
    await opened(world, 3)


async def test_with_none_to_ask_it_is_alarmed(world: World) -> None:
    await world.start(rules(page_only()), alertmanager_url=())
    await world.fire(*group(2), max_alerts=1)
    await world.told("inquiry unanswered", "REMEDIATOR_ALERTMANAGER_URL")
    assert (await world.get("/status"))["backlog"]["inquiries"] == 1


async def test_one_of_a_pair_is_enough_if_it_knows_the_group(world: World) -> None:
    async with AlertmanagerStandIn() as other:
        await world.start(rules(page_only()), alertmanager_url=(world.alertmanager.url, other.url))
        await other.down()
        alerts = group(3)
        world.alertmanager.fire(alerts)
        await world.fire(*alerts, max_alerts=1)
        await answered(world, 1)
    assert len(await world.events("episode.opened")) == 3


async def test_a_hanging_one_holds_up_no_webhook(world: World) -> None:
    world.alertmanager.faults.add(lambda path: path == "/api/v2/alerts", Hang(), times=None)
    await world.start(rules(page_only()))
    await world.fire(*group(2), max_alerts=1)
    await world.fire(alert("auth"))
    await opened(world, 2)


async def test_a_kill_between_the_webhook_and_the_question_loses_nothing(world: World) -> None:
    """The webhook is taken in, Alertmanager can't be asked, the process dies: the next one asks."""
    down = world.alertmanager.faults.add(lambda _: True, Answer(503), times=None)
    process = await world.spawn(rules(page_only()))
    alerts = group(3)
    world.alertmanager.fire(alerts)
    await world.fire(*alerts, max_alerts=1)
    await opened(world, 1)
    process.kill()
    world.alertmanager.faults.remove(down)
    await world.spawn()
    await opened(world, 3)
