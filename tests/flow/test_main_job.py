"""The main job: an alert whose cause is the last rollout is put right, proven right, and reported."""

from __future__ import annotations

import shutil
from datetime import timedelta

from pydantic import SecretStr

from remediator import shipped_rules
from remediator.sandbox.scenario import BETTER, SERVICE, BrokenRollout
from remediator.settings import NamedToken
from tests.support.daemon import World, moment
from tests.support.rulebooks import NAMESPACE, alert, image, rule, rules


async def test_shipped_rules_repair_a_broken_rollout_and_prove_it(world: World) -> None:
    """Facts, rollback, the alert's end at Alertmanager, and the news of it, with the rules as shipped."""
    armed = world.folder / "armed"
    shutil.copytree(shipped_rules(), armed, ignore=shutil.ignore_patterns("tests"))
    for file in armed.rglob("*.yaml"):
        text = file.read_text().replace("mode: observe", "mode: live")
        file.write_text(text.replace("stable_for: 1m", "stable_for: 1s").replace("within: 8m", "within: 8s"))
    async with BrokenRollout(world.cluster, world.alertmanager, resolves_after=0.2) as broken:
        await world.start(rules=armed)
        await world.fire(*broken.alerts)
        run = await world.run_ended()
    assert (run["rule"], run["outcome"]) == ("service-down-rollback", "succeeded")
    assert [fact["said"] for fact in run["decisions"][0]["facts"]] == ["yes", "no"]
    assert len(world.applied(SERVICE)) == 1
    spec = world.cluster.get("deployments", "selfmonitor", SERVICE)["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == BETTER
    await world.told(SERVICE, "repaired and verified")
    assert not world.pages


async def test_three_instances_and_two_peers_are_one_run_and_one_change(world: World) -> None:
    await world.start(rules())
    await world.break_service()
    instances = [alert(instance=f"10.0.0.{number}:80") for number in (1, 2, 3)]
    await world.fire(*instances)
    await world.fire(*instances)
    run = await world.run_ended()
    await world.idle()
    assert run["outcome"] == "succeeded"
    assert len(run["episodes"]) == 3
    assert len(await world.runs()) == 1
    assert len(world.applied()) == 1


async def test_within_the_cooldown_a_second_alert_is_paged_and_never_rolls_forward(world: World) -> None:
    """The repair did not last: `kubectl rollout undo` would now bring the broken release back."""
    await world.start(rules(rule(limits={"cooldown": "15m"})))
    await world.fire(await world.break_service())
    await world.run_ended()
    world.cluster.break_image(image("cart", 2))
    await world.fire(alert(instance="again"))
    decision = await world.decided("cooldown")
    assert decision["kind"] == "skip"
    await world.paged("cooldown", "cart")
    assert len(world.applied()) == 1
    assert world.image_of() == image("cart", 2)


async def test_after_the_cooldown_it_goes_further_back(world: World) -> None:
    await world.start(rules(rule(limits={"cooldown": "1s"})))
    await world.fire(await world.break_service())
    first = await world.run_ended()
    world.cluster.break_image(image("cart", 2))
    await world.past(moment(first["ended"]) + timedelta(seconds=1))
    await world.fire(alert(instance="again"))
    second = await world.run_ended(2)
    assert second["outcome"] == "succeeded"
    assert world.image_of() == image("cart", 1)
    assert len(world.applied()) == 2


async def test_healthy_neighbours_are_left_alone(world: World) -> None:
    await world.start(rules())
    world.cluster.deploy(NAMESPACE, "neighbour", image("neighbour", 1))
    await world.fire(await world.break_service())
    await world.run_ended()
    assert not world.applied("neighbour")


async def test_peers_that_post_under_their_own_names_are_still_one_run(world: World) -> None:
    """Each name is a source and has episodes of its own; the target is the same."""
    names = ("west", "east")
    tokens = tuple(NamedToken(name, SecretStr(f"token-of-{name}")) for name in names)
    await world.start(rules(), webhook_token=tokens)
    firing = await world.break_service()
    for name in names:
        await world.fire(firing, token=f"token-of-{name}")
    run = await world.run_ended()
    await world.idle()
    story = await world.story(run)
    assert sorted(episode["source"] for episode in story["episodes"]) == sorted(names)
    assert len(await world.runs()) == len(world.applied()) == 1
