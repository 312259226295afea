"""The rulebook in force: proposed by files, pinned by runs, kept when what is proposed is bad or old."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from remediator.app import running
from remediator.core.ports.channels import RulebookError
from tests.support.daemon import World, changing, reading
from tests.support.processes import eventually
from tests.support.rulebooks import SERVICE, TARGET, alert, image, page_only, rule, rules, step

GROW = step("kubernetes.scale", with_={"replicas": 7})
#: What a reload says of files that it puts in force, or that were taken up a moment before.
PUT_IN_FORCE = ("activated", "unchanged")
BROKEN = rules({**rule(), "step": []})


async def reload(world: World) -> tuple[int, dict[str, object]]:
    return await world.ask("POST", "/api/v1/rulebook/reload", {})


async def test_a_run_keeps_the_steps_it_began_with(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    held = world.hold(reading)
    await world.fire(firing)
    await held.struck()
    world.write_rules(rules(rule(steps=[GROW])))
    status, said = await reload(world)
    assert (status, said["proposal"] in PUT_IN_FORCE) == (200, True)
    held.release()
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert [attempt["action"] for attempt in run["attempts"]] == ["kubernetes.rollout_undo"]
    assert world.image_of() == image(SERVICE, 2)


async def test_the_next_run_has_the_new_steps(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    world.write_rules(
        rules(rule(steps=[GROW], verify={"within": "1s", "checks": [{"check": "kubernetes.rolled_out"}]}))
    )
    code, said, errors = await world.cli("reload")
    assert code == 0, errors
    assert said.startswith(PUT_IN_FORCE)
    await world.fire(firing)
    run = await world.run_ended()
    assert [attempt["action"] for attempt in run["attempts"]] == ["kubernetes.scale"]


async def test_a_run_obeys_the_stricter_of_its_own_and_the_active_rulebook(world: World) -> None:
    """Disarming a rule stops a run of it that has not acted yet."""
    await world.start(rules())
    firing = await world.break_service()
    held = world.hold(reading)
    await world.fire(firing)
    await held.struck()
    world.write_rules(rules(rule(mode="observe")))
    await reload(world)
    held.release()
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("refused", "mode")
    assert not world.applied()


async def test_a_rule_that_was_removed_acts_no_more(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    held = world.hold(reading, times=2)
    await world.fire(firing)
    await held.struck()
    world.write_rules(rules(rule("another")))
    await reload(world)
    held.release()
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("refused", "rule_gone")
    assert not world.applied()


async def test_a_run_stopped_between_its_steps_is_unknown_for_what_it_did_is_not_proven(world: World) -> None:
    await world.start(rules(rule(steps=[step(), step("kubernetes.scale", with_={"replicas": 4})])))
    firing = await world.break_service()
    held = world.hold(changing)
    await world.fire(firing)
    await held.struck()
    world.write_rules(rules(rule("another")))
    await reload(world)
    held.release()
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("unknown", "rule_gone")
    assert [change.verb for change in world.applied()] == ["patch"]
    await world.paged("UNKNOWN")


async def test_a_reload_of_broken_files_keeps_the_old_rulebook_and_says_so(world: World) -> None:
    await world.start(rules())
    before = await world.get("/status")
    world.write_rules(BROKEN)
    status, said = await reload(world)
    assert status == 422
    assert "did you mean" in str(said["problems"])
    code, _, errors = await world.cli("reload")
    assert code == 1
    assert "rules.yaml:" in errors
    after = await world.get("/status")
    assert after["rulebook"] == before["rulebook"]
    assert "rules.yaml:" in after["rule_files"]
    assert await world.events("rulebook.refused")
    await world.fire(await world.break_service())
    assert (await world.run_ended())["outcome"] == "succeeded"


async def test_a_start_with_broken_files_goes_on_with_the_rulebook_of_the_ledger(world: World) -> None:
    await world.start(rules())
    before = await world.get("/status")
    await world.stop()
    await world.start(BROKEN)
    after = await world.get("/status")
    assert after["rulebook"] == before["rulebook"]
    assert "rules.yaml:" in after["rule_files"]


async def test_a_first_start_with_broken_files_is_refused(world: World) -> None:
    world.write_rules(BROKEN)
    with pytest.raises(RulebookError, match=r"rules\.yaml:"):
        async with running(world._settings({}), kubeconfig=world.kubeconfig):
            raise AssertionError("it must not have started")


async def test_files_that_were_replaced_before_are_shown_as_drift_and_not_in_force(world: World) -> None:
    """A replica that boots with yesterday's files must not flip everybody back."""
    old, new = rules(), rules(rule(summary="Newer"))
    await world.start(old)
    world.write_rules(new)
    await reload(world)
    active = (await world.get("/status"))["rulebook"]
    await world.stop()
    await world.start(old)
    status = await world.get("/status")
    assert status["rulebook"] == active
    assert status["drift"] not in (None, active["hash"])
    assert status["drift"][:12] in status["rule_files"]
    assert await world.events("rulebook.drifted")
    _, said, _ = await world.cli("status")
    assert "drift" in said
    assert (await reload(world))[1]["proposal"] in PUT_IN_FORCE
    status = await world.get("/status")
    assert status["rulebook"] != active
    assert (status["rule_files"], status["drift"]) == ("", None)


