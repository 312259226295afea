"""`kubernetes.rollout_undo` on both clusters: where it goes back to, and what it leaves alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.core.ports.actions import Refusal
from remediator.core.reasons import Reason
from remediator.core.runs import Outcome
from tests.support.acting import UNDO, Hand
from tests.support.clusters import ALSO_GOOD, BROKEN, GOOD, Cluster, image_of
from tests.support.control_plane import ApiRefused
from tests.support.processes import eventually


@pytest.fixture
async def hand(cluster: Cluster) -> AsyncIterator[Hand]:
    async with Hand(cluster) as made:
        yield made


async def test_it_goes_back_to_the_revision_before_and_the_service_recovers(
    cluster: Cluster, hand: Hand
) -> None:
    await cluster.deploy("cart", GOOD)
    await cluster.complete("cart")
    await cluster.roll_out("cart", BROKEN)
    result = await hand.act()
    assert result.outcome is Outcome.SUCCEEDED
    assert result.values == {"from_revision": 2, "to_revision": 1}
    assert image_of(await cluster.complete("cart")) == GOOD
    assert len(cluster.template_writes()) == 1


async def test_everyday_characters_in_a_template_are_no_change_by_another_hand(
    cluster: Cluster, hand: Hand
) -> None:
    """The API server compares a `test`'s strings as Go spells them: `&`, `<`, `>` and what is not ASCII."""
    await cluster.deploy("cart", GOOD)
    spoken = {"name": "cart", "args": ["sh", "-c", "echo 'é 😀 \u2028' && test 1 > 0 <in"]}
    await cluster.merge("cart", {"spec": {"template": {"spec": {"containers": [{**spoken, "image": GOOD}]}}}})
    await cluster.taken_up("cart")
    await cluster.merge(
        "cart", {"spec": {"template": {"spec": {"containers": [{**spoken, "image": BROKEN}]}}}}
    )
    await cluster.taken_up("cart")
    result = await hand.act()
    assert result.outcome is Outcome.SUCCEEDED, result.detail
    assert image_of(await cluster.get("cart")) == GOOD


