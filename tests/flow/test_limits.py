"""Limits of a rule and of all rules together, as those who fire alerts and read Slack see them."""

from __future__ import annotations

from typing import Any

from tests.support.daemon import World
from tests.support.rulebooks import TARGET, alert, rule, rules, step

RESTART = {"matchers": ['alertname="Slow"']}


def restarting(name: str = "restart", **fields: Any) -> dict[str, Any]:
    return rule(name, steps=[step("kubernetes.rollout_restart")], **fields)


async def test_a_rule_acts_as_often_as_its_rate_allows_and_pages_after_that(world: World) -> None:
    """The cooldown is over each time: it is the rate that says no, whatever else has happened meanwhile."""
    often = restarting(limits={"cooldown": 0, "rate": ["2/1h", "9/1d"]})
    await world.start(rules(often))
    await world.break_service()
    world.cluster.mend_image(world.image_of())
    for number in (1, 2):
        await world.fire(alert(instance=f"10.0.0.{number}:80"))
        assert (await world.run_ended(number))["outcome"] == "succeeded"
    await world.stop()
    await world.start()
    await world.fire(alert(instance="10.0.0.3:80"))
    decision = await world.decided("rate")
    assert decision["kind"] == "skip"
    guards = {each["guard"]: each for each in decision["guards"]}
    assert guards["rate"]["detail"] == "2 runs on this target, the limit is 2/1h"
    await world.paged("rate", TARGET)
    assert len(world.applied()) == 2


async def test_a_rule_acts_on_as_many_targets_as_it_may_and_pages_once_for_the_rest(world: World) -> None:
    names = [f"service-{number}" for number in range(1, 7)]
    await world.start(rules(rule(limits={"targets": "2/10m"})))
    firing = [await world.break_service(name) for name in names]
    await world.fire(*firing)
    await world.run_ended(2)
    await world.decided("targets")
    await world.idle()
    assert sum(len(world.applied(name)) for name in names) == 2
    assert len(await world.runs()) == 2, "none is begun that could not act"
    await world.paged("targets")


async def test_rules_share_what_one_target_may_bear(world: World) -> None:
    undo, restart = rule(), restarting(when=RESTART)
    await world.start(rules(undo, restart, limits={"per_target": {"rate": "1/1h"}}))
    await world.fire(await world.break_service())
    assert (await world.run_ended())["outcome"] == "succeeded"
    await world.fire(alert(labels={"alertname": "Slow"}))
    assert (await world.decided("per_target"))["kind"] == "skip"
    await world.paged("per_target", TARGET)
    assert len(world.applied()) == 1


async def test_a_target_is_left_alone_for_a_while_after_another_rules_run(world: World) -> None:
    undo, restart = rule(), restarting(when=RESTART)
    await world.start(rules(undo, restart, limits={"per_target": {"cooldown": "5m"}}))
    await world.fire(await world.break_service())
    run = await world.run_ended()
    await world.fire(alert(labels={"alertname": "Slow"}))
    decision = await world.decided("per_target")
    assert f"{run['id']} ended" in decision["detail"]
    assert len(world.applied()) == 1
