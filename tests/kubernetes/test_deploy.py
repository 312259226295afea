"""deploy/kubernetes on a real API server: accepted as it is, granting what the Role says and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.control_plane import ControlPlane
from tests.support.rbac import Permission, permissions, shipped_role

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy/kubernetes"
RULE_FILES = sorted((ROOT / "rules").glob("*.yaml"))
TARGET = "selfmonitor"

GRANTED = permissions(shipped_role())
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("", "pods"),
    ("", "secrets"),
    ("", "configmaps"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("coordination.k8s.io", "leases"),
    ("rbac.authorization.k8s.io", "rolebindings"),
)
SUBRESOURCES = (
    ("create", "", "pods", "exec"),
    ("get", "", "pods", "log"),
    ("create", "", "pods", "eviction"),
    ("patch", "apps", "deployments", "scale"),
    ("patch", "apps", "deployments", "status"),
    ("create", "", "serviceaccounts", "token"),
)


@pytest.fixture(scope="module")
def applied(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane after `kubectl apply -k deploy/kubernetes`, the target namespace being there."""
    control_plane.create_namespace(TARGET)
    control_plane.kubectl("apply", "-k", MANIFESTS)
    yield control_plane
    control_plane.kubectl("delete", "-k", MANIFESTS, "--wait=false")
    control_plane.kubectl("delete", "namespace", TARGET, "--wait=false")


@pytest.fixture(scope="module")
def token(applied: ControlPlane) -> str:
    """A token of the daemon's ServiceAccount, issued by the server."""
    return applied.service_account_token("remediator", "remediator")


def manifests(control_plane: ControlPlane) -> list[dict[str, Any]]:
    """What kustomize makes of deploy/kubernetes."""
    return list(yaml.safe_load_all(control_plane.kubectl("kustomize", MANIFESTS)))


def found(control_plane: ControlPlane, kind: str, name: str, namespace: str = "remediator") -> dict[str, Any]:
    item: dict[str, Any] = yaml.safe_load(
        control_plane.kubectl("-n", namespace, "get", kind, name, "-o", "yaml")
    )
    return item


def test_every_object_is_there_once_applied(applied: ControlPlane) -> None:
    """Nothing was dropped: each manifest is on the server under its own kind, namespace and name."""
    for manifest in manifests(applied):
        metadata = manifest["metadata"]
        there = found(applied, manifest["kind"], metadata["name"], metadata.get("namespace", "default"))
        assert there["metadata"]["labels"]["app.kubernetes.io/name"] == "remediator"


def test_the_server_keeps_every_field_that_is_written(applied: ControlPlane) -> None:
    """A misspelt field would be pruned silently: all that we write comes back as it was written."""
    for manifest in manifests(applied):
        metadata = manifest["metadata"]
        there = found(applied, manifest["kind"], metadata["name"], metadata.get("namespace", "default"))
        assert missing(manifest, there) == []


def test_applying_again_changes_nothing(applied: ControlPlane) -> None:
    printed = applied.kubectl("apply", "-k", MANIFESTS).splitlines()
    assert printed
    assert [line for line in printed if not line.endswith("unchanged")] == []


def test_the_daemon_pod_is_admitted(applied: ControlPlane) -> None:
    """The Deployment's own controller gets its pod past admission; with no kubelet it stays Pending."""

    def pods() -> Any:
        return applied.request("GET", "/api/v1/namespaces/remediator/pods")["items"]

    pod = applied.controller_manager.wait_until(pods, "the pod of the daemon")[0]
    assert pod["spec"]["serviceAccountName"] == "remediator"


def test_the_mounted_rules_are_the_shipped_rule_files(applied: ControlPlane) -> None:
    """A rule file that rules/Kustomization doesn't list would be missing in the cluster."""
    pod = found(applied, "deployment", "remediator")["spec"]["template"]["spec"]
    mounted = next(volume["configMap"]["name"] for volume in pod["volumes"] if volume["name"] == "rules")
    assert RULE_FILES
    assert found(applied, "configmap", mounted)["data"] == {
        file.name: file.read_text() for file in RULE_FILES
    }


@pytest.mark.parametrize("permission", GRANTED, ids=str)
def test_the_account_may_do_what_the_role_says(
    applied: ControlPlane, token: str, permission: Permission
) -> None:
    assert applied.can(token, permission.verb, permission.group, permission.resource, TARGET)


def test_the_account_may_do_nothing_else(applied: ControlPlane, token: str) -> None:
    """No other verb or resource in the target namespace, nor anything in any other."""
    asked = [Permission(*resource, verb) for resource, verb in itertools.product(RESOURCES, VERBS)]
    beyond = [
        (str(permission), namespace)
        for namespace in (TARGET, "remediator", "kube-system", "default")
        for permission in asked
        if (namespace != TARGET or permission not in GRANTED)
        and applied.can(token, permission.verb, permission.group, permission.resource, namespace)
    ]
    assert beyond == []


@pytest.mark.parametrize(("verb", "group", "resource", "subresource"), SUBRESOURCES)
def test_the_account_may_not_reach_past_the_role(
    applied: ControlPlane, token: str, verb: str, group: str, resource: str, subresource: str
) -> None:
    assert not applied.can(token, verb, group, resource, TARGET, subresource)


def missing(written: Any, there: Any, path: str = "") -> list[str]:
    """The paths of all that was written and isn't there; what the server added is fine."""
    if isinstance(written, dict):
        return [
            gap
            for key, value in written.items()
            for gap in (missing(value, there[key], f"{path}.{key}") if key in there else [f"{path}.{key}"])
        ]
    if isinstance(written, list):
        if len(written) != len(there):
            return [f"{path}: {len(there)} items for {len(written)}"]
        return [
            gap
            for index, pair in enumerate(zip(written, there, strict=True))
            for gap in missing(*pair, f"{path}[{index}]")
        ]
    return [] if written == there else [f"{path}: {there!r} for {written!r}"]
