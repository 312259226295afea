"""Nothing surprises: who is not live changes nothing, and the lower of daemon's and rule's mode holds."""

from __future__ import annotations

import pytest

from remediator.core.rules import Mode
from tests.support.daemon import World
from tests.support.rulebooks import alert, rule, rules


@pytest.mark.parametrize(
    ("daemon", "of_rule"),
    [
        (Mode.OBSERVE, "observe"),
        (Mode.OBSERVE, "live"),
        (Mode.LIVE, "observe"),
        (Mode.APPROVE, "observe"),
        (Mode.OBSERVE, "approve"),
    ],
)
async def test_the_lower_mode_holds_and_observing_reports_the_diff(
    world: World, daemon: Mode, of_rule: str
) -> None:
    await world.start(rules(rule(mode=of_rule)), mode=daemon)
    await world.fire(await world.break_service())
    run = await world.run_ended()
    await world.idle()
    assert run["outcome"] == "observed"
    assert run["attempts"] == []
    assert not world.cluster.audit.changes(verb="patch", user="system:anonymous")
    before, after = "image: registry.example/cart:3", "image: registry.example/cart:2"
    await world.told("nothing was changed", before, after)
    assert not world.pages


async def test_a_rule_that_names_no_mode_observes(world: World) -> None:
    silent = rule()
    del silent["mode"]
    await world.start(rules(silent))
    await world.fire(await world.break_service())
    assert (await world.run_ended())["outcome"] == "observed"
    assert not world.applied()


async def test_observing_says_why_an_action_would_refuse(world: World) -> None:
    await world.start(rules(rule(mode="observe")))
    world.cluster.deploy("shop", "cart", "registry.example/cart:1")
    await world.cluster.settled()
    await world.fire(alert())
    run = await world.run_ended()
    assert "nothing to go back to" in run["detail"]
