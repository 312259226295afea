"""Escalation: one contact after the other is called, durably, until somebody answers or it is over."""

from __future__ import annotations

from typing import Any

from tests.support.daemon import ADAS, World, written
from tests.support.processes import eventually
from tests.support.rulebooks import alert, rule, rules, step

CONTACTS: dict[str, Any] = {
    "lead": {"summary": "leads", "slack": "U0123456", "wait": "1s"},
    "chief": {"summary": "decides", "slack": "S0123456", "wait": "1s"},
}


def escalating(wait: str = "1s") -> str:
    contacts = {name: {**each, "wait": wait} for name, each in CONTACTS.items()}
    return rules(rule(steps=[step()], escalate=["lead", "chief"]), contacts=contacts)


async def test_a_chain_is_walked_and_its_end_is_told(world: World) -> None:
    await world.start(escalating("200ms"), **world.pager)
    await world.fire(alert("missing"))
    await eventually(lambda: world.events("page.unanswered"), "nobody came", within=20)
    calls = await world.events("page.called")
    assert len(calls) == 5
    assert "chief" in calls[0]["data"]["detail"]
    assert "lead" in calls[1]["data"]["detail"]
    await world.idle()
    named = [each for each in world.slack.messages if "U0123456" in written(each)]
    assert len(named) == 3
    assert [one.status for one in world.pagerduty.incidents] == ["triggered"]
    assert len(world.pagerduty.events) == 1


async def test_who_acknowledges_ends_the_calls_and_is_told_and_shown(world: World) -> None:
    await world.start(escalating("1h"), **world.pager)
    firing = alert("missing")
    await world.fire(firing)
    run = await world.run_ended()
    await world.incident("triggered")
    code, said, errors = await world.cli("ack", run["id"], "--why", "on it", token=ADAS)
    assert (code, said.strip()) == (0, "acknowledged by ada: missing: FAILED"), errors
    await world.incident("acknowledged")
    await world.told("acknowledged by ada at", "on it")
    for command in ("show", "explain"):
        assert "acknowledged by ada at" in (await world.cli(command, run["id"]))[1]
    (page,) = (await world.get("/status"))["pages"]
    assert (page["run"], page["acknowledged_by"], page["next"]) == (run["id"], "ada", None)
    code, _, errors = await world.cli("ack", run["id"])
    assert code == 1
    assert "ada has taken it on already" in errors
    await world.resolve(firing)
    await world.incident("resolved")
    assert (await world.get("/status"))["pages"] == []


async def test_killed_while_it_waits_an_escalation_goes_on_where_it_was(world: World) -> None:
    process = await world.spawn(escalating("3s"), **world.pager_environment)
    await world.fire(alert("missing"))
    await world.run_ended()
    await world.incident("triggered")
    process.kill()
    await world.spawn(**world.pager_environment)
    calls = await eventually(lambda: world.events("page.called"), "the next is called", within=20)
    assert "call 2 of 6 is for chief" in calls[0]["data"]["detail"]
    await world.told("call 2 of 6")
    assert len(world.pagerduty.incidents) == 1


async def test_alerts_that_resolve_end_the_calls(world: World) -> None:
    await world.start(escalating("1s"), **world.pager)
    firing = alert("missing")
    await world.fire(firing)
    await world.incident("triggered")
    await world.resolve(firing)
    await world.incident("resolved")
    called = len(await world.events("page.called"))
    await world.idle()
    assert len(await world.events("page.called")) == called
    assert (await world.get("/status"))["pages"] == []
