"""What can be seen of a Deployment: whether it is rolled out, since when, ready, and managed from Git."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

from remediator.actions.kubernetes.deployments import trouble, wrong_target
from remediator.actions.kubernetes.objects import (
    Json,
    annotations_of,
    condition_of,
    name_of,
    replicas_of,
)
from remediator.actions.kubernetes.revisions import revisions_of, rollout_of
from remediator.actions.parameters import share_of
from remediator.actions.specs import AtLeast, PodsReady, RolledOutWithin
from remediator.clients.kubernetes import ApiError, KubernetesClient
from remediator.core.checks import CheckAnswer, CheckContext, Said
from remediator.core.durations import format_duration
from remediator.core.ports.actions import Check, CheckSpec
from remediator.core.targets import DEFAULT_CLUSTER, Target


class DeploymentCheck(Check, ABC):
    """Looks at a Deployment; one that is missing or can't be read is an error."""

    def __init__(self, spec: CheckSpec, client: KubernetesClient) -> None:
        self._spec = spec
        self._client = client

    @property
    def spec(self) -> CheckSpec:
        return self._spec

    async def look(self, context: CheckContext) -> CheckAnswer:
        if (why := wrong_target(context.target)) is not None:
            return CheckAnswer(Said.ERROR, why)
        try:
            found = await self._client.get_deployment(context.target.namespace, context.target.name)
            return await self._look(context, found)
        except ApiError as error:
            return CheckAnswer(Said.ERROR, trouble(context.target, error))

    @abstractmethod
    async def _look(self, context: CheckContext, deployment: Json) -> CheckAnswer: ...


class RolledOut(DeploymentCheck):
    """Complete as `kubectl rollout status` means it: seen, updated, available, and no old pod left."""

    async def _look(self, context: CheckContext, deployment: Json) -> CheckAnswer:
        return rollout_answer(context.target, deployment)


class RolledOutSince(DeploymentCheck):
    """Whether the running release was rolled out at most ``window`` ago, by anybody but us.

    How its time is found is told at :func:`revisions.rollout_of`. A rollback of ours is no rollout to blame:
    the answer is no until somebody rolls out again.
    """

    async def _look(self, context: CheckContext, deployment: Json) -> CheckAnswer:
        window = cast("RolledOutWithin", context.params).window
        revisions = revisions_of(await self._client.list_replica_sets(deployment))
        rollout = rollout_of(deployment, revisions)
        if rollout is None:
            return CheckAnswer(Said.ERROR, f"{context.target}: nothing tells when it was rolled out")
        ago = max(context.now - rollout.at, rollout.at - rollout.at)
        evidence = {"rolled_out_at": rollout.at.isoformat(), "source": rollout.source, "ours": rollout.ours}
        detail = f"{context.target}: {rollout.source} {format_duration(ago)} ago"
        if rollout.ours:
            return CheckAnswer(Said.NO, f"{detail}, by a rollback of ours", evidence)
        return CheckAnswer(Said.YES if ago <= window else Said.NO, detail, evidence)


class EnoughPodsReady(DeploymentCheck):
    """Whether enough pods are ready, of those that are not on their way out."""

    async def _look(self, context: CheckContext, deployment: Json) -> CheckAnswer:
        wanted = replicas_of(deployment)
        needed = share_of(cast("PodsReady", context.params).minimum, wanted)
        return readiness_answer(context.target, await self._client.list_pods(deployment), needed, wanted)


class Deployments(Check):
    """How many Deployments the target's namespace has; the brake reckons its share of them."""

    def __init__(self, spec: CheckSpec, client: KubernetesClient) -> None:
        self._spec = spec
        self._client = client

    @property
    def spec(self) -> CheckSpec:
        return self._spec

    async def look(self, context: CheckContext) -> CheckAnswer:
        space = context.target.space
        if space is None or space.cluster != DEFAULT_CLUSTER:
            return CheckAnswer(Said.ERROR, f"{context.target} lies in no namespace that can be looked at")
        try:
            found = await self._client.count_deployments(space.name)
        except ApiError as error:
            return CheckAnswer(Said.ERROR, f"the Deployments of {space.name} can't be counted: {error}")
        said = Said.YES if found >= cast("AtLeast", context.params).at_least else Said.NO
        noun = "Deployment" if found == 1 else "Deployments"
        return CheckAnswer(said, f"{space.name} has {found} {noun}", {"deployments": found})


