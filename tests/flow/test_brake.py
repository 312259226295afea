"""The brake: many targets at once, or many failures, stop automation, page once and wait for a person."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remediator.sandbox.alertmanager import Alert, webhook
from remediator.sandbox.slack import Message
from tests.support.daemon import Story, World, changing, reading, written
from tests.support.processes import eventually
from tests.support.rulebooks import NAMESPACE, alert, rule, rules, step

BUDGET = 5
ENGAGED = "The brake is engaged"
SUMMARY = "would have acted on"


def scaling(**fields: Any) -> dict[str, Any]:
    """A rule whose steps need no history: it can act on a Deployment as soon as that is there."""
    steps = [step("kubernetes.scale", with_={"replicas": 1})]
    return rule("scale", **{"steps": steps, "limits": {"cooldown": 0}, **fields})


def deploy(world: World, *names: str, namespace: str = NAMESPACE) -> None:
    for name in names:
        world.cluster.deploy(namespace, name, "registry.example/app:1", replicas=0)


def in_namespace(namespace: str, name: str) -> Alert:
    return alert(name, labels={"namespace": namespace})


async def brakes(world: World) -> list[Story]:
    found: list[Story] = (await world.get("/status"))["brakes"]
    return found


async def engaged(world: World, count: int = 1) -> list[Story]:
    async def there() -> list[Story]:
        found = await brakes(world)
        assert len(found) == count, found
        return found

    return await eventually(there, f"{count} brakes are engaged", within=15)


def acted_on(world: World) -> set[str]:
    changed = world.cluster.audit.changes(resource="deployments")
    return {each.name for each in changed if world.applied(each.name)}


def heads(world: World, text: str) -> list[Message]:
    """What was posted and not replaced since, and says this."""
    return [each for each in world.slack.messages if text in written(each)]


async def resume(world: World, *arguments: str) -> None:
    code, said, errors = await world.cli("resume", *arguments, "--why", "the switch is mended")
    assert (code, "1 lifted" in said) == (0, True), errors


@pytest.mark.parametrize("budgets", [{}, {"share": "50%"}], ids=["targets", "and a share"])
async def test_a_storm_is_stopped_within_the_budget_and_told_once(
    world: World, budgets: dict[str, Any]
) -> None:
    """5,000 alerts on 500 targets, ten instances each, on any of which Remediator could act."""
    names = [f"service-{number:03}" for number in range(500)]
    deploy(world, *names)
    await world.cluster.settled(60)
    await world.start(rules(scaling(), brake=budgets))
    alerts = [alert(name, instance=f"10.0.{n}.1:80") for n in range(10) for name in names]
    for first in range(0, len(alerts), 500):
        code, said = await world.post(json.dumps(webhook(alerts[first : first + 500])).encode())
        assert code == 200, said

    async def all_decided() -> Story:
        status: Story = await world.get("/status")
        waiting = ("webhooks", "episodes", "unfinished_runs", "outbox")
        assert not any(status["backlog"][name] for name in waiting), status["backlog"]
        return status

    status = await eventually(all_decided, "all are decided", within=60)
    assert len(acted_on(world)) <= BUDGET
    (brake,) = status["brakes"]
    assert (brake["pause"]["brake"], brake["pause"]["scope"]) == ("targets", "all")
    begun = {run["target"] for run in await world.runs() if run["outcome"] == "succeeded"}
    assert len(begun) <= BUDGET
    assert brake["targets"] >= len(names) - BUDGET
    assert brake["alerts"] == sum(each["alerts"] for each in brake["rules"]) > 4_900

    async def counted() -> bool:
        counts = await metrics(world)
        assert counts['remediator_brakes_engaged{budget="targets",scope="all"}'] == 1
        assert counts["remediator_braked_targets"] == brake["targets"]
        assert counts['remediator_decisions_total{kind="skip",reason="brake"}'] <= brake["alerts"]
        return bool(counts["remediator_braked_alerts"] == brake["alerts"])

    await eventually(counted, "the counts are published", within=10)

    async def told() -> bool:
        (summary,) = heads(world, SUMMARY)
        return f"{brake['alerts']:,} alerts, {brake['targets']:,} targets" in written(summary)

    await eventually(told, "the summary says it all", within=10)
    (page,) = world.pages
    assert ENGAGED in written(page)
    assert len(world.slack.messages) <= 2 + len(await world.runs()), "nothing else is told one by one"


async def metrics(world: World) -> dict[str, float]:
    async with world.http.get(f"{world.url}/metrics") as answer:
        lines = [line for line in (await answer.text()).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_the_sixth_target_is_one_too_many_and_only_a_person_lets_it_go_on(world: World) -> None:
    names = [f"service-{number}" for number in range(1, 9)]
    deploy(world, *names)
    await world.start(rules(scaling()))
    for number, name in enumerate(names[:BUDGET], 1):
        await world.fire(alert(name))
        assert (await world.run_ended(number))["outcome"] == "succeeded"
    assert await brakes(world) == []
    await world.fire(alert(names[5]))
    decision = await world.decided("brake")
    assert (decision["kind"], decision["detail"]) == ("skip", "6 targets, the budget is 5/10m")
    await world.paged(ENGAGED, "6 targets, the budget is 5/10m")

    await world.idle()
    await world.stop()
    await world.start()
    (brake,) = await engaged(world)
    assert (brake["alerts"], brake["examples"]) == (1, [f"deployment/{NAMESPACE}/service-6"])
    await world.fire(alert(names[6]))
    code, said, errors = await world.cli("status")
    assert (code, "brake engaged" in said) == (0, True), errors
    await world.told(SUMMARY, names[6])
    assert len(world.pages) == 1, "a restart is no second page"

    await resume(world)
    await world.told("The brake is released", "the switch is mended")
    assert await brakes(world) == []
    await world.fire(alert(names[5]), alert(names[7]))
    assert (await world.run_ended(BUDGET + 1))["target"] == f"deployment/{NAMESPACE}/service-8"
    await world.idle()
    assert acted_on(world) == {*names[:BUDGET], names[7]}, "a skip is final"
    (event,) = await world.events("brake.released")
    assert (event["data"]["who"], event["data"]["why"]) == ("operator", "the switch is mended")


async def test_failures_stop_automation_before_the_next_alert_comes(world: World) -> None:
    await world.start(rules(scaling()))
    for number in range(1, 4):
        await world.fire(alert(f"missing-{number}"))
        assert (await world.run_ended(number))["outcome"] == "failed"
    (brake,) = await engaged(world)
    assert brake["pause"]["brake"] == "failures"
    await world.paged(ENGAGED, "3 failed runs, the budget is 3/1h")
    deploy(world, "cart")
    await world.fire(alert("cart"))
    assert (await world.decided("brake"))["kind"] == "skip"
    assert not world.applied("cart")


async def test_a_namespace_is_stopped_by_itself_where_its_budget_is_written(world: World) -> None:
    deploy(world, "a", "b", "c")
    deploy(world, "d", namespace="bank")
    policy = {"namespaces": {NAMESPACE: {"targets": "1/10m"}}}
    await world.start(rules(scaling(), brake=policy))
    await world.fire(alert("a"))
    await world.run_ended()
    await world.fire(alert("b"))
    (brake,) = await engaged(world)
    assert (brake["pause"]["scope"], brake["pause"]["value"]) == ("target", f"namespace/{NAMESPACE}")
    await world.paged(ENGAGED, f"namespace/{NAMESPACE} is stopped")
    await world.fire(in_namespace("bank", "d"))
    assert (await world.run_ended(2))["outcome"] == "succeeded"
    await resume(world, "--target", f"namespace/{NAMESPACE}")
    await world.fire(alert("c"))
    assert (await world.run_ended(3))["outcome"] == "succeeded"
    assert acted_on(world) == {"a", "c", "d"}


@pytest.fixture
def tight() -> dict[str, Any]:
    return {"targets": "1/10m", "parallel": 9}


async def test_a_run_that_has_not_acted_yet_is_stopped_and_not_paged(
    world: World, tight: dict[str, Any]
) -> None:
    deploy(world, "a", "b")
    await world.start(rules(scaling(), brake=tight))
    held = world.hold(reading)
    await world.fire(alert("a"))
    await held.struck()
    await world.fire(alert("b"))
    await engaged(world)
    held.release()
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("refused", "brake")
    (page,) = [await world.paged(ENGAGED)]
    await world.told(SUMMARY, f"deployment/{NAMESPACE}/a", f"deployment/{NAMESPACE}/b")
    assert world.pages == [page]
    assert acted_on(world) == set()
    (brake,) = await brakes(world)
    assert (brake["alerts"], brake["targets"]) == (2, 2)


async def test_a_run_that_has_acted_goes_on_to_its_proof(world: World, tight: dict[str, Any]) -> None:
    deploy(world, "a", "b")
    twice = [step("kubernetes.scale", with_={"replicas": count}) for count in (1, 2)]
    await world.start(rules(scaling(steps=twice), brake=tight))
    held = world.hold(changing)
    await world.fire(alert("a"))
    await held.struck()
    await world.fire(alert("b"))
    await engaged(world)
    held.release()
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied("a")) == 2


async def test_what_waits_for_a_place_is_stopped_with_the_rest(world: World) -> None:
    names = ["a", "b", "c", "d"]
    deploy(world, *names)
    await world.start(rules(scaling(), brake={"targets": "3/10m", "parallel": 1}))
    held = world.hold(changing)
    await world.fire(alert("a"))
    await held.struck()
    await world.fire(alert("b"), alert("c"))
    await world.decided("parallel")
    await world.fire(alert("d"))
    await engaged(world)
    held.release()
    assert (await world.run_ended())["outcome"] == "succeeded"

    async def all_stopped() -> bool:
        (brake,) = await brakes(world)
        return (brake["alerts"], brake["targets"]) == (3, 3)

    await eventually(all_stopped, "the waiting are stopped", within=15)
    assert acted_on(world) == {"a"}


async def test_a_brake_that_is_told_for_how_long_lets_go_by_itself(
    world: World, tight: dict[str, Any]
) -> None:
    deploy(world, "a", "b", "c")
    await world.start(rules(scaling(), brake={**tight, "release_after": "1s"}))
    await world.fire(alert("a"))
    await world.run_ended()
    await world.fire(alert("b"))
    await world.told("The brake is released", "its time was over")
    await world.fire(alert("c"))
    assert (await world.run_ended(2))["outcome"] == "succeeded"
    assert acted_on(world) == {"a", "c"}


async def test_a_person_may_act_past_an_engaged_brake_and_nobody_else_is_the_freer_for_it(
    world: World, tight: dict[str, Any]
) -> None:
    deploy(world, "a", "b", "c")
    await world.start(rules(scaling(), brake=tight))
    await world.fire(alert("a"))
    await world.run_ended()
    await world.fire(alert("b"))
    await engaged(world)
    labels = [f"--label={name}={value}" for name, value in alert("c").labels.items()]
    code, _, errors = await world.cli(
        "run", "scale", *labels, "--why", "I look at it", "--override", "brake", token="adas-token"
    )
    assert code == 0, errors
    assert (await world.run_ended(2))["outcome"] == "succeeded"
    await world.fire(alert("c", instance="10.0.0.2:80"))
    await world.decided("brake")
    assert acted_on(world) == {"a", "c"}
