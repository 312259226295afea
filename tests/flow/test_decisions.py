"""Which rule takes an alert, and what is said when none does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.daemon import World, reading, reasons
from tests.support.rulebooks import alert, image, page_only, rule, rules, step

RECENT = {"check": "kubernetes.rolled_out_within", "with": {"window": "1h"}}


async def test_a_fact_that_says_no_goes_on_to_the_next_rule(world: World) -> None:
    ancient = {"check": "kubernetes.gitops_managed"}
    await world.start(rules(rule(only_if=[ancient]), page_only()))
    await world.fire(await world.break_service())
    decision = await world.decided("page_only")
    assert decision["rule"] == "page"
    await world.paged("page wants a person")
    assert await world.runs() == []


async def test_a_fact_in_error_stops_everything_and_pages(world: World) -> None:
    """An error is never a no: the next rule must not be reached by it."""
    await world.start(rules(rule(only_if=[RECENT]), rule("next")))
    await world.fire(alert("missing"))
    decision = await world.decided("fact_error")
    assert (decision["kind"], decision["rule"]) == ("skip", "rollback")
    assert [fact["said"] for fact in decision["facts"]] == ["error"]
    await world.paged("fact_error", "there is no deployment/shop/missing")
    assert await world.runs() == []


async def test_an_unreachable_api_server_is_a_fact_in_error(world: World) -> None:
    await world.start(rules(rule(only_if=[RECENT])))
    firing = await world.break_service()
    await world.cluster.down()
    await world.fire(firing)
    await world.decided("fact_error")
    await world.paged("the API server can't be reached")


async def test_an_alert_that_ripens_while_it_queues_for_its_facts_is_not_acted_on_without_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was too young when it queued, and old enough when decided on: its facts are asked for then."""
    monkeypatch.setattr("remediator.engine.dispatcher._AT_ONCE", 1)
    young = {"matchers": ['job="young"'], "firing_for": "1s"}
    never = rule("never", when=young, only_if=[{"check": "kubernetes.gitops_managed"}])
    first = rule("first", when={"matchers": ['job="first"']}, only_if=[RECENT])
    await world.start(rules(first, never))
    alerts = [await world.break_service("first"), await world.break_service("young")]
    held = world.hold(lambda each: reading(each) and each.name == "first")
    ripe = datetime.now(UTC) + timedelta(seconds=1)
    await world.fire(alerts[0], replace(alerts[1], starts_at=datetime.now(UTC)))
    await held.struck()
    await world.past(ripe)
    held.release()
    await world.decided("no_rule")
    assert not world.applied("young")
    assert [run["rule"] for run in await world.runs()] == ["first"]


async def test_facts_are_stored_with_the_decision(world: World) -> None:
    await world.start(rules(rule(only_if=[RECENT])))
    await world.fire(await world.break_service())
    run = await world.run_ended()
    (fact,) = run["decisions"][0]["facts"]
    assert (fact["check"], fact["with"], fact["said"]) == (RECENT["check"], {"window": "1h"}, "yes")
    assert fact["evidence"]["rolled_out_at"]


async def test_the_first_rule_in_order_takes_the_alert(world: World) -> None:
    second = rule("second", steps=[step("kubernetes.scale", with_={"replicas": 9})])
    await world.start(rules(rule("first"), second))
    await world.fire(await world.break_service())
    await world.run_ended()
    await world.idle()
    assert [run["rule"] for run in await world.runs()] == ["first"]


async def test_continue_lets_a_later_rule_take_the_alert_too(world: World) -> None:
    await world.start(rules({**rule(), "continue": True}, page_only()))
    await world.fire(await world.break_service())
    assert (await world.run_ended())["outcome"] == "succeeded"
    await world.decided("page_only")
    assert sorted(reasons(await world.get("/decisions"))) == [("run", "matched"), ("skip", "page_only")]


async def test_two_rules_on_one_target_take_turns(world: World) -> None:
    """One actor per target: the second rule's run waits for the first one's lease."""
    scale = rule("grow", steps=[step("kubernetes.scale", with_={"replicas": 4})])
    await world.start(rules({**rule(), "continue": True}, scale))
    await world.fire(await world.break_service())
    await world.run_ended(2)
    outcomes = {run["rule"]: run["outcome"] for run in await world.runs()}
    assert outcomes == {"rollback": "succeeded", "grow": "succeeded"}
    assert len(world.applied()) == 2
    deployment = world.cluster.get("deployments", "shop", "cart")
    assert deployment["spec"]["replicas"] == 4
    assert world.image_of() == image("cart", 2)


async def test_a_page_only_rule_pages_with_what_the_alert_says(world: World) -> None:
    await world.start(rules(page_only()))
    said = {"summary": "carts can't be filled", "runbook_url": "https://runbooks.example/cart"}
    await world.fire(alert(annotations=said))
    await world.paged("page wants a person", "carts can't be filled", "runbooks.example")


async def test_an_alert_that_no_rule_takes_is_reported(world: World) -> None:
    await world.start(rules(rule(when={"matchers": ['alertname="Other"']})))
    await world.fire(alert())
    decision = await world.decided("no_rule")
    assert decision["kind"] == "skip"
    await world.told("not acted on (no_rule)")


async def test_steps_go_in_order_and_see_the_results_of_earlier_ones(world: World) -> None:
    more = {"replicas": "{{ steps.undo.to_revision + 1 }}"}
    steps = [step(id="undo"), step("kubernetes.scale", with_=more), step("kubernetes.rollout_restart")]
    await world.start(rules(rule(steps=steps)))
    await world.fire(await world.break_service())
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert [attempt["action"].partition(".")[2] for attempt in run["attempts"]] == [
        "rollout_undo",
        "scale",
        "rollout_restart",
    ]
    assert world.cluster.get("deployments", "shop", "cart")["spec"]["replicas"] == 3
    assert len(world.applied()) == 3
