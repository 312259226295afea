"""The actions and checks that there are, made with their systems' clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from remediator.actions.alerts import AlertResolved
from remediator.actions.kubernetes.checks import (
    Deployments,
    EnoughPodsReady,
    GitOpsManaged,
    RolledOut,
    RolledOutSince,
)
from remediator.actions.kubernetes.places import PodPlaces
from remediator.actions.kubernetes.rollout_restart import Restart
from remediator.actions.kubernetes.rollout_undo import Undo
from remediator.actions.kubernetes.scale import SetReplicas
from remediator.actions.specs import ACTIONS, CHECKS
from remediator.clients.kubernetes import KubernetesClient
from remediator.core.ports.actions import Action, ActionSpec, Check, CheckSpec
from remediator.core.ports.alertmanagers import Alertmanagers
from remediator.core.ports.places import Places

_ACTIONS: Mapping[str, Callable[[ActionSpec, KubernetesClient], Action]] = {
    "kubernetes.rollout_undo": Undo,
    "kubernetes.rollout_restart": Restart,
    "kubernetes.scale": SetReplicas,
}

_CHECKS: Mapping[str, Callable[[CheckSpec, KubernetesClient], Check]] = {
    "kubernetes.rolled_out": RolledOut,
    "kubernetes.rolled_out_within": RolledOutSince,
    "kubernetes.pods_ready": EnoughPodsReady,
    "kubernetes.gitops_managed": GitOpsManaged,
    "kubernetes.deployments": Deployments,
}


def build_actions(kubernetes: KubernetesClient) -> Mapping[str, Action]:
    """Every action by name."""
    return {name: make(ACTIONS[name], kubernetes) for name, make in _ACTIONS.items()}


def build_checks(kubernetes: KubernetesClient, alertmanagers: Alertmanagers) -> Mapping[str, Check]:
    """Every check by name."""
    resolved = AlertResolved(CHECKS["alert.resolved"], alertmanagers)
    return {name: make(CHECKS[name], kubernetes) for name, make in _CHECKS.items()} | {
        resolved.spec.name: resolved
    }


def build_places(kubernetes: KubernetesClient) -> Places:
    """Where things are, as the clusters know it."""
    return PodPlaces(kubernetes)
