"""The brake by what the cluster says: a share of a namespace's Deployments, and what stays healthy."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.sandbox.faults import Refuse
from remediator.sandbox.kubernetes.api import ApiRequest
from tests.support.daemon import Story, World, changing, reading, written
from tests.support.metrics import counted
from tests.support.processes import eventually
from tests.support.rulebooks import NAMESPACE, alert, rule, rules, step

NAMES = [f"service-{number}" for number in range(1, 11)]
THIRD = {"share": "30%", "parallel": 9, "targets": "20/10m"}
COUNTED = f"{NAMESPACE} has 10 Deployments"


def scaling(**fields: Any) -> dict[str, Any]:
    steps = [step("kubernetes.scale", with_={"replicas": 1})]
    return rule("scale", **{"steps": steps, "limits": {"cooldown": 0}, **fields})


def restarting(**fields: Any) -> dict[str, Any]:
    return rule("restart", **{"steps": [step("kubernetes.rollout_restart")], **fields})


def counting(request: ApiRequest) -> bool:
    """Whether a request lists Deployments."""
    return request.verb == "list" and request.resource.plural == "deployments"


async def ten(world: World) -> None:
    for name in NAMES:
        world.cluster.deploy(NAMESPACE, name, "registry.example/app:1", replicas=0)
    world.cluster.deploy("bank", "pay", "registry.example/app:1", replicas=0)
    await world.cluster.settled(30)


def acted_on(world: World) -> set[str]:
    return {name for name in (*NAMES, "pay") if world.applied(name)}


async def engaged(world: World) -> Story:
    async def there() -> Story:
        found: list[Story] = (await world.get("/status"))["brakes"]
        assert len(found) == 1, found
        return found[0]

    return await eventually(there, "a brake is engaged", within=15)


async def test_a_share_of_a_namespace_may_be_acted_on_and_the_next_stops_it_there(world: World) -> None:
    await ten(world)
    await world.start(rules(scaling(), brake=THIRD))
    for number, name in enumerate(NAMES[:3], 1):
        await world.fire(alert(name))
        assert (await world.run_ended(number))["outcome"] == "succeeded"
    story = await world.story((await world.runs())[-1])
    (fact,) = story["decisions"][0]["facts"]
    assert (fact["check"], fact["said"], fact["detail"]) == ("kubernetes.deployments", "yes", COUNTED)
    code, said, errors = await world.cli("explain", story["id"])
    assert (code, errors) == (0, "")
    assert "3 of 10 Deployments of shop, budget 3 (30%/10m)" in " ".join(said.split())

    await world.fire(alert(NAMES[3]))
    decision = await world.decided("brake")
    assert (decision["kind"], decision["detail"]) == (
        "skip",
        "4 of 10 Deployments of shop, budget 3 (30%/10m)",
    )
    pause = (await engaged(world))["pause"]
    assert (pause["brake"], pause["scope"], pause["value"]) == ("share", "target", f"namespace/{NAMESPACE}")
    await world.paged("The brake is engaged", "4 of 10 Deployments of shop, budget 3")
    await world.fire(alert("pay", labels={"namespace": "bank"}))
    assert (await world.run_ended(4))["outcome"] == "succeeded"
    assert acted_on(world) == {*NAMES[:3], "pay"}


async def test_of_many_at_once_no_more_than_the_share_are_acted_on(world: World) -> None:
    await ten(world)
    await world.start(rules(scaling(), brake={"namespaces": {NAMESPACE: {"share": "50%/10m"}}, **THIRD}))
    await world.fire(*map(alert, NAMES))
    await engaged(world)
    await world.idle()
    assert len(acted_on(world)) <= 5, "the namespace's own share holds"
    (page,) = world.pages
    assert "budget 5 (50%/10m)" in written(page)


async def test_a_share_of_what_can_t_be_counted_stops_and_pages(world: World) -> None:
    await ten(world)
    await world.start(rules(scaling(), brake=THIRD))
    world.fault(counting, Refuse(), times=None)
    await world.fire(alert(NAMES[0]))
    decision = await world.decided("fact_error")
    assert (decision["kind"], "can't be counted" in decision["detail"]) == ("skip", True)
    await world.paged("fact_error", "can't be counted")
    await world.idle()
    assert acted_on(world) == set()


async def test_it_is_counted_again_at_the_first_intent(world: World) -> None:
    await ten(world)
    await world.start(rules(scaling(), brake=THIRD))
    held = world.hold(reading)
    await world.fire(alert(NAMES[0]))
    await held.struck()
    world.fault(counting, Refuse(), times=None)
    held.release()
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("refused", "fact_error")
    await world.paged("can't be counted")
    assert acted_on(world) == set()
    metrics = f"{world.url}/metrics"
    await counted(
        world.http, metrics, "remediator_run_reasons_total", lambda times: times == 1, reason="fact_error"
    )


async def test_what_has_shrunk_meanwhile_allows_less(world: World) -> None:
    """Decided when the share was two of ten, they would act when it is one of three."""
    await ten(world)
    await world.start(rules(scaling(), brake={"share": "25%", "parallel": 9}))
    held = world.hold(reading, times=None)
    await world.fire(*map(alert, NAMES[:2]))
    await held.struck()

    async def both() -> bool:
        return len(await world.runs()) == 2

    await eventually(both, "both are decided")
    for name in NAMES[3:]:
        world.cluster.delete("deployments", NAMESPACE, name)
    held.release()
    await engaged(world)
    await world.idle()
    assert len(acted_on(world)) <= 1
    assert "refused" in {run["outcome"] for run in await world.runs()}


RECREATING = {"strategy": {"type": "Recreate"}}


async def service(world: World, *, replicas: int = 2, spec: dict[str, Any] | None = None) -> None:
    world.cluster.deploy(NAMESPACE, "cart", "registry.example/cart:1", replicas=replicas, spec=spec)
    await world.cluster.settled()


UNHEALTHY: dict[str, tuple[dict[str, Any], dict[str, Any] | None, str]] = {
    "a restart that recreates": (restarting(), RECREATING, "2 replicas are ready and at worst 0 would be"),
    "a scale down": (
        rule("down", steps=[step("kubernetes.scale", with_={"replicas": 0})]),
        None,
        "2 replicas are ready and at worst 0 would be",
    ),
}


@pytest.mark.parametrize("name", UNHEALTHY)
async def test_what_leaves_too_few_ready_is_refused_alone_and_pages(world: World, name: str) -> None:
    acts, spec, why = UNHEALTHY[name]
    await world.start(rules(acts, brake={"minimum_healthy": 1}))
    await service(world, spec=spec)
    await world.fire(alert())
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("refused", "minimum_healthy")
    await world.paged("refused by a guard", why, "the minimum is 1")
    assert not world.applied()
    assert (await world.get("/status"))["brakes"] == [], "nothing else is stopped"


async def test_what_keeps_enough_ready_is_done(world: World) -> None:
    await world.start(rules(restarting(), brake={"minimum_healthy": 1}))
    await service(world)
    await world.fire(alert())
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 1


async def test_a_service_with_nothing_ready_may_be_repaired(world: World) -> None:
    world.cluster.break_image("registry.example/cart:1")
    await world.start(rules(restarting(verify=None), brake={"minimum_healthy": 1}))
    await service(world, spec=RECREATING)
    await world.fire(alert())

    async def restarted() -> bool:
        return len(world.applied()) == 1

    await eventually(restarted, "it is restarted", within=15)


async def test_who_observes_says_that_too_few_would_be_ready(world: World) -> None:
    await world.start(rules(restarting(mode="observe"), brake={"minimum_healthy": 1}))
    await service(world, spec=RECREATING)
    await world.fire(alert())
    run = await world.run_ended()
    assert (run["outcome"], "would refuse: minimum_healthy:" in run["detail"]) == ("observed", True)


async def test_a_person_may_pass_the_minimum_over(world: World) -> None:
    await world.start(rules(restarting(), brake={"minimum_healthy": 1}))
    await service(world, spec=RECREATING)
    labels = [f"--label={name}={value}" for name, value in alert().labels.items()]
    code, _, errors = await world.cli(
        "run", "restart", *labels, "--why", "at night", "--override", "minimum_healthy", token="adas-token"
    )
    assert code == 0, errors
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 1


async def test_a_later_step_is_asked_too(world: World) -> None:
    steps = [step("kubernetes.scale", with_={"replicas": count}) for count in (3, 0)]
    await world.start(rules(rule("twice", steps=steps), brake={"minimum_healthy": 1}))
    await service(world)
    held = world.hold(changing)
    await world.fire(alert())
    await held.struck()
    held.release()
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("unknown", "minimum_healthy")
    assert len(world.applied()) == 1
