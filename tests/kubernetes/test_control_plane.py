"""The harness itself: what it says of a real control plane is so, or no count made with it means anything."""

from __future__ import annotations

import json

import pytest

from tests.support.audit import service_account_user
from tests.support.control_plane import ApiRefused, ControlPlane
from tests.support.kubelet import PodStatusWriter
from tests.support.processes import eventually
from tests.support.rbac import Permission, bind, permissions, shipped_role, without


def deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


def deploy(control_plane: ControlPlane, namespace: str, image: str) -> None:
    """Make the Deployment `web`, or roll it out anew with another image."""
    pod = {"containers": [{"name": "web", "image": image}]}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod}
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    }
    control_plane.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(manifest))


async def test_a_rollout_completes_with_good_pods_and_stalls_with_broken_ones(
    control_plane: ControlPlane, cluster_namespace: str
) -> None:
    def status() -> dict[str, int]:
        counts: dict[str, int] = control_plane.request("GET", f"{deployments(cluster_namespace)}/web")[
            "status"
        ]
        return counts

    async with PodStatusWriter(control_plane, cluster_namespace, broken=["web:2"]):
        deploy(control_plane, cluster_namespace, "web:1")
        await eventually(lambda: status().get("availableReplicas") == 2, "two pods available")
        deploy(control_plane, cluster_namespace, "web:2")
        await eventually(lambda: status().get("unavailableReplicas"), "a pod that does not get ready")
        deploy(control_plane, cluster_namespace, "web:3")
        done = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
        await eventually(lambda: done.items() <= status().items(), "all pods of the third release available")


async def test_pods_judged_anew_lose_their_readiness(
    control_plane: ControlPlane, cluster_namespace: str
) -> None:
    def ready() -> int:
        found = control_plane.request("GET", f"{deployments(cluster_namespace)}/web")
        return int(found["status"].get("readyReplicas", 0))

    async with PodStatusWriter(control_plane, cluster_namespace) as writer:
        deploy(control_plane, cluster_namespace, "web:1")
        await eventually(lambda: ready() == 2, "two pods ready")
        writer.broken.add("web:1")
        await writer.reconsider()
        await eventually(lambda: ready() == 0, "no pod ready")


def test_audit_counts_what_took_effect_and_by_whom(
    control_plane: ControlPlane, cluster_namespace: str
) -> None:
    """Refused writes, dry runs and reads are no changes; bodies of writes to apps/* are kept."""
    bind(control_plane, cluster_namespace, shipped_role())
    token = control_plane.service_account_token(cluster_namespace, "remediator")
    deploy(control_plane, cluster_namespace, "web:1")
    path, merge = f"{deployments(cluster_namespace)}/web", "application/merge-patch+json"
    control_plane.request("GET", path, token=token)
    control_plane.request(
        "PATCH", path + "?dryRun=All", {"spec": {"replicas": 7}}, content_type=merge, token=token
    )
    with pytest.raises(ApiRefused, match="403"):
        control_plane.request("DELETE", path, token=token)
    control_plane.request("PATCH", path, {"spec": {"replicas": 5}}, content_type=merge, token=token)

    ours = control_plane.applied_changes(
        namespace=cluster_namespace, user=service_account_user(cluster_namespace, "remediator")
    )
    assert [(change.verb, change.resource, change.name) for change in ours] == [
        ("patch", "deployments", "web")
    ]
    assert ours[0].request == {"spec": {"replicas": 5}}
    assert ours[0].response["spec"]["replicas"] == 5


@pytest.mark.parametrize("taken", permissions(shipped_role()), ids=str)
def test_a_role_without_one_verb_lacks_that_verb_alone(
    control_plane: ControlPlane, cluster_namespace: str, taken: Permission
) -> None:
    bind(control_plane, cluster_namespace, without(shipped_role(), taken))
    token = control_plane.service_account_token(cluster_namespace, "remediator")
    refused = [
        asked
        for asked in permissions(shipped_role())
        if not control_plane.can(token, asked.verb, asked.group, asked.resource, cluster_namespace)
    ]
    assert refused == [taken]
