"""Runs by hand: every guard is asked, a named person may pass over some, and each request is one run."""

from __future__ import annotations

import json
from typing import Any

from remediator.sandbox.faults import Hang
from tests.support.daemon import ADAS, World, reading
from tests.support.rulebooks import NAMESPACE, SERVICE, image, rule, rules

BY_HAND = rule(when={"manual": True})
LABELS = ["--label", f"namespace={NAMESPACE}", "--label", f"job={SERVICE}"]
WHY = ["--why", "the new release leaks"]


async def asked(world: World, *more: str, token: str = "") -> tuple[int, Any, str]:
    """Run the rule by the command line; gives exit code, document and errors."""
    given = {"token": token} if token else {}
    code, said, errors = await world.cli("run", "rollback", *LABELS, *WHY, *more, "--json", **given)
    return code, json.loads(said) if said else None, errors


async def test_a_rule_is_run_by_hand_and_told_as_any_other(world: World) -> None:
    await world.start(rules(BY_HAND))
    await world.break_service()
    code, said, errors = await world.cli("run", "rollback", *LABELS, *WHY)
    assert code == 0, errors
    run = await world.run_ended()
    assert f"run {run['id']} on deployment/shop/cart" in said
    assert run["outcome"] == "succeeded"
    assert world.image_of() == image(SERVICE, 2)
    await world.told("repaired and verified", "the new release leaks")
    assert run["episodes"][0]["source"] == "manual"
    await world.idle()
    closed = await world.events("episode.resolved")
    assert [event["data"]["source"] for event in closed] == ["manual"]


async def test_the_same_request_twice_is_one_run(world: World) -> None:
    await world.start(rules(BY_HAND))
    await world.break_service()
    first, second = [await asked(world, "--request", "change-4711") for _ in range(2)]
    assert first[1]["decision"]["run"] == second[1]["decision"]["run"]
    await world.run_ended()
    await world.idle()
    assert len(await world.runs()) == len(world.applied()) == 1


async def test_a_guard_says_no_to_a_person_too_and_a_named_one_may_pass_over_it(world: World) -> None:
    await world.start(rules(BY_HAND))
    await world.break_service()
    assert (await asked(world))[0] == 0
    await world.run_ended()
    code, made, _ = await asked(world)
    assert (code, made["decision"]["reason"]) == (1, "cooldown")
    await world.idle()
    assert len(await world.events("episode.resolved")) == 2, "what was refused is over too"
    code, _, errors = await asked(world, "--override", "cooldown")
    assert code == 1
    assert "this needs a person who answers for it" in errors
    code, _, errors = await asked(world, "--override", "pause", token=ADAS)
    assert "nobody may override pause" in errors
    code, made, errors = await asked(world, "--override", "cooldown", token=ADAS)
    assert code == 0, errors
    again = await world.run_ended(2)
    guards = {each["guard"]: each["detail"] for each in made["decision"]["guards"]}
    assert guards["cooldown"].startswith("overridden by ada (the new release leaks); else: ")
    assert made["decision"]["run"] == again["id"]


async def test_what_makes_no_target_is_refused_before_anything_is_kept(world: World) -> None:
    await world.start(rules(BY_HAND))
    code, _, errors = await world.cli("run", "rollback", "--label", f"namespace={NAMESPACE}", *WHY)
    assert code == 1
    assert "the target of rollback can't be made from these labels" in errors
    assert "job" in errors
    code, _, errors = await world.cli("run", "rolback", *LABELS, *WHY)
    assert "did you mean rollback?" in errors
    assert (await world.get("/status"))["backlog"]["episodes"] == 0
    assert await world.get("/decisions?limit=10") == []


async def test_killed_after_the_request_was_kept_it_is_run_after_a_restart(world: World) -> None:
    process = await world.spawn(rules(BY_HAND))
    await world.break_service()
    planned = world.cluster.faults.add(reading, Hang(), times=None)
    assert (await asked(world))[0] == 0
    process.kill()
    world.cluster.faults.remove(planned)
    await world.spawn()
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 1
