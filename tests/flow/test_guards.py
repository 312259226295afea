"""What can say no: pauses, scope, protection and the brake, durably and before every step."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.daemon import World, changing, reading
from tests.support.processes import eventually
from tests.support.rulebooks import NAMESPACE, TARGET, alert, rule, rules, step

NAMED = {"alertname": "Other"}
OTHER = {"matchers": ['alertname="Other"']}
PAUSES = {"all": [], "rule": ["--rule", "rollback"], "target": ["--target", TARGET]}


async def pause(world: World, scope: str = "all", value: str = "", **more: Any) -> None:
    body = {"scope": scope, "value": value, "why": "a person looks at it", **more}
    status, said = await world.ask("POST", "/api/v1/pauses", body)
    assert status == 201, said


async def resume(world: World) -> None:
    status, said = await world.ask("POST", "/api/v1/resume", {"scope": "all", "value": "", "why": "done"})
    assert status == 200, said


@pytest.mark.parametrize("scope", PAUSES)
async def test_an_alert_that_arrives_while_paused_is_skipped_for_good(world: World, scope: str) -> None:
    await world.start(rules())
    firing = await world.break_service()
    code, said, errors = await world.cli("pause", *PAUSES[scope], "--why", "a release is on its way")
    assert code == 0, errors
    assert "a release is on its way" in said
    await world.fire(firing)
    decision = await world.decided("paused")
    await world.told("paused", "a release is on its way")
    code, said, errors = await world.cli("resume", *PAUSES[scope])
    assert (decision["kind"], code) == ("skip", 0), errors
    await world.fire(firing)
    await world.idle()
    assert await world.runs() == []


async def test_pauses_stack_and_one_is_lifted_by_its_number_while_the_other_still_holds(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    for name in ("night", "release"):
        code, said, errors = await world.cli("pause", "--name", name, "--why", f"the {name}")
        assert code == 0, errors
        assert f"by operator ({name}): the {name}" in said
    first, second = [each["id"] for each in (await world.get("/status"))["pauses"]]
    assert (await world.cli("resume", "--id", str(first)))[:2] == (0, "resumed: 1 lifted\n")
    await world.stop()
    await world.start()
    await world.fire(firing)
    assert "paused by operator (release): the release" in (await world.decided("paused"))["detail"]
    assert (await world.cli("resume", "--id", str(first)))[0] == 1
    assert (await world.cli("resume", "--id", str(second), "--rule", "rollback"))[0] == 2
    assert (await world.cli("resume", "--id", str(second)))[0] == 0
    assert (await world.get("/status"))["pauses"] == []


async def test_people_are_reminded_of_a_pause_without_an_end_and_of_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediator.core.reminders.FIRST", timedelta(milliseconds=300))
    monkeypatch.setattr("remediator.engine.pauses.PausesLoop.idle", timedelta(milliseconds=50))
    await world.start(rules())
    await pause(world, "rule", "rollback", **{"for": "1h"})
    await pause(world)

    def reminded() -> bool:
        return sum("Still paused: everything" in each.text for each in world.slack.messages) >= 2

    await eventually(reminded, "people are reminded twice")
    await resume(world)
    assert not [each for each in world.slack.messages if "rule rollback" in each.text]


async def test_a_pause_of_another_target_stops_nothing(world: World) -> None:
    await world.start(rules())
    await pause(world, "target", f"deployment/{NAMESPACE}/other")
    await world.fire(await world.break_service())
    assert (await world.run_ended())["outcome"] == "succeeded"


async def test_a_paused_namespace_stops_what_is_in_it(world: World) -> None:
    await world.start(rules())
    await pause(world, "target", f"namespace/{NAMESPACE}")
    await world.fire(await world.break_service())
    assert (await world.decided("paused"))["kind"] == "skip"
    assert not world.applied()


async def test_a_pause_that_would_stop_nothing_is_refused(world: World) -> None:
    await world.start(rules())
    body = {"scope": "target", "value": "node/n1", "why": "a person looks at it"}
    status, said = await world.ask("POST", "/api/v1/pauses", body)
    assert status == 422
    assert "nothing acts on a node" in str(said)


async def test_a_pause_ends_by_itself(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    await pause(world, **{"for": "1s"})
    held = await world.get("/status")
    assert held["pauses"][0]["until"] is not None

    async def over() -> bool:
        return not (await world.get("/status"))["pauses"]

    await eventually(over, "the pause is over")
    await world.fire(firing)
    assert (await world.run_ended())["outcome"] == "succeeded"


async def test_a_pause_before_the_first_step_makes_the_run_wait(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    held = world.hold(reading)
    await world.fire(firing)
    await held.struck()
    await pause(world)
    held.release()
    await world.told("waiting for", "a person looks at it")
    assert not world.applied()
    await resume(world)
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 1


async def test_a_pause_between_two_steps_makes_the_run_wait(world: World) -> None:
    await world.start(rules(rule(steps=[step(), step("kubernetes.rollout_restart")])))
    firing = await world.break_service()
    held = world.hold(changing)
    await world.fire(firing)
    await held.struck()
    await pause(world)
    held.release()
    await world.told("waiting for", "a person looks at it")
    assert len(world.applied()) == 1
    await resume(world)
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 2


async def test_a_pause_that_outlasts_the_deadline_expires_the_run_and_pages(world: World) -> None:
    proof = {"within": "1s", "checks": [{"check": "kubernetes.rolled_out"}]}
    await world.start(rules(rule(deadline="2s", steps=[step(timeout="1s")], verify=proof)))
    firing = await world.break_service()
    held = world.hold(reading)
    await world.fire(firing)
    await held.struck()
    await pause(world)
    held.release()
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("expired", "expired")
    await world.paged("expired before it could begin", "a person looks at it")
    assert not world.applied()


POLICIES: dict[str, tuple[dict[str, Any], str]] = {
    "scope": ({"scope": {"namespaces": ["elsewhere"]}}, "scope"),
    "protect": ({"protect": [{"kinds": ["deployment"], "names": ["ca*"]}]}, "protected"),
}


@pytest.mark.parametrize("policy", POLICIES)
async def test_what_the_policy_forbids_is_refused_and_reported(world: World, policy: str) -> None:
    keys, reason = POLICIES[policy]
    await world.start(rules(**keys))
    await world.fire(await world.break_service())
    assert (await world.decided(reason))["kind"] == "skip"
    await world.told(reason, TARGET)
    assert not world.applied()


async def test_kube_system_is_protected_whatever_the_scope_says(world: World) -> None:
    await world.start(rules(scope={"namespaces": ["kube-system"]}))
    await world.fire(await world.break_service("coredns", namespace="kube-system"))
    assert (await world.decided("protected"))["kind"] == "skip"
    assert not world.applied("coredns")


async def test_a_protected_object_is_not_touched(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    world.cluster.annotate(NAMESPACE, "cart", {"remediator.dev/protected": "true"})
    await world.fire(firing)
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("refused", "protected")
    await world.paged("refused by a guard", "protected")
    assert not world.applied()


async def test_an_object_protected_after_the_plan_is_not_touched(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    held = world.hold(changing)
    await world.fire(firing)
    await held.struck()
    world.cluster.annotate(NAMESPACE, "cart", {"remediator.dev/protected": "true"})
    held.release()
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    assert "protected" in run["attempts"][0]["detail"]
    assert not world.applied()


async def test_the_brake_lets_three_run_at_once_and_all_in_the_end(world: World) -> None:
    """Five services down at once: the fourth and fifth wait for a place, and no alert is lost."""
    names = [f"service-{number}" for number in range(1, 6)]
    await world.start(rules(brake={"parallel": 3}))
    firing = [await world.break_service(name) for name in names]
    held = world.hold(changing, times=None)
    await world.fire(*firing)
    await world.decided("parallel")
    assert sum(run["ended"] is None for run in await world.runs()) == 3
    held.release()
    await world.run_ended(5)
    assert Counter(run["outcome"] for run in await world.runs()) == {"succeeded": 5}
    assert [len(world.applied(name)) for name in names] == [1] * 5
    assert max(_unfinished(await world.events("run.created", "run.succeeded"))) == 3


async def test_an_alert_that_waits_for_a_place_past_the_deadline_is_paged(world: World) -> None:
    short = rule(deadline="2s", steps=[step(timeout="2s")], verify=None)
    del short["verify"]
    await world.start(rules(short, rule("long", when=OTHER), brake={"parallel": 1}))
    held = world.hold(lambda each: changing(each) and each.name == "first")
    await world.fire(replace(await world.break_service("first"), labels={**alert("first").labels, **NAMED}))
    await held.struck()
    await world.fire(await world.break_service("second"))
    assert (await world.decided("expired"))["kind"] == "skip"
    held.release()
    await world.paged("expired", "second")
    assert not world.applied("second")


async def test_observing_runs_take_no_place_of_the_brake(world: World) -> None:
    names = [f"service-{number}" for number in range(1, 4)]
    await world.start(rules(rule(mode="observe"), brake={"parallel": 1}))
    await world.fire(*[await world.break_service(name) for name in names])
    await world.run_ended(3)
    assert not await world.events("run.waiting")


def _unfinished(events: list[dict[str, Any]]) -> list[int]:
    """How many runs were unfinished after each event, by the ledger's own order."""
    open_runs: set[str] = set()
    counts = []
    for event in events:
        if event["kind"] == "run.created":
            open_runs.add(event["run"])
        else:
            open_runs.discard(event["run"])
        counts.append(len(open_runs))
    return counts


async def test_in_a_freeze_nothing_is_begun_and_people_are_told(world: World) -> None:
    now = datetime.now(UTC)
    days = {"from": f"{now - timedelta(days=1):%Y-%m-%d}", "to": f"{now + timedelta(days=1):%Y-%m-%d}"}
    await world.start(rules(freezes=[{"summary": "Year's end", **days, "namespaces": [NAMESPACE]}]))
    await world.fire(await world.break_service())
    decision = await world.decided("frozen")
    assert decision["kind"] == "skip"
    await world.told("frozen", "Year's end")
    await world.idle()
    assert world.applied() == []
