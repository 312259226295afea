"""What happened and why, for people and for programs: every fact, time and guard's answer."""

from __future__ import annotations

import json
from typing import Any

from tests.support.daemon import World, moment
from tests.support.rulebooks import SERVICE, TARGET, alert, image, rule, rules

RECENT = {"check": "kubernetes.rolled_out_within", "with": {"window": "1h"}}
GUARDS = [
    "pause",
    "scope",
    "protection",
    "quarantine",
    "minimum_healthy",
    "freeze",
    "approval",
    "cooldown",
    "rate",
    "targets",
    "per_target",
    "brake",
    "clock",
]


async def repaired(world: World) -> dict[str, Any]:
    await world.start(rules(rule(only_if=[RECENT])))
    await world.fire(await world.break_service(), alert(instance="second"))
    return await world.run_ended()


async def test_history_as_json_is_an_array_of_runs(world: World) -> None:
    run = await repaired(world)
    code, said, errors = await world.cli("history", "--json")
    assert code == 0, errors
    (told,) = json.loads(said)
    keys = ("id", "rule", "target", "outcome", "started", "ended")
    assert {key: told[key] for key in keys} == {key: run[key] for key in keys}
    assert (told["rule"], told["target"], told["outcome"]) == ("rollback", TARGET, "succeeded")
    assert moment(told["started"]) < moment(told["ended"])


async def test_history_filters_by_rule_target_and_time(world: World) -> None:
    run = await repaired(world)
    for wanted, found in (
        (("--rule", "rollback", "--target", TARGET, "--since", "1h"), [run["id"]]),
        (("--rule", "another"), []),
        (("--target", "deployment/shop/other"), []),
    ):
        code, said, errors = await world.cli("history", "--json", *wanted)
        assert code == 0, errors
        assert [each["id"] for each in json.loads(said)] == found


async def test_show_tells_the_steps_the_change_and_the_times(world: World) -> None:
    run = await repaired(world)
    code, said, errors = await world.cli("show", run["id"][:6])
    assert code == 0, errors
    for text in (run["id"], "succeeded", "kubernetes.rollout_undo", "revision 3 → 2", "run.succeeded"):
        assert text in said
    assert f"-      - image: {image(SERVICE, 3)}" in said or image(SERVICE, 3) in said
    assert f"{moment(run['started']):%Y-%m-%d %H:%M:%S}" in said


async def test_explain_shows_every_fact_and_every_guard_at_the_decision_and_at_the_intent(
    world: World,
) -> None:
    run = await repaired(world)
    code, said, errors = await world.cli("explain", run["id"])
    assert code == 0, errors
    assert "kubernetes.rolled_out_within, expected yes" in said
    assert "instance=second" in said
    for guard in GUARDS:
        assert said.count(f" {guard}: ") >= 2, guard
    assert "mode: live" in said
    assert "guards asked again at the intent" in said


async def test_explain_as_json_holds_the_whole_story(world: World) -> None:
    run = await repaired(world)
    code, said, errors = await world.cli("explain", run["id"], "--json")
    assert code == 0, errors
    story = json.loads(said)
    first = next(each for each in story["decisions"] if each["kind"] == "run")
    assert [fact["said"] for fact in first["facts"]] == ["yes"]
    assert {each["guard"] for each in first["guards"]} == set(GUARDS)
    assert all(each["answer"] == "allows" and each["detail"] for each in first["guards"])
    (asked,) = [each for each in story["events"] if each["kind"] == "guards.asked"]
    assert {each["guard"] for each in asked["data"]["answers"]} == {"firing", "mode", *GUARDS}
    (attempt,) = story["attempts"]
    assert moment(attempt["intended"]) <= moment(attempt["ended"])
    assert attempt["fencing_token"] >= 1
    ids = [event["id"] for event in story["events"]]
    assert ids == sorted(ids)


async def test_the_ledger_and_the_target_agree_on_attempt_and_token(world: World) -> None:
    run = await repaired(world)
    (attempt,) = run["attempts"]
    noted = world.cluster.get("deployments", "shop", SERVICE)["metadata"]["annotations"]
    assert noted["remediator.dev/attempt"] == attempt["id"]
    assert noted["remediator.dev/fencing-token"] == str(attempt["fencing_token"])
    assert run["id"] in noted["kubernetes.io/change-cause"]


async def test_a_run_that_is_not_there_is_said_so_with_exit_1(world: World) -> None:
    await world.start(rules())
    code, said, errors = await world.cli("explain", "r-nothing")
    assert (code, said) == (1, "")
    assert "there is no run r-nothing" in errors


async def test_misuse_is_exit_2(world: World) -> None:
    await world.start(rules())
    assert (await world.cli("show"))[0] == 2
    assert (await world.cli("pause", "--rule", "a", "--target", "b", "--why", "c"))[0] == 2


async def test_a_wrong_token_is_refused_and_says_which_to_set(world: World) -> None:
    await world.start(rules())
    code, _, errors = await world.cli("history", token="wrong")
    assert code == 1
    assert "REMEDIATOR_OPERATOR_TOKEN" in errors


async def test_a_daemon_that_does_not_answer_is_said_so(world: World) -> None:
    world.url = "http://127.0.0.1:1"
    code, _, errors = await world.cli("history")
    assert code == 1
    assert "no Remediator answers at http://127.0.0.1:1" in errors
