"""The stand-in rolls Deployments out as the real controllers do: revisions, surges, deadlines, scaling."""

from __future__ import annotations

import pytest

from remediator.sandbox.kubernetes import StandIn
from tests.unit.sandbox.asking import JSON_PATCH, REVISION, by_revision, patch, undo_to
from tests.unit.sandbox.conftest import Api


async def test_a_new_deployment_becomes_available_at_revision_1(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1", replicas=3)
    await cluster.settled()
    found = await api.apps.read_namespaced_deployment("web", "shop")
    assert found.metadata.annotations == {REVISION: "1"}
    assert found.metadata.generation == found.status.observed_generation == 1
    status = found.status
    assert (status.replicas, status.updated_replicas, status.ready_replicas) == (3, 3, 3)
    assert (status.available_replicas, status.unavailable_replicas) == (3, None)
    conditions = {each.type: (each.status, each.reason) for each in status.conditions}
    assert conditions == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    pods = await api.core.list_namespaced_pod("shop", label_selector="app=web")
    assert all(pod.status.phase == "Running" and pod.status.pod_ip for pod in pods.items)


async def test_an_image_change_makes_a_revision_and_empties_the_old_replica_set(
    api: Api, cluster: StandIn
) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    cluster.set_image("shop", "web", "web:2")
    await cluster.settled()
    found = await api.apps.list_namespaced_replica_set("shop")
    sizes = {each.metadata.annotations[REVISION]: each.spec.replicas for each in found.items}
    assert sizes == {"1": 0, "2": 3}
    pods = await api.core.list_namespaced_pod("shop")
    assert {pod.spec.containers[0].image for pod in pods.items} == {"web:2"}


async def test_undo_reuses_the_old_replica_set_under_a_new_revision(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    cluster.set_image("shop", "web", "web:2")
    await cluster.settled()
    first = by_revision(cluster)["1"]
    await undo_to(api, cluster, "1")
    await cluster.settled()
    now = by_revision(cluster)
    assert now.keys() == {"2", "3"}
    assert now["3"]["metadata"]["uid"] == first["metadata"]["uid"]
    assert now["3"]["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    assert cluster.get("deployments", "shop", "web")["metadata"]["annotations"][REVISION] == "3"
    assert cluster.healthy("shop", "web")


async def test_a_broken_release_stops_halfway_and_undoing_it_heals(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1", replicas=4)
    await cluster.settled()
    cluster.break_image("web:2")
    cluster.set_image("shop", "web", "web:2")
    await cluster.settled()
    stuck = await api.apps.read_namespaced_deployment_status("web", "shop")
    # 4 replicas, 25% each way: 1 pod may be missing and 1 be surplus
    assert (stuck.status.ready_replicas, stuck.status.updated_replicas, stuck.status.replicas) == (3, 2, 5)
    pods = await api.core.list_namespaced_pod("shop")
    waiting = [pod.status.container_statuses[0].state.waiting for pod in pods.items]
    assert sorted(each.reason for each in waiting if each) == ["CrashLoopBackOff"] * 2
    assert not cluster.healthy("shop", "web")
    await undo_to(api, cluster, "1")
    await cluster.settled()
    assert cluster.healthy("shop", "web")


async def test_available_pods_never_fall_below_the_minimum_during_a_rollout(cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1", replicas=8)
    await cluster.settled()
    seen: list[tuple[int, int]] = []

    def look() -> bool:
        status = cluster.get("deployments", "shop", "web")["status"]
        seen.append((status.get("availableReplicas", 0), status["replicas"]))
        return cluster.healthy("shop", "web") and len(by_revision(cluster)) > 1

    cluster.set_image("shop", "web", "web:2")
    await cluster.until(look)
    assert min(available for available, _ in seen) >= 6
    assert max(total for _, total in seen) <= 10


async def test_a_rollout_without_progress_exceeds_its_deadline(cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1", spec={"progressDeadlineSeconds": 1})
    await cluster.settled()
    cluster.break_image("web:2")
    cluster.set_image("shop", "web", "web:2")

    def overdue() -> bool:
        conditions = cluster.get("deployments", "shop", "web")["status"].get("conditions", [])
        return any(each["reason"] == "ProgressDeadlineExceeded" for each in conditions)

    await cluster.until(overdue)


async def test_a_paused_deployment_rolls_nothing_out_until_resumed(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    await patch(api, [{"op": "add", "path": "/spec/paused", "value": True}])
    cluster.set_image("shop", "web", "web:2")
    await cluster.settled()
    assert by_revision(cluster).keys() == {"1"}
    await patch(api, [{"op": "remove", "path": "/spec/paused"}])
    await cluster.settled()
    assert by_revision(cluster).keys() == {"1", "2"}


async def test_recreate_starts_new_pods_only_when_the_old_are_gone(cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1", spec={"strategy": {"type": "Recreate"}})
    await cluster.settled()
    mixed: list[set[str]] = []

    def look() -> bool:
        mixed.append({pod["spec"]["containers"][0]["image"] for pod in cluster.list("pods", "shop")})
        return cluster.healthy("shop", "web") and mixed[-1] == {"web:2"}

    cluster.set_image("shop", "web", "web:2")
    await cluster.until(look)
    assert {"web:1", "web:2"} not in mixed


async def test_history_keeps_no_more_old_revisions_than_its_limit(cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1", spec={"revisionHistoryLimit": 1})
    for release in range(2, 5):
        await cluster.settled()
        cluster.set_image("shop", "web", f"web:{release}")
    await cluster.settled()
    assert by_revision(cluster).keys() == {"3", "4"}


async def test_the_deployments_annotations_reach_its_replica_set_but_for_the_reserved(
    cluster: StandIn,
) -> None:
    applied = "kubectl.kubernetes.io/last-applied-configuration"
    cluster.deploy("shop", "web", "web:1", annotations={"team": "a", applied: "{}"})
    await cluster.settled()
    cluster.annotate("shop", "web", {"remediator.dev/fencing-token": "7"})
    await cluster.settled()
    annotations = by_revision(cluster)["1"]["metadata"]["annotations"]
    assert annotations["team"] == "a"
    assert annotations["remediator.dev/fencing-token"] == "7"
    assert annotations["deployment.kubernetes.io/desired-replicas"] == "3"
    assert annotations["deployment.kubernetes.io/max-replicas"] == "4"
    assert applied not in annotations


@pytest.mark.parametrize("goal", [0, 1, 5])
async def test_scale_subresource_resizes_without_a_new_revision(
    api: Api, cluster: StandIn, goal: int
) -> None:
    cluster.deploy("shop", "web", "web:1", replicas=3)
    await cluster.settled()
    operations = [{"op": "replace", "path": "/spec/replicas", "value": goal}]
    scale = await api.apps.patch_namespaced_deployment_scale(
        "web", "shop", operations, _content_type=JSON_PATCH
    )
    assert scale.spec.replicas == goal
    await cluster.settled()
    assert len(cluster.list("pods", "shop")) == goal
    assert by_revision(cluster).keys() == {"1"}
    assert (await api.apps.read_namespaced_deployment_scale("web", "shop")).status.replicas == goal


async def test_scaling_in_mid_rollout_keeps_the_total_within_the_surge(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1", replicas=4)
    await cluster.settled()
    cluster.break_image("web:2")
    cluster.set_image("shop", "web", "web:2")
    await cluster.settled()
    await patch(api, [{"op": "replace", "path": "/spec/replicas", "value": 8}])
    await cluster.settled()
    sizes = [each["spec"]["replicas"] for each in cluster.list("replicasets", "shop")]
    assert len([size for size in sizes if size]) == 2
    assert 8 <= sum(sizes) <= 10
    cluster.mend_image("web:2")
    await cluster.settled()
    assert cluster.healthy("shop", "web")
