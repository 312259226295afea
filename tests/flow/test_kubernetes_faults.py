"""Whatever the API server does to the write: one applied change or none, and the truth about which."""

from __future__ import annotations

import pytest

from remediator.sandbox.faults import Answer, DropReply, Fault, Hang, Refuse
from remediator.sandbox.kubernetes.audit import AuditEntry
from tests.support.daemon import World, changing, reading
from tests.support.processes import eventually
from tests.support.rulebooks import NAMESPACE, SERVICE, alert, image, rule, rules, step

REFUSED = {
    "403": Answer(403),
    "404": Answer(404),
    "409": Answer(409),
    "422": Answer(422),
    "429 with Retry-After": Answer(429, retry_after=1),
}
LOST: dict[str, Fault] = {
    "500": Answer(500),
    "503": Answer(503),
    "hangs": Hang(),
    "drops before": Refuse(),
}
QUICK = step(timeout="1s")


@pytest.mark.parametrize("fault", REFUSED.values(), ids=REFUSED.keys())
async def test_a_refused_write_is_proven_not_made_and_tried_again(world: World, fault: Answer) -> None:
    await world.start(rules(rule(steps=[step(retry=1)])))
    firing = await world.break_service()
    world.fault(changing, fault)
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert [attempt["outcome"] for attempt in run["attempts"]] == ["failed", "succeeded"]
    assert str(fault.code) in run["attempts"][0]["detail"]
    assert len(world.applied()) == 1


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
async def test_a_write_without_an_answer_is_probed_before_it_is_tried_again(
    world: World, fault: Fault
) -> None:
    await world.start(rules(rule(steps=[{**QUICK, "retry": 1}])))
    firing = await world.break_service()
    world.fault(changing, fault)
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert [attempt["outcome"] for attempt in run["attempts"]] == ["failed", "succeeded"]
    assert "attempt.lost" in [event["kind"] for event in run["events"]]
    assert len(world.applied()) == 1


async def test_a_write_whose_reply_is_lost_is_found_by_the_probe_and_not_repeated(world: World) -> None:
    await world.start(rules(rule(steps=[step(retry=3)])))
    firing = await world.break_service()
    world.fault(changing, DropReply())
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert len(run["attempts"]) == len(world.applied()) == 1
    assert "it did happen" in run["attempts"][0]["detail"]


async def test_a_write_that_arrives_after_its_time_is_refused_by_the_cluster_itself(world: World) -> None:
    """The probe has stamped a newer token: the late writer meets it, and nothing is done twice."""
    await world.start(rules(rule(steps=[{**QUICK, "retry": 1}])))
    firing = await world.break_service()
    late = world.hold(changing)
    await world.fire(firing)
    run = await world.run_ended()
    writes = len(_writes(world))
    late.release()
    await eventually(lambda: len(_writes(world)) > writes, "the late write arrives")
    assert _writes(world)[-1].code == 422
    assert run["outcome"] == "succeeded"
    assert len(world.applied()) == 1


@pytest.mark.parametrize("fault", [Answer(409), Answer(422), Answer(403), Answer(500)], ids=str)
async def test_tries_that_all_fail_end_the_run_as_failed_with_nothing_changed(
    world: World, fault: Fault
) -> None:
    await world.start(rules(rule(steps=[step(retry=1)])))
    firing = await world.break_service()
    world.fault(changing, fault, times=None)
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    assert [attempt["outcome"] for attempt in run["attempts"]] == ["failed", "failed"]
    await world.paged("FAILED", SERVICE)
    assert not world.applied()


async def test_a_write_that_another_hand_overtook_is_refused_and_their_release_is_left_alone(
    world: World,
) -> None:
    """Somebody rolls out a fix between plan and write: trying again would roll that fix back."""
    await world.start(rules(rule(steps=[step(retry=1)])))
    firing = await world.break_service()
    held = world.hold(changing)
    await world.fire(firing)
    await held.struck()
    world.cluster.set_image(NAMESPACE, SERVICE, image(SERVICE, 4))
    held.release()
    run = await world.run_ended()
    (attempt,) = run["attempts"]
    assert attempt["outcome"] == "failed"
    assert "somebody else changed" in attempt["detail"]
    assert run["outcome"] == "failed"
    assert "theirs now" in run["detail"]
    assert world.image_of(SERVICE) == image(SERVICE, 4)


