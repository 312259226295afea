"""Success is proven; what is not proven quarantines its target until a probe or a person knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.sandbox.faults import Answer, DropReply
from tests.support.daemon import ADAS, OPERATOR, World, changing, moment
from tests.support.processes import eventually
from tests.support.rulebooks import NAMESPACE, SERVICE, TARGET, alert, image, rule, rules, step

RESOLVED = {"within": "1s", "checks": [{"check": "alert.resolved"}]}
ROLLED_OUT = {"within": "1s", "checks": [{"check": "kubernetes.rolled_out"}]}


def of(service: str, **fields: Any) -> dict[str, Any]:
    """A rule of its own for a service."""
    matchers = ['alertname="ServiceDown"', f'job="{service}"']
    return rule(service, when={"matchers": matchers}, **fields)


async def unproven(world: World) -> None:
    """Bring the world to a run that ended unknown: Alertmanager can't be asked whether the alert is over."""
    await world.start(rules(rule(verify=RESOLVED)))
    firing = await world.break_service()
    world.alertmanager.fire([firing])
    await world.alertmanager.down()
    await world.fire(firing)
    assert (await world.run_ended())["outcome"] == "unknown"


async def test_missing_evidence_is_unknown_quarantines_the_target_and_pages(world: World) -> None:
    await unproven(world)
    await world.paged("UNKNOWN", TARGET, f"remediator clear {TARGET}")
    (held,) = (await world.get("/status"))["quarantines"]
    assert held["target"] == TARGET
    assert len(world.applied()) == 1


async def test_an_alert_on_a_quarantined_target_is_skipped_and_paged(world: World) -> None:
    await unproven(world)
    await world.fire(alert(instance="again"))
    assert (await world.decided("quarantined"))["kind"] == "skip"
    await world.paged("quarantined")
    assert len(world.applied()) == 1


async def test_only_a_named_person_clears_a_quarantine(world: World) -> None:
    await unproven(world)
    code, _, errors = await world.cli("clear", TARGET, "--why", "looked at it", token=OPERATOR)
    assert code == 1
    assert "needs a person" in errors
    assert (await world.get("/status"))["quarantines"]
    code, said, errors = await world.cli("clear", TARGET, "--why", "looked at it", token=ADAS)
    assert (code, said.strip()) == (0, f"cleared: {TARGET}"), errors
    assert (await world.get("/status"))["quarantines"] == []
    (event,) = await world.events("target.cleared")
    assert (event["data"]["who"], event["data"]["why"]) == ("ada", "looked at it")


async def test_evidence_that_comes_after_all_lifts_the_quarantine(world: World) -> None:
    await unproven(world)
    world.alertmanager.resolve([alert()])
    await world.alertmanager.up()
    await world.told("quarantine lifted by proof")
    assert (await world.get("/status"))["quarantines"] == []


async def test_evidence_that_comes_late_lifts_a_quarantine_only_once_it_held_long_enough(
    world: World,
) -> None:
    """And a target whose proof takes its time holds up no other."""
    auth = {"within": "1s", "checks": [{"check": "alert.resolved"}]}
    cart = {**auth, "within": "2s", "stable_for": "1s"}
    await world.start(rules(of("cart", verify=cart), of("auth", verify=auth)))
    firing = [await world.break_service(name) for name in ("cart", "auth")]
    world.alertmanager.fire(firing)
    await world.alertmanager.down()
    await world.fire(*firing)
    await world.run_ended(2)
    held = (await world.get("/status"))["quarantines"]
    assert {each["target"] for each in held} == {
        f"deployment/{NAMESPACE}/{name}" for name in ("cart", "auth")
    }
    world.alertmanager.resolve(firing)
    await world.alertmanager.up()
    began = datetime.now(UTC)
    await world.alertmanager.up()
    await world.told("deployment/shop/cart: quarantine lifted by proof", "stable for 1s")
    lifted = await world.events("target.cleared")
    assert [each["target"] for each in lifted] == ["deployment/shop/auth", "deployment/shop/cart"]
    assert moment(lifted[-1]["at"]) - began >= timedelta(seconds=1)


async def test_an_attempt_in_doubt_is_probed_until_the_cluster_answers(world: World) -> None:
    """The reply is lost, then the API server: unknown, until a probe finds the attempt on the target."""
    await world.start(rules())
    firing = await world.break_service()
    world.fault(changing, DropReply())
    outage = world.cluster.faults.add(lambda _: bool(world.applied()), Answer(503), times=None)
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "unknown"
    assert run["attempts"][-1]["outcome"] == "unknown"
    await world.paged("UNKNOWN", "may or may not have happened")
    world.cluster.faults.remove(outage)
    await world.told("quarantine lifted by proof", "happened")
    assert len(world.applied()) == 1


async def test_a_repair_proven_not_to_work_falls_back_and_is_proven_again(world: World) -> None:
    fallback = [step("kubernetes.rollout_undo")]
    await world.start(rules(rule(on_failure=fallback, verify=ROLLED_OUT)))
    firing = await world.break_service()
    world.cluster.break_image(image(SERVICE, 2))
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert [attempt["phase"] for attempt in run["attempts"]] == ["steps", "on_failure"]
    assert world.image_of() == image(SERVICE, 1)
    kinds = [event["kind"] for event in run["events"]]
    assert kinds.count("run.verifying") == 2
    assert kinds.index("run.disproven") < kinds.index("run.falling_back")
    assert len(world.applied()) == 2


async def test_a_fallback_that_does_not_work_either_fails_and_pages(world: World) -> None:
    await world.start(rules(rule(on_failure=[step("kubernetes.rollout_restart")], verify=ROLLED_OUT)))
    firing = await world.break_service()
    world.cluster.break_image(image(SERVICE, 2))
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    assert len(run["attempts"]) == 2
    await world.paged("FAILED", "not repaired within 1s")


async def test_a_fallback_asks_the_guards_again(world: World) -> None:
    await world.start(rules(rule(on_failure=[step("kubernetes.rollout_restart")], verify=ROLLED_OUT)))
    firing = await world.break_service()
    world.cluster.break_image(image(SERVICE, 2))
    await world.fire(firing)
    await world.run_in("verifying")
    paused = {"scope": "target", "value": TARGET, "why": "a person takes over"}
    assert (await world.ask("POST", "/api/v1/pauses", paused))[0] == 201
    await world.told("waiting for", "a person takes over")
    assert len(world.applied()) == 1
    assert (await world.ask("POST", "/api/v1/resume", paused))[0] == 200
    await world.run_ended()
    assert len(world.applied()) == 2


async def test_a_proof_must_hold_for_as_long_as_the_rule_asks(world: World) -> None:
    """It looks good for a moment and then is not: that is no success."""
    steady = {"within": "2s", "stable_for": "1s", "checks": [{"check": "kubernetes.rolled_out"}]}
    await world.start(rules(rule(verify=steady)))
    await world.fire(await world.break_service())

    async def good() -> bool:
        return bool(await world.events("run.checked")) and world.cluster.healthy(NAMESPACE, SERVICE)

    await eventually(good, "it looks good")
    world.cluster.break_image(image(SERVICE, 2))
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    await world.paged("FAILED")


async def test_a_rule_without_verify_is_proven_by_its_actions_own_check(world: World) -> None:
    proofless = rule()
    del proofless["verify"]
    await world.start(rules(proofless))
    await world.fire(await world.break_service())
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    checked = [event["data"]["check"] for event in run["events"] if event["kind"] == "run.checked"]
    assert set(checked) == {"kubernetes.rolled_out"}
