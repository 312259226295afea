"""The Role of deploy/kubernetes, taken apart: what it grants, and the same Role with one verb missing."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.control_plane import ControlPlane

ROLE = Path(__file__).parents[2] / "deploy/kubernetes/target/role.yaml"
ACCOUNT = "remediator"
RBAC = "rbac.authorization.k8s.io"

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One verb on one resource. The core API group is ``""``."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{self.group and '.' + self.group}"


def shipped_role() -> Manifest:
    """The Role that `kubectl apply -k deploy/kubernetes` makes in a target namespace."""
    role: Manifest = yaml.safe_load(ROLE.read_text())
    return role


def permissions(role: Manifest) -> tuple[Permission, ...]:
    """Every single verb that the Role grants, sorted."""
    return tuple(
        sorted(
            Permission(group, resource, verb)
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        )
    )


def without(role: Manifest, taken: Permission) -> Manifest:
    """A Role that grants all that `role` does but `taken`; ValueError if it doesn't grant that."""
    granted = permissions(role)
    if taken not in granted:
        raise ValueError(f"the Role does not grant: {taken}")
    rules = [
        {"apiGroups": [kept.group], "resources": [kept.resource], "verbs": [kept.verb]}
        for kept in granted
        if kept != taken
    ]
    return {**deepcopy(role), "rules": rules}


def bind(control_plane: ControlPlane, namespace: str, role: Manifest, *, account: str = ACCOUNT) -> Path:
    """Grant exactly `role` in `namespace` to a ServiceAccount of that namespace, and return its kubeconfig.

    The grant is made anew: binding a smaller Role later takes rights away from the same account.
    """
    roles = f"/apis/{RBAC}/v1/namespaces/{namespace}/roles"
    bindings = f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings"
    name = role["metadata"]["name"]
    control_plane.create(roles, role)
    control_plane.request("PUT", f"{roles}/{name}", role)
    control_plane.create(
        bindings,
        {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        },
    )
    return control_plane.service_account_kubeconfig(namespace, account)