async def test_a_target_that_was_deleted_meanwhile_is_said_to_be_gone(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    held = world.hold(changing)
    await world.fire(firing)
    await held.struck()
    world.cluster.delete("deployments", NAMESPACE, SERVICE)
    held.release()
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    assert not world.applied()
    await world.paged("FAILED", "not found")


async def test_a_target_that_was_made_anew_meanwhile_is_not_touched(world: World) -> None:
    """Same name, another object: what was planned for the old one says nothing about it."""
    await world.start(rules())
    firing = await world.break_service()
    held = world.hold(changing)
    await world.fire(firing)
    await held.struck()
    world.cluster.delete("deployments", NAMESPACE, SERVICE)
    world.cluster.deploy(NAMESPACE, SERVICE, image(SERVICE, 4))
    held.release()
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    assert "made anew" in run["detail"]
    assert not world.applied()


@pytest.mark.parametrize("plural", ["deployments", "replicasets"])
@pytest.mark.parametrize("fault", [DropReply(), Refuse(), Answer(409), Answer(500)], ids=str)
async def test_a_stamp_or_mark_that_goes_wrong_once_is_made_again(
    world: World, plural: str, fault: Fault
) -> None:
    """The token on the Deployment, and the mark on the ReplicaSet that is left, come before the change."""
    await world.start(rules())
    firing = await world.break_service()
    world.fault(lambda each: each.verb == "patch" and each.resource.plural == plural, fault)
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert len(run["attempts"]) == len(world.applied()) == 1


async def test_an_api_server_that_refuses_connections_fails_the_plan_and_pages(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    await world.cluster.down()
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    await world.paged("FAILED", "the API server can't be reached")
    assert not world.applied()


async def test_an_api_server_that_is_back_in_time_is_enough(world: World) -> None:
    await world.start(rules(rule(steps=[step(retry=9)])))
    firing = await world.break_service()
    await world.cluster.down()
    await world.fire(firing)
    await world.run_in("ready")
    await world.cluster.up()
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 1


@pytest.mark.parametrize("code", [403, 404, 500])
async def test_a_plan_that_the_api_server_refuses_fails_with_its_words(world: World, code: int) -> None:
    await world.start(rules())
    firing = await world.break_service()
    world.fault(reading, Answer(code), times=None)
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    assert not run["attempts"]
    await world.paged("FAILED", "there is no deployment" if code == 404 else str(code))


async def test_a_plan_that_could_not_be_looked_up_once_is_no_failure_that_another_step_follows(
    world: World,
) -> None:
    """Nothing was tried, so nothing is proven to have failed: `on_failure` has no business here."""
    await world.start(rules(rule(on_failure=[step("kubernetes.rollout_restart")])))
    firing = await world.break_service()
    world.fault(reading, Answer(503))
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert [attempt["action"] for attempt in run["attempts"]] == ["kubernetes.rollout_undo"]


async def test_an_alert_that_resolves_while_its_run_is_planned_is_not_acted_on(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    held = world.hold(reading)
    await world.fire(firing)
    await held.struck()
    await world.resolve(firing)
    await eventually(lambda: world.events("episode.resolved"), "the alert's end", within=10)
    held.release()
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("cancelled", "resolved")
    assert "guards.asked" in [event["kind"] for event in run["events"]]
    assert not world.applied()


async def test_a_throttled_read_waits_as_long_as_it_is_told(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    world.fault(reading, Answer(429, retry_after=1))
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert len(run["attempts"]) == 1


async def test_a_paused_deployment_is_left_alone(world: World) -> None:
    await world.start(rules())
    world.cluster.deploy(NAMESPACE, SERVICE, image(SERVICE, 1), spec={"paused": True})
    await world.fire(alert())
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    await world.paged("is paused", "kubectl rollout resume")
    assert not world.applied()


async def test_with_nothing_good_to_go_back_to_a_person_is_paged(world: World) -> None:
    await world.start(rules())
    world.cluster.break_image(image(SERVICE, 1))
    world.cluster.deploy(NAMESPACE, SERVICE, image(SERVICE, 1))
    await world.cluster.settled()
    await world.fire(alert())
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    await world.paged("nothing to go back to")
    assert not world.applied()


def _writes(world: World) -> list[AuditEntry]:
    return world.cluster.audit.select(verb="patch", resource="deployments")
