"""Every action and check by name: parameters and metadata, without the SDKs that carry them out.

``remediator check``, the JSON Schema and the documentation are made from these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from remediator.actions.parameters import (
    Duration,
    NoParameters,
    Parameters,
    Share,
    Whole,
    parser,
    schema,
)
from remediator.core.checks import DEPLOYMENTS
from remediator.core.ports.actions import ActionSpec, CheckSpec, Fence
from remediator.core.targets import KINDS, NAMESPACED_KINDS

DEPLOYMENT = frozenset({"deployment"})
MOST_REPLICAS = 1000

_Permissions = frozenset[tuple[str, str, str]]

READ_DEPLOYMENT: _Permissions = frozenset({("apps", "deployments", "get")})
COUNT_DEPLOYMENTS: _Permissions = frozenset({("apps", "deployments", "list")})
WRITE_DEPLOYMENT: _Permissions = READ_DEPLOYMENT | {("apps", "deployments", "patch")}
READ_REVISIONS: _Permissions = frozenset({("apps", "replicasets", "list")})
MARK_REVISIONS: _Permissions = READ_REVISIONS | {("apps", "replicasets", "patch")}
READ_PODS: _Permissions = frozenset({("", "pods", "list")})


class RolloutUndo(Parameters):
    """Where to go back to; left out, the newest earlier revision that was never fled from."""

    to_revision: Annotated[Whole, Field(ge=1)] | None = Field(
        default=None,
        description="The revision to go back to, as `kubectl rollout history` numbers them. "
        "Left out: the newest earlier one that was never fled from.",
        examples=[5],
    )


class Scale(Parameters):
    """How many replicas the Deployment is to have."""

    replicas: Whole = Field(
        ge=0, le=MOST_REPLICAS, description=f"Wanted number of replicas, 0 to {MOST_REPLICAS}.", examples=[5]
    )


class RolledOutWithin(Parameters):
    """How long ago a rollout may have begun to be blamed."""

    window: Duration = Field(
        description="How long ago the rollout began, at most, such as 1h.", examples=["1h"]
    )


class PodsReady(Parameters):
    """How many of the Deployment's pods have to be ready."""

    minimum: Share = Field(
        default="100%",
        description="Ready pods, as a number or as a percentage of the wanted replicas (rounded up).",
        examples=[2, "80%"],
    )


class AtLeast(Parameters):
    """How many Deployments there have to be."""

    at_least: Whole = Field(
        default=1, ge=0, description="How many there have to be; left out, 1.", examples=[3]
    )


def _action(
    name: str, summary: str, model: type[Parameters], permissions: _Permissions, proof: tuple[str, ...]
) -> ActionSpec:
    return ActionSpec(
        name, summary, DEPLOYMENT, Fence.TARGET, parser(model), schema(model), proof, permissions
    )


def _check(
    name: str, summary: str, model: type[Parameters], kinds: frozenset[str], permissions: _Permissions
) -> CheckSpec:
    return CheckSpec(name, summary, kinds, parser(model), schema(model), permissions)


_ROLLED_OUT = ("kubernetes.rolled_out",)

ACTIONS: Mapping[str, ActionSpec] = {
    spec.name: spec
    for spec in (
        _action(
            "kubernetes.rollout_undo",
            "Put a Deployment's pod template back to that of its last known good revision.",
            RolloutUndo,
            WRITE_DEPLOYMENT | MARK_REVISIONS,
            _ROLLED_OUT,
        ),
        _action(
            "kubernetes.rollout_restart",
            "Replace a Deployment's pods by new ones of the same template, as its strategy says.",
            NoParameters,
            WRITE_DEPLOYMENT | READ_REVISIONS,
            _ROLLED_OUT,
        ),
        _action(
            "kubernetes.scale",
            "Set how many replicas a Deployment has.",
            Scale,
            WRITE_DEPLOYMENT | READ_REVISIONS,
            _ROLLED_OUT,
        ),
    )
}

CHECKS: Mapping[str, CheckSpec] = {
    spec.name: spec
    for spec in (
        _check(
            "kubernetes.rolled_out",
            "The Deployment's current template runs on all wanted replicas, and no old pod is left.",
            NoParameters,
            DEPLOYMENT,
            READ_DEPLOYMENT,
        ),
        _check(
            "kubernetes.rolled_out_within",
            "Somebody rolled the Deployment's current template out at most so long ago.",
            RolledOutWithin,
            DEPLOYMENT,
            READ_DEPLOYMENT | READ_REVISIONS,
        ),
        _check(
            "kubernetes.pods_ready",
            "At least so many of the Deployment's pods are ready.",
            PodsReady,
            DEPLOYMENT,
            READ_DEPLOYMENT | READ_PODS,
        ),
        _check(
            "kubernetes.gitops_managed",
            "Argo CD or Flux manages the Deployment, and would put back what is changed on it.",
            NoParameters,
            DEPLOYMENT,
            READ_DEPLOYMENT,
        ),
        _check(
            DEPLOYMENTS,
            "The target's namespace has at least so many Deployments. Asked for `brake.share` too.",
            AtLeast,
            NAMESPACED_KINDS | {"namespace"},
            COUNT_DEPLOYMENTS,
        ),
        _check(
            "alert.resolved",
            "Every Alertmanager says that the alert no longer fires.",
            NoParameters,
            KINDS,
            frozenset(),
        ),
    )
}
