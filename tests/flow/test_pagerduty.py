"""Pages to PagerDuty: at once, with evidence, one incident for one cause, and resolved when it is well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from remediator.sandbox.faults import Answer, DropReply, LateReply
from remediator.sandbox.pagerduty import ROUTING_KEY
from remediator.settings import NamedToken
from tests.support.daemon import ADAS, World, reading
from tests.support.processes import eventually
from tests.support.rulebooks import SERVICE, TARGET, alert, image, page_only, rule, rules, step

Sent = Mapping[str, Any]


def action(name: str) -> Callable[[Sent], bool]:
    return lambda sent: sent.get("event_action") == name


async def fail(world: World, name: str = "missing") -> dict[str, Any]:
    """A run that fails at once, since there is no such Deployment."""
    await world.fire(alert(name))
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    return run


async def test_a_run_that_fails_pages_there_alone_with_the_evidence(world: World) -> None:
    await world.start(rules(rule(steps=[step()])), **world.pager)
    run = await fail(world)
    incident = await world.incident("triggered")
    assert incident.dedup_key == f"page:{run['id']}"
    (event,) = incident.events
    assert event.payload["source"] == run["target"]
    assert event.payload["severity"] == "info"
    details = event.details
    assert (details["rule"], details["target"], details["run"]) == ("rollback", run["target"], run["id"])
    assert any(line.startswith("scope allows") for line in details["guards"])
    assert any("decided" in line for line in details["timeline"])
    assert f"remediator explain {run['id']}" in details["commands"]
    await world.idle()
    assert world.pages == []
    assert any("FAILED" in message.text for message in world.slack.messages)


async def test_what_was_changed_is_shown_as_a_diff(world: World) -> None:
    """Rolled back, and the release before crashes as well: proven not to have worked."""
    proof = {"within": "1s", "checks": [{"check": "kubernetes.rolled_out"}]}
    await world.start(rules(rule(verify=proof)), **world.pager)
    firing = await world.break_service()
    world.cluster.break_image(image(SERVICE, 2))
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    (event,) = (await world.incident("triggered")).events
    assert f"-  - image: {image(SERVICE, 3)}" in event.details["diff"]
    assert f"+  - image: {image(SERVICE, 2)}" in event.details["diff"]


async def test_an_incident_is_resolved_when_its_runs_alerts_resolve(world: World) -> None:
    await world.start(rules(rule(steps=[step()])), **world.pager)
    firing, second = alert("missing"), alert("missing", instance="10.0.0.2:80")
    await world.fire(firing, second)
    await world.run_ended()
    await world.incident("triggered")
    await world.resolve(firing)
    await world.resolve(second)
    await world.incident("resolved")
    over = await eventually(lambda: world.events("page.over"), "the page is over")
    assert "resolved" in over[0]["data"]["detail"]
    assert len(world.pagerduty.incidents) == 1


async def test_an_incident_is_resolved_when_a_later_run_repairs_its_target(world: World) -> None:
    await world.start(rules(rule(limits={"cooldown": "0s"}, steps=[step()], deadline="30s")), **world.pager)
    await world.fire(alert(SERVICE))
    assert (await world.run_ended())["outcome"] == "failed"
    await world.incident("triggered")
    await world.break_service()
    await world.fire(alert(SERVICE, instance="10.0.0.2:80"))
    assert (await world.run_ended(2))["outcome"] == "succeeded"
    await world.incident("resolved")


async def test_an_unknown_end_stays_an_incident_until_its_quarantine_is_lifted(world: World) -> None:
    proof = {"within": "1s", "checks": [{"check": "alert.resolved"}]}
    await world.start(rules(rule(verify=proof)), **world.pager)
    firing = await world.break_service()
    await world.alertmanager.down()
    await world.fire(firing)
    assert (await world.run_ended())["outcome"] == "unknown"
    await world.incident("triggered")
    await world.fire(firing.resolved())
    await world.idle()
    assert [one.status for one in world.pagerduty.incidents] == ["triggered"]
    code, _, errors = await world.cli("clear", TARGET, "--why", "looked at it", token=ADAS)
    assert code == 0, errors
    await world.incident("resolved")


async def test_a_decisions_incident_is_of_its_rule_reason_and_target(world: World) -> None:
    await world.start(rules(page_only("a-page")), **world.pager)
    firing = [alert("one", instance=f"10.0.0.{n}:80") for n in range(3)]
    for each in (*firing, alert("two")):
        await world.fire(each)
    await world.idle()
    await eventually(lambda: len(world.pagerduty.incidents) == 2, "two incidents")
    assert [one.dedup_key for one in world.pagerduty.incidents] == [
        f"pages:a-page:page_only:deployment/shop/{name}" for name in ("one", "two")
    ]
    for each in firing[:2]:
        await world.resolve(each)
    await world.idle()
    assert [one.status for one in world.pagerduty.incidents] == ["triggered", "triggered"]
    await world.resolve(firing[2])
    await world.incident("resolved")
    await world.fire(alert("one", instance="10.0.0.9:80"))
    again = await world.incident("triggered", number=3)
    assert again.dedup_key == world.pagerduty.incidents[0].dedup_key


async def test_facts_are_told_when_one_of_them_could_not_be_had(world: World) -> None:
    asked = [{"check": "kubernetes.rolled_out_within", "with": {"window": "1h"}}]
    await world.start(rules(rule(only_if=asked)), **world.pager)
    firing = await world.break_service()
    world.fault(reading, Answer(500), times=None)
    await world.fire(firing)
    (event,) = (await world.incident("triggered")).events
    assert "kubernetes.rolled_out_within error" in event.details["facts"][0]
    assert event.details["reason"].startswith("fact_error")


async def test_a_key_that_pagerduty_refuses_is_parked_alarmed_and_told_in_slack_instead(
    world: World,
) -> None:
    wrong = (NamedToken("", SecretStr("x" * 32)),)
    await world.start(rules(rule(steps=[step()])), **{**world.pager, "pagerduty_routing_key": wrong})
    await fail(world)
    await world.paged("FAILED")
    (parked,) = await eventually(lambda: world.events("notice.parked"), "it is parked")
    assert "Invalid routing key" in parked["data"]["error"]
    assert "mend REMEDIATOR_PAGERDUTY_ROUTING_KEY" in parked["data"]["error"]
    assert "x" * 32 not in str(await world.events())
    await world.told("notice parked")


async def test_a_pager_that_is_down_holds_nothing_up_and_slack_hears_meanwhile(world: World) -> None:
    await world.start(rules(rule(steps=[step()])), **world.pager)
    await world.pagerduty.down()
    await fail(world)
    await world.paged("FAILED")
    assert world.pagerduty.events == []
    await world.pagerduty.up()
    await world.incident("triggered")
    await world.idle()
    assert len(world.pages) == 1
    assert len(world.pagerduty.incidents) == 1


async def test_retry_after_is_honoured(world: World) -> None:
    await world.start(rules(rule(steps=[step()])), **world.pager)
    throttled = world.pagerduty.faults.add(action("trigger"), Answer(429, retry_after=2))
    await world.fire(alert("missing"))
    await throttled.struck()
    at = asyncio.get_running_loop().time()
    await world.incident("triggered")
    assert asyncio.get_running_loop().time() - at >= 1.8
    assert len(world.pagerduty.events) == 1


@pytest.mark.parametrize("fault", [Answer(500), Answer(429), DropReply()], ids=str)
async def test_a_failed_delivery_is_made_again_for_the_same_incident(
    world: World, fault: Answer | DropReply
) -> None:
    await world.start(rules(rule(steps=[step()])), **world.pager)
    planned = world.pagerduty.faults.add(action("trigger"), fault, times=2)
    await fail(world)
    await world.incident("triggered")
    await world.idle()
    assert planned.hits == 2
    assert len(world.pagerduty.incidents) == 1
    assert (await world.get("/status"))["backlog"]["parked_notices"] == 0


async def test_killed_between_pagerdutys_answer_and_our_record_it_opens_no_second_incident(
    world: World,
) -> None:
    process = await world.spawn(rules(rule(steps=[step()])), **world.pager_environment)
    answered = asyncio.Event()
    held = world.pagerduty.faults.add(action("trigger"), LateReply(answered))
    firing = alert("missing")
    await world.fire(firing)
    await held.struck()
    await world.incident("triggered")
    process.kill()
    answered.set()
    await world.spawn(**world.pager_environment)
    await eventually(lambda: len(world.pagerduty.events) == 2, "it is sent again")
    await world.idle()
    assert [one.status for one in world.pagerduty.incidents] == ["triggered"]
    await world.resolve(firing)
    await world.incident("resolved")
    assert len(world.pagerduty.incidents) == 1


async def test_killed_before_it_was_sent_the_page_comes_after_the_restart(world: World) -> None:
    process = await world.spawn(rules(rule(steps=[step()])), **world.pager_environment)
    await world.pagerduty.down()
    await world.fire(alert("missing"))
    assert (await world.run_ended())["outcome"] == "failed"
    process.kill()
    await world.pagerduty.up()
    await world.spawn(**world.pager_environment)
    incident = await world.incident("triggered")
    assert [event.routing_key for event in incident.events] == [ROUTING_KEY]


async def test_resolved_while_the_daemon_was_dead_the_incident_is_resolved_all_the_same(
    world: World,
) -> None:
    """The page's end is not an event that can be missed, but what the ledger says about its alerts."""
    process = await world.spawn(rules(rule(steps=[step()])), **world.pager_environment)
    firing = alert("missing")
    await world.fire(firing)
    await world.incident("triggered")
    cut = world.pagerduty.faults.add(action("resolve"), Answer(503), times=None)
    await world.resolve(firing)
    await cut.struck(30)
    process.kill()
    world.pagerduty.faults.clear()
    await world.spawn(**world.pager_environment)
    await world.incident("resolved")


async def test_no_key_of_pagerduty_reaches_logs_or_the_ledger(world: World) -> None:
    process = await world.spawn(rules(rule(steps=[step()])), **world.pager_environment)
    world.pagerduty.faults.add(action("trigger"), Answer(400))
    await world.fire(alert("missing"))
    await world.paged("FAILED")
    await world.stop()
    assert ROUTING_KEY not in process.log.read_text()
    assert ROUTING_KEY.encode() not in world.ledger.read_bytes()