#: Annotations and labels of a managed object, by who writes them. Argo CD's `resource_tracking`
#: documentation, Flux' kustomize-controller and helm-controller (`origin labels`).
_MARKS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux (kustomize)",
    "helm.toolkit.fluxcd.io/name": "Flux (helm)",
}
#: The same by field manager, for an Argo CD that tracks by a label of its user's choice.
_MANAGERS = {
    "argocd-controller": "Argo CD",
    "kustomize-controller": "Flux (kustomize)",
    "helm-controller": "Flux (helm)",
}


class GitOpsManaged(DeploymentCheck):
    """Whether a controller keeps the Deployment as Git has it, and would put a change back."""

    async def _look(self, context: CheckContext, deployment: Json) -> CheckAnswer:
        metadata = deployment["metadata"]
        noted = {**(metadata.get("labels") or {}), **annotations_of(deployment)}
        for mark, who in _MARKS.items():
            if mark in noted:
                detail = f"{context.target} is managed by {who}: {mark} is {noted[mark]}"
                return CheckAnswer(Said.YES, detail, {"by": who, "name": noted[mark]})
        managers = [str(each.get("manager", "")) for each in metadata.get("managedFields") or ()]
        for manager, who in _MANAGERS.items():
            if manager in managers:
                detail = f"{context.target} is managed by {who}: {manager} owns fields of it"
                return CheckAnswer(Said.YES, detail, {"by": who, "manager": manager})
        return CheckAnswer(Said.NO, f"{context.target} bears no sign of Argo CD or Flux")


def rollout_answer(target: Target, deployment: Json) -> CheckAnswer:
    """What a Deployment's status says of its rollout."""
    status, wanted = deployment.get("status") or {}, replicas_of(deployment)
    counts = {
        key: int(status.get(field, 0))
        for key, field in (("all", "replicas"), ("new", "updatedReplicas"), ("up", "availableReplicas"))
    }
    evidence = {"wanted": wanted, **counts}
    if int(status.get("observedGeneration", 0)) < int(deployment["metadata"]["generation"]):
        return CheckAnswer(Said.NO, f"{target}: its last change is not taken up yet", evidence)
    progress = condition_of(deployment, "Progressing") or {}
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return CheckAnswer(Said.NO, f"{target}: its rollout exceeded its progress deadline", evidence)
    detail = f"{target}: {counts['new']} of {wanted} replicas updated, {counts['up']} available"
    if (old := counts["all"] - counts["new"]) > 0:
        return CheckAnswer(Said.NO, f"{detail}, {old} old left", evidence)
    if wanted == 0:
        return CheckAnswer(
            Said.ERROR, f"{target}: 0 replicas are wanted, so that nothing runs to prove it", evidence
        )
    complete = counts["all"] == counts["new"] == counts["up"] == wanted
    return CheckAnswer(Said.YES if complete else Said.NO, detail, evidence)


def readiness_answer(target: Target, found: Sequence[Json], needed: int, wanted: int) -> CheckAnswer:
    """Whether ``needed`` of these pods are ready; those that end or ended don't count."""
    pods = [pod for pod in found if _counts(pod)]
    unready = {name_of(pod): _why_unready(pod) for pod in pods if not _is_ready(pod)}
    ready = len(pods) - len(unready)
    detail = f"{target}: {ready} pods ready, {needed} of {wanted} needed"
    if unready:
        name, why = next(iter(sorted(unready.items())))
        detail += f"; {name}: {why}"
    evidence = {"ready": ready, "needed": needed, "wanted": wanted, "unready": unready}
    return CheckAnswer(Said.YES if ready >= needed else Said.NO, detail, evidence)


def _counts(pod: Json) -> bool:
    leaving = "deletionTimestamp" in pod["metadata"]
    return not leaving and (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}


def _is_ready(pod: Json) -> bool:
    return (condition_of(pod, "Ready") or {}).get("status") == "True"


def _why_unready(pod: Json) -> str:
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        if (waiting := (container.get("state") or {}).get("waiting")) is not None:
            return str(waiting.get("reason", "waiting"))
    return str(status.get("phase", "not started"))
