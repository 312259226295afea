"""The checks on Deployments, on both clusters: yes, no, and error, which is never no."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.core.checks import Said
from tests.support.acting import Hand
from tests.support.clusters import BROKEN, GOOD, Cluster
from tests.support.processes import eventually

ROLLED_OUT, SINCE = "kubernetes.rolled_out", "kubernetes.rolled_out_within"
READY, GITOPS = "kubernetes.pods_ready", "kubernetes.gitops_managed"
HOUR = 3600


@pytest.fixture
async def hand(cluster: Cluster) -> AsyncIterator[Hand]:
    async with Hand(cluster) as made:
        yield made


async def test_rolled_out_is_yes_only_once_every_replica_is_new_and_available(
    cluster: Cluster, hand: Hand
) -> None:
    await cluster.deploy("cart", GOOD)
    await cluster.complete("cart")
    answer = await hand.look(ROLLED_OUT)
    assert (answer.said, answer.evidence["up"]) == (Said.YES, 2)
    await cluster.roll_out("cart", BROKEN)
    assert (await hand.look(ROLLED_OUT)).said is Said.NO
    await hand.act()
    await cluster.complete("cart")
    assert (await hand.look(ROLLED_OUT)).said is Said.YES


async def test_a_change_that_the_controller_has_not_seen_is_not_rolled_out(
    cluster: Cluster, hand: Hand
) -> None:
    """Right after a write the old status still looks complete."""
    await cluster.deploy("cart", GOOD)
    await cluster.complete("cart")
    await cluster.merge("cart", {"spec": {"minReadySeconds": 500}})
    await cluster.merge("cart", {"spec": {"template": {"metadata": {"labels": {"release": "2"}}}}})
    assert (await hand.look(ROLLED_OUT)).said is Said.NO


async def test_the_deployments_of_the_namespace_are_counted(cluster: Cluster, hand: Hand) -> None:
    none = await hand.look("kubernetes.deployments", {"at_least": 0})
    assert (none.said, none.evidence) == (Said.YES, {"deployments": 0})
    for name in ("cart", "pay"):
        await cluster.deploy(name, GOOD)
    for wanted, said in ((0, Said.YES), (2, Said.YES), (3, Said.NO)):
        answer = await hand.look("kubernetes.deployments", {"at_least": wanted})
        assert (answer.said, answer.evidence) == (said, {"deployments": 2})


async def test_a_missing_deployment_is_an_error_of_every_check(hand: Hand) -> None:
    for check, params in ((ROLLED_OUT, {}), (SINCE, {"window": "1h"}), (READY, {}), (GITOPS, {})):
        answer = await hand.look(check, params)
        assert answer.said is Said.ERROR
        assert "there is no deployment/" in answer.detail


async def test_a_rollout_is_recent_for_its_window_and_not_after(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    assert (await hand.look(SINCE, {"window": "1h"})).said is Said.YES
    assert (await hand.look(SINCE, {"window": "1h"}, later=HOUR - 60)).said is Said.YES
    assert (await hand.look(SINCE, {"window": "1h"}, later=HOUR + 60)).said is Said.NO


async def test_a_rollback_of_ours_is_no_rollout_to_blame_until_somebody_rolls_out_again(
    cluster: Cluster, hand: Hand
) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    await hand.act()
    await cluster.taken_up("cart")
    answer = await hand.look(SINCE, {"window": "1h"})
    assert (answer.said, answer.evidence["ours"]) == (Said.NO, True)
    await cluster.roll_out("cart", "shop/cart:1.6.0")
    answer = await hand.look(SINCE, {"window": "1h"})
    assert (answer.said, answer.evidence["ours"]) == (Said.YES, False)


async def test_a_reused_revision_is_as_recent_as_its_last_rollout(cluster: Cluster, hand: Hand) -> None:
    """Somebody rolls back by hand: the ReplicaSet is old, its rollout is not."""
    await cluster.deploy("cart", GOOD, "shop/cart:2")
    await cluster.roll_out("cart", GOOD)
    await cluster.complete("cart")
    answer = await hand.look(SINCE, {"window": "1h"})
    assert answer.said is Said.YES
    assert "used before" in str(answer.evidence["source"])


async def test_a_restart_is_no_rollout_of_a_release(cluster: Cluster, hand: Hand) -> None:
    """The release is as old as before it; else a week-old release would be rolled back for a restart."""
    await cluster.deploy("cart", GOOD)
    first = (await cluster.all("replicasets"))[0]["metadata"]["creationTimestamp"]
    await cluster.kubectl_restart("cart", "2026-01-01T00:00:00Z")
    answer = await hand.look(SINCE, {"window": "1h"})
    assert str(answer.evidence["rolled_out_at"]) == first.replace("Z", "+00:00")


async def test_pods_are_counted_ready_against_the_minimum(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, replicas=4)
    await cluster.complete("cart")
    assert (await hand.look(READY)).said is Said.YES
    assert (await hand.look(READY, {"minimum": 5})).said is Said.NO
    await cluster.deploy("bad", BROKEN)

    async def crashing() -> bool:
        return "CrashLoopBackOff" in (await hand.look(READY, name="bad")).detail

    await eventually(crashing, "a crash seen")
    answer = await hand.look(READY, name="bad")
    assert (answer.said, answer.evidence["ready"]) == (Said.NO, 0)
    assert (await hand.look(READY, {"minimum": "0%"}, name="bad")).said is Said.YES


@pytest.mark.parametrize(
    ("metadata", "who"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/cart"}}, "Argo CD"),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}, "Flux (kustomize)"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "shop"}}, "Flux (helm)"),
    ],
)
async def test_gitops_is_known_by_its_marks(
    cluster: Cluster, hand: Hand, metadata: dict[str, object], who: str
) -> None:
    await cluster.deploy("cart", GOOD)
    assert (await hand.look(GITOPS)).said is Said.NO
    await cluster.merge("cart", {"metadata": metadata})
    answer = await hand.look(GITOPS)
    assert answer.said is Said.YES
    assert f"managed by {who}" in answer.detail