async def test_files_in_force_are_said_to_be_nothing_special(world: World) -> None:
    await world.start(rules())
    assert (await world.get("/status"))["rule_files"] == ""
    assert (await reload(world))[1]["proposal"] == "unchanged"


async def test_a_mode_changed_later_never_acts_on_an_alert_decided_before(world: World) -> None:
    """A skip, or having observed, is final for its episode."""
    await world.start(rules(rule(mode="observe")))
    firing = await world.break_service()
    await world.fire(firing)
    await world.run_ended()
    world.write_rules(rules())
    await reload(world)
    await world.fire(firing)
    await world.fire(alert())
    await world.idle()
    assert len(await world.runs()) == 1
    assert not world.applied()
    assert (await world.runs())[0]["target"] == TARGET


@pytest.mark.parametrize("acting", [True, False], ids=["acting", "proving"])
async def test_a_run_whose_rulebook_this_version_cannot_read_ends_unknown_and_pages(
    world: World, *, acting: bool
) -> None:
    """It may never stay as it is, in nobody's sight, with its target and its place held for ever."""
    await world.start(rules())
    firing = await world.break_service()
    world.cluster.break_image(image(SERVICE, 2))
    held = world.hold(changing) if acting else None
    await world.fire(firing)
    await world.run_in("acting" if acting else "verifying")
    await world.stop()
    with closing(sqlite3.connect(world.ledger)) as ledger, ledger:
        ledger.execute("UPDATE rulebooks SET files = ?", ('{"rules.yaml": "version: 99"}',))
    await world.start(rules(rule(summary="Newer")))
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("unknown", "rule_gone")
    await world.paged("UNKNOWN", "can't be read any more")
    if held is not None:
        held.release()


async def test_a_renamed_rule_keeps_its_cooldown_and_its_pauses(world: World) -> None:
    await world.start(rules(rule(limits={"cooldown": "15m"})))
    firing = await world.break_service()
    await world.fire(firing)
    await world.run_ended()
    await world.resolve(firing)
    world.write_rules(rules(rule("renamed", was="rollback", limits={"cooldown": "15m"})))
    assert (await reload(world))[0] == 200
    again = alert(starts_at=datetime.now(UTC))
    await world.fire(again)
    decision = await world.decided("cooldown")
    assert (decision["kind"], decision["rule"]) == ("skip", "renamed")


async def test_a_pause_of_a_rule_holds_when_it_is_renamed_and_ends_by_its_new_name(world: World) -> None:
    await world.start(rules())
    paused = {"scope": "rule", "value": "rollback", "why": "a person looks at it"}
    assert (await world.ask("POST", "/api/v1/pauses", paused))[0] == 201
    world.write_rules(rules(rule("renamed", was="rollback")))
    assert (await reload(world))[0] == 200
    await world.fire(await world.break_service())
    await world.decided("paused")
    assert (await world.ask("POST", "/api/v1/resume", {**paused, "value": "renamed"}))[0] == 200
    assert not (await world.get("/status"))["pauses"]


async def test_health_asks_kubernetes_as_soon_as_a_rule_in_force_does(world: World) -> None:
    await world.start(rules(page_only()))
    assert "kubernetes" not in (await world.ask("GET", "/health"))[1]
    world.write_rules(rules())
    assert (await reload(world))[0] == 200

    async def healthy() -> bool:
        return bool((await world.ask("GET", "/health"))[1]["kubernetes"]["status"] == "healthy")

    await eventually(healthy, "Kubernetes is asked")
