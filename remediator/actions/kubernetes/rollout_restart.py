"""``kubernetes.rollout_restart``: new pods of the same template, by the annotation that kubectl uses."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime

from remediator.actions.kubernetes.deployments import DeploymentAction, paused
from remediator.actions.kubernetes.diffs import diff
from remediator.actions.kubernetes.fencing import Barred, Change, replace, test
from remediator.actions.kubernetes.objects import RESTARTED_AT, Json, digest, replicas_of, template_of, uid_of
from remediator.core.ports.actions import ActionContext, Plan, Refusal


class Restart(DeploymentAction):
    """Restarts as the Deployment's own strategy says; what runs stays the same release."""

    _shown = ("restarted_at",)

    async def _plan(self, context: ActionContext, deployment: Json) -> Plan | Refusal:
        target = context.target
        if (why := paused(target, deployment)) is not None:
            return Refusal(why)
        before, at = template_of(deployment), _written(context.now)
        replicas = replicas_of(deployment)
        return Plan(
            f"{target.name}: restart {replicas} {'pod' if replicas == 1 else 'pods'}",
            diff(before, _restarted(before, at), target.name, f"{target.name} restarted"),
            {"uid": uid_of(deployment), "before": digest(before), "restarted_at": at},
            goal=("uid",),
            fleeting=("restarted_at",),
        )

    async def _change(
        self, context: ActionContext, stamped: Json, data: Mapping[str, object]
    ) -> Change | Barred:
        target = context.target
        if (why := paused(target, stamped)) is not None:
            return Barred(why)
        before = template_of(stamped)
        if digest(before) != data["before"]:
            return Barred(f"somebody else changed the template of {target} since it was planned")
        return Change(
            [
                test(None, "spec", "paused"),
                test(stamped["spec"]["template"], "spec", "template"),
                replace(_restarted(before, str(data["restarted_at"])), "spec", "template"),
            ],
            f"{target}: restart begun",
            self._values(data),
        )


def _restarted(template: Json, at: str) -> Json:
    restarted = deepcopy(dict(template))
    metadata = restarted.setdefault("metadata", {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), RESTARTED_AT: at}
    return restarted


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