async def test_the_plan_says_what_it_would_do_and_changes_nothing(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    plan = await hand.planned(UNDO, hand.context())
    assert plan.summary == "cart: revision 2 → 1 (image shop/cart:1.5.0 → 1.4.0)"
    lines = plan.diff.splitlines()
    assert lines[:2] == ["--- cart revision 2", "+++ cart revision 1"]
    assert [line[0] + line.split()[-1] for line in lines[3:] if line[0] in "-+"] == [f"-{BROKEN}", f"+{GOOD}"]
    assert cluster.writes() == []


async def test_the_target_tells_people_and_probes_who_did_it(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    await hand.act(token=7, attempt="r-9/undo/2")
    noted = (await cluster.get("cart"))["metadata"]["annotations"]
    assert noted["remediator.dev/attempt"] == "r-9/undo/2"
    assert noted["remediator.dev/fencing-token"] == "7"
    assert noted["kubernetes.io/change-cause"] == "ServiceDown: rolled back by remediator"
    assert await cluster.marked() == {BROKEN}


async def test_a_second_alert_does_not_roll_forward_into_the_broken_release(
    cluster: Cluster, hand: Hand
) -> None:
    """`kubectl rollout undo` twice ends where it began."""
    await cluster.deploy("cart", GOOD, ALSO_GOOD, BROKEN)
    await hand.act(token=1, attempt="r-1/undo/1")
    assert image_of(await cluster.taken_up("cart")) == ALSO_GOOD
    await hand.act(token=2, attempt="r-2/undo/1")
    assert image_of(await cluster.taken_up("cart")) == GOOD
    assert await cluster.marked() == {BROKEN, ALSO_GOOD}


async def test_a_mark_that_kubectl_copied_marks_nothing_else(cluster: Cluster, hand: Hand) -> None:
    """`kubectl rollout undo` copies annotations to the Deployment, and so to all later revisions."""
    await cluster.deploy("cart", GOOD, BROKEN)
    await hand.act()
    await cluster.taken_up("cart")
    [fled] = [each for each in await cluster.all("replicasets") if image_of(each) == BROKEN]
    await cluster.annotate("cart", fled_from=fled["metadata"]["annotations"]["remediator.dev/fled-from"])
    await cluster.roll_out("cart", ALSO_GOOD)
    await cluster.roll_out("cart", "shop/cart:1.6.0")
    assert {ALSO_GOOD, "shop/cart:1.6.0"} < await cluster.marked()
    await hand.act(token=2, attempt="r-2/undo/1")
    assert image_of(await cluster.taken_up("cart")) == ALSO_GOOD


async def test_it_says_why_there_is_nothing_good_left(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    await hand.act()
    await cluster.taken_up("cart")
    refusal = await hand.plan(UNDO, hand.context(token=2, attempt="r-2/undo/1"))
    assert isinstance(refusal, Refusal)
    assert "nothing to go back to" in refusal.detail
    assert "revision 2 was fled from by r-1/undo/1" in refusal.detail
    assert not refusal.temporary


async def test_a_first_revision_has_nothing_to_go_back_to(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", BROKEN)
    refusal = await hand.plan(UNDO, hand.context())
    assert isinstance(refusal, Refusal)
    assert "revision 1 is the oldest that is kept" in refusal.detail


async def test_a_restart_of_the_broken_release_is_the_broken_release(cluster: Cluster, hand: Hand) -> None:
    """People restart first; neither the first alert nor a second one goes to what was only restarted."""
    await cluster.deploy("cart", GOOD, ALSO_GOOD, BROKEN)
    await cluster.kubectl_restart("cart", "2026-01-01T00:00:00Z")
    await hand.act(token=1, attempt="r-1/undo/1")
    assert image_of(await cluster.taken_up("cart")) == ALSO_GOOD
    await hand.act(token=2, attempt="r-2/undo/1")
    assert image_of(await cluster.taken_up("cart")) == GOOD


async def test_a_named_revision_is_the_one_unless_it_was_fled_from(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, ALSO_GOOD, BROKEN)
    await hand.act(params={"to_revision": 1})
    assert image_of(await cluster.taken_up("cart")) == GOOD
    for number, why in ((3, "was fled from"), (4, "is the current one"), (9, "those kept are 4, 3, 2")):
        refusal = await hand.plan(UNDO, hand.context(attempt="r-2/undo/1", params={"to_revision": number}))
        assert isinstance(refusal, Refusal)
        assert why in refusal.detail


async def test_what_a_ledger_has_forgotten_is_not_done_again(cluster: Cluster, hand: Hand) -> None:
    """A ledger put back from a copy plans anew what was done since; a later attempt hides no earlier one."""
    await cluster.deploy("cart", GOOD, ALSO_GOOD, BROKEN)
    await hand.act(token=1, attempt="r-1/undo/1")
    await cluster.taken_up("cart")
    await hand.act(token=2, attempt="r-2/undo/1")
    await cluster.taken_up("cart")
    for attempt in ("r-1/undo/1", "r-2/undo/1"):
        refusal = await hand.plan(UNDO, hand.context(token=3, attempt=attempt))
        assert isinstance(refusal, Refusal)
        assert refusal.reason is Reason.FORGOTTEN
        assert attempt in refusal.detail


async def test_a_paused_deployment_is_left_alone(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    context = hand.context()
    plan = await hand.planned(UNDO, context)
    await cluster.merge("cart", {"spec": {"paused": True}})
    refusal = await hand.plan(UNDO, context)
    assert isinstance(refusal, Refusal)
    assert "kubectl rollout resume" in refusal.detail
    result = await hand.apply(UNDO, context, plan)
    assert result.outcome is Outcome.FAILED
    assert "is paused" in result.detail
    assert (cluster.template_writes(), await cluster.marked()) == ([], set())


@pytest.mark.parametrize("value", ["true", "yes", "TRUE"])
async def test_a_protected_deployment_is_left_alone(cluster: Cluster, hand: Hand, value: str) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    context = hand.context()
    plan = await hand.planned(UNDO, context)
    await cluster.annotate("cart", protected=value)
    refusal = await hand.plan(UNDO, context)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.PROTECTED
    result = await hand.apply(UNDO, context, plan)
    assert result.outcome is Outcome.FAILED
    assert (cluster.template_writes(), await cluster.marked()) == ([], set())


async def test_protection_that_is_switched_off_does_not_protect(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    await cluster.annotate("cart", protected="false")
    assert (await hand.act()).outcome is Outcome.SUCCEEDED


async def test_only_the_template_moves(cluster: Cluster, hand: Hand) -> None:
    """What another hand changed since the plan, and lies beside the template, survives."""
    await cluster.deploy("cart", GOOD, BROKEN)
    context = hand.context()
    plan = await hand.planned(UNDO, context)
    await cluster.merge("cart", {"spec": {"replicas": 5, "minReadySeconds": 1}})
    assert (await hand.apply(UNDO, context, plan)).outcome is Outcome.SUCCEEDED
    found = await cluster.get("cart")
    assert (found["spec"]["replicas"], found["spec"]["minReadySeconds"]) == (5, 1)
    assert image_of(found) == GOOD
    assert "pod-template-hash" not in found["spec"]["template"]["metadata"]["labels"]


async def test_a_template_that_moved_since_the_plan_is_not_overwritten(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    context = hand.context()
    plan = await hand.planned(UNDO, context)
    await cluster.roll_out("cart", "shop/cart:1.5.1")
    result = await hand.apply(UNDO, context, plan)
    assert result.outcome is Outcome.FAILED
    assert "somebody else changed the template" in result.detail
    assert image_of(await cluster.get("cart")) == "shop/cart:1.5.1"


async def test_a_goal_fled_from_since_the_plan_is_none(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    context = hand.context()
    plan = await hand.planned(UNDO, context)
    [goal] = [each for each in await cluster.all("replicasets") if image_of(each) == GOOD]
    name = goal["metadata"]["name"]
    mark = {"remediator.dev/fled-from": f"r-0/undo/1 {name}"}
    await cluster.merge(name, {"metadata": {"annotations": mark}}, "replicasets")
    result = await hand.apply(UNDO, context, plan)
    assert result.outcome is Outcome.FAILED
    assert "was fled from since it was planned" in result.detail
    assert cluster.template_writes() == []


async def test_another_deployments_revisions_are_not_ours_though_its_labels_are(
    cluster: Cluster, hand: Hand
) -> None:
    found = await cluster.deploy("cart", GOOD, BROKEN)
    spec = {key: found["spec"][key] for key in ("replicas", "selector", "template")}
    await cluster.call("POST", "deployments", {"metadata": {"name": "twin"}, "spec": spec})
    await cluster.taken_up("twin")
    for image in ("shop/twin:2", "shop/twin:3"):
        await cluster.roll_out("twin", image)
    refusal = await hand.plan(UNDO, hand.context(params={"to_revision": 3}))
    assert isinstance(refusal, Refusal)
    assert refusal.detail.endswith("those kept are 2, 1")


async def test_a_deployment_made_anew_is_another_one(cluster: Cluster, hand: Hand) -> None:
    """Neither written to nor taken as proof of anything."""
    await cluster.deploy("cart", GOOD, BROKEN)
    context = hand.context()
    plan = await hand.planned(UNDO, context)
    await cluster.call("DELETE", "deployments/cart")

    async def gone() -> bool:
        try:
            await cluster.get("cart")
        except ApiRefused as refused:
            return refused.status == 404
        return False

    await eventually(gone, "the Deployment deleted")
    absent = await hand.apply(UNDO, context, plan)
    assert absent.outcome is Outcome.FAILED
    assert "there is no deployment/" in absent.detail
    assert (await hand.probe(UNDO, context, plan)).sighting.value == "unprovable"
    await cluster.deploy("cart", BROKEN)
    assert "made anew" in (await hand.apply(UNDO, context, plan)).detail
    probe = await hand.probe(UNDO, context, plan)
    assert probe.sighting.value == "unprovable"
    assert "made anew" in probe.detail


async def test_secrets_stay_out_of_plans_and_diffs(cluster: Cluster, hand: Hand) -> None:
    """A plan is stored and shown; what it holds of a template are digests."""
    await cluster.deploy("cart", GOOD, BROKEN, env={"DB_PASSWORD": "hunter2", "MODE": "fast"})
    plan = await hand.planned(UNDO, hand.context())
    assert "hunter2" not in f"{plan}"
    path = "/spec/template/spec/containers/0/env/0/value"
    await cluster.patch("cart", [{"op": "replace", "path": path, "value": "hunter3"}])
    await cluster.taken_up("cart")
    changed = await hand.planned(UNDO, hand.context())
    assert "hunter" not in f"{changed}"
    assert "(hidden, changed)" in changed.diff
