"""`kubernetes.rollout_restart` and `kubernetes.scale` on both clusters, fenced as rollout_undo is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.core.ports.actions import Refusal, Sighting
from remediator.core.reasons import Reason
from remediator.core.runs import Outcome
from tests.support.acting import RESTART, SCALE, ArmedClient, Hand
from tests.support.clusters import GOOD, Cluster
from tests.support.proxy import Proxy

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


@pytest.fixture
async def hand(cluster: Cluster) -> AsyncIterator[Hand]:
    async with Hand(cluster) as made:
        yield made


async def test_a_restart_replaces_every_pod_and_changes_nothing_else(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD)
    before = await cluster.complete("cart")
    old = {pod["metadata"]["uid"] for pod in await cluster.all("pods")}
    result = await hand.act(RESTART)
    assert result.outcome is Outcome.SUCCEEDED
    after = await cluster.complete("cart")
    assert old.isdisjoint(pod["metadata"]["uid"] for pod in await cluster.all("pods"))
    noted = after["spec"]["template"]["metadata"].pop("annotations")
    assert noted == {RESTARTED_AT: result.values["restarted_at"]}
    assert after["spec"] == before["spec"]


async def test_a_restart_shows_its_plan_and_refuses_a_paused_deployment(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD)
    plan = await hand.planned(RESTART, hand.context(RESTART))
    assert plan.summary == "cart: restart 2 pods"
    assert f"+    {RESTARTED_AT}" in plan.diff
    await cluster.merge("cart", {"spec": {"paused": True}})
    assert isinstance(await hand.plan(RESTART, hand.context(RESTART)), Refusal)
    assert (await hand.apply(RESTART, hand.context(RESTART), plan)).outcome is Outcome.FAILED
    assert cluster.template_writes() == []


async def test_a_restart_does_not_overwrite_a_newer_template(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD)
    plan = await hand.planned(RESTART, hand.context(RESTART))
    await cluster.roll_out("cart", "shop/cart:2")
    assert (await hand.apply(RESTART, hand.context(RESTART), plan)).outcome is Outcome.FAILED


RECREATE = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}
AT_ONCE = {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": "100%"}}}}


@pytest.mark.parametrize(
    ("change", "least"), [({}, 2), (RECREATE, 0), (AT_ONCE, 0)], ids=["as it is", "recreated", "at once"]
)
async def test_a_plan_says_how_few_would_be_ready_at_worst(
    cluster: Cluster, hand: Hand, change: dict[str, object], least: int
) -> None:
    await cluster.deploy("cart", GOOD)
    await cluster.merge("cart", {"metadata": {"labels": {"tier": "web"}}, **change})
    await cluster.complete("cart")
    sight = (await hand.planned(RESTART, hand.context(RESTART))).sight
    assert (sight.labels["tier"], sight.ready, sight.least) == ("web", 2, least)
    for wanted in (0, 1, 4):
        scaled = await hand.planned(SCALE, hand.context(SCALE, params={"replicas": wanted}))
        assert scaled.sight.least == min(wanted, 2)


async def test_scaling_sets_the_replicas(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD)
    context = hand.context(SCALE, params={"replicas": 4})
    plan = await hand.planned(SCALE, context)
    assert plan.summary == "cart: 2 → 4 replicas"
    assert (await hand.apply(SCALE, context, plan)).values == {"from_replicas": 2, "to_replicas": 4}
    assert (await cluster.complete("cart"))["spec"]["replicas"] == 4


async def test_scaling_does_not_undo_what_another_hand_scaled(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD)
    context = hand.context(SCALE, params={"replicas": 4})
    plan = await hand.planned(SCALE, context)
    await cluster.merge("cart", {"spec": {"replicas": 7}})
    result = await hand.apply(SCALE, context, plan)
    assert result.outcome is Outcome.FAILED
    assert "somebody else scaled" in result.detail
    assert (await cluster.get("cart"))["spec"]["replicas"] == 7


async def test_scaling_to_what_it_is_still_leaves_its_attempt(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD)
    context = hand.context(SCALE, params={"replicas": 2}, attempt="r-1/scale/1")
    plan = await hand.planned(SCALE, context)
    assert plan.summary == "cart: stays at 2 replicas"
    assert (await hand.apply(SCALE, context, plan)).outcome is Outcome.SUCCEEDED
    assert (await hand.probe(SCALE, context, plan)).sighting is Sighting.HAPPENED


@pytest.mark.parametrize(("action", "params"), [(RESTART, {}), (SCALE, {"replicas": 3})])
async def test_protection_and_newer_tokens_stop_them_too(
    cluster: Cluster, hand: Hand, action: str, params: dict[str, object]
) -> None:
    await cluster.deploy("cart", GOOD)
    context = hand.context(action, params=params)
    plan = await hand.planned(action, context)
    await cluster.annotate("cart", protected="true")
    refusal = await hand.plan(action, context)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.PROTECTED
    assert (await hand.apply(action, context, plan)).outcome is Outcome.FAILED
    await cluster.annotate("cart", protected=None, fencing_token="5")
    assert "superseded" in (await hand.apply(action, context, plan)).detail
    assert [
        write for write in cluster.writes() if any(each["op"] == "replace" for each in write.operations)
    ] == []


@pytest.mark.parametrize(("action", "params"), [(RESTART, {}), (SCALE, {"replicas": 3})])
async def test_their_lost_replies_are_unknown_until_probed(
    cluster: Cluster, hand: Hand, action: str, params: dict[str, object]
) -> None:
    await cluster.deploy("cart", GOOD)
    async with Proxy(cluster.url) as proxy:
        client = ArmedClient(cluster.kubeconfig(url=proxy.url), proxy, cut=True, timeout=10)
        async with Hand(cluster, client) as unlucky:
            context = unlucky.context(action, params=params)
            plan = await unlucky.planned(action, context)
            assert (await unlucky.apply(action, context, plan)).outcome is Outcome.UNKNOWN
    probe = await hand.probe(action, hand.context(action, params=params, token=2), plan)
    assert probe.sighting is Sighting.HAPPENED
    assert probe.values
