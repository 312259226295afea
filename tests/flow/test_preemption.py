"""Leases that are shared and preempted, by a daemon: who only looks gives way to who may preempt."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.sandbox.kubernetes.api import ApiRequest
from tests.support.daemon import ADAS, Hold, Story, World
from tests.support.metrics import counted
from tests.support.preemption import PREEMPTS, SHARES, add_actions
from tests.support.processes import eventually
from tests.support.rulebooks import alert, rule, rules, step

EXISTS = {"within": "8s", "checks": [{"check": "kubernetes.deployments"}]}


def listing(request: ApiRequest) -> bool:
    """Whether a request lists pods, as the action that shares its target does."""
    return request.verb == "list" and request.resource.plural == "pods"


def by_name(name: str, **fields: Any) -> dict[str, Any]:
    return rule(name, **{"when": {"matchers": [f'wants="{name}"']}, **fields})


def looking(name: str = "look") -> dict[str, Any]:
    return by_name(name, steps=[step(SHARES, timeout="20s")], verify=EXISTS)


@pytest.fixture(autouse=True)
def _actions(monkeypatch: pytest.MonkeyPatch) -> None:
    add_actions(monkeypatch)


async def looks(world: World, *written: dict[str, Any]) -> Hold:
    """A service is broken, and a run that shares it looks at its pods and does not come to an end."""
    await world.start(rules(looking(), *written))
    await world.break_service()
    held = world.hold(listing)
    await world.fire(alert(labels={"wants": "look"}))
    await held.struck()
    return held


async def ended(world: World, name: str) -> Story:
    """The story of the one run of a rule, once it has ended."""

    async def there() -> Story:
        found = [each for each in await world.runs() if each["rule"] == name]
        assert [each["ended"] is not None for each in found] == [True], found
        return found[0]

    return await world.story(await eventually(there, f"the run of {name} has ended", within=20))


async def intended(world: World, run: Story) -> Story:
    """The event of a run's one intent."""
    (found,) = [each for each in await world.events("attempt.intended") if each["run"] == run["id"]]
    return found


async def test_a_run_that_shares_its_target_gives_way_to_one_that_may_preempt_it(world: World) -> None:
    await looks(world, by_name("seize", steps=[step(PREEMPTS)]))
    await world.fire(alert(labels={"wants": "seize"}))
    seizing, gave_way = await ended(world, "seize"), await ended(world, "look")
    assert seizing["outcome"] == "succeeded"
    assert (gave_way["outcome"], gave_way["reason"]) == ("cancelled", "preempted")
    assert seizing["id"] in gave_way["detail"]
    assert [each["outcome"] for each in gave_way["attempts"]] == ["unknown"], "nobody knows what it saw"
    assert len(world.applied()) == 1
    (asked,) = await world.events("lease.preempted")
    (went,) = await world.events("run.preempted")
    intent = await intended(world, seizing)
    assert asked["id"] < went["id"] < intent["id"], "nothing is done before it is gone"
    await world.told(gave_way["id"], "took its target")
    assert (await world.idle())["quarantines"] == []
    await counted(world.http, f"{world.url}/metrics", "remediator_lease_preempted_total", lambda n: n == 1)


async def test_one_that_may_not_preempt_waits_until_who_looks_is_done(world: World) -> None:
    held = await looks(world, by_name("undo"), looking("look-too"))
    await world.fire(alert(labels={"wants": "undo"}), alert(labels={"wants": "look-too"}))
    assert (await ended(world, "look-too"))["outcome"] == "succeeded", "who shares hinders no other such"
    assert not world.applied()
    held.release()
    looked, undone = await ended(world, "look"), await ended(world, "undo")
    assert (looked["outcome"], undone["outcome"]) == ("succeeded", "succeeded")
    assert (await intended(world, undone))["at"] >= looked["ended"]
    assert await world.events("lease.preempted") == []


async def test_one_that_may_not_act_yet_makes_nobody_give_way(world: World) -> None:
    """Approved, it is paused: it neither takes the place nor calls off who has it."""
    held = await looks(world, by_name("seize", steps=[step(PREEMPTS)], approval={"within": "10m"}))
    await world.fire(alert(labels={"wants": "seize"}))
    seizing = await world.run_in("asking")
    assert (await world.cli("pause", "--rule", "seize", "--why", "a backup first"))[0] == 0
    assert (await world.cli("approve", seizing["id"], "--why", "later", token=ADAS))[0] == 0
    await world.run_in("pending")
    held.release()
    assert (await ended(world, "look"))["outcome"] == "succeeded"
    assert not world.applied()
    assert (await world.cli("resume", "--rule", "seize", "--why", "it is done"))[0] == 0
    assert (await ended(world, "seize"))["outcome"] == "succeeded"
    assert await world.events("lease.preempted") == []
