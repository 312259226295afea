"""``kubernetes.scale``: how many replicas a Deployment has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from remediator.actions.kubernetes.availability import least_while_scaling
from remediator.actions.kubernetes.deployments import DeploymentAction
from remediator.actions.kubernetes.fencing import Barred, Change, replace, test
from remediator.actions.kubernetes.objects import Json, replicas_of, uid_of
from remediator.actions.specs import Scale
from remediator.core.ports.actions import ActionContext, Plan, Refusal


class SetReplicas(DeploymentAction):
    """Sets ``spec.replicas``, from the number that it was planned from."""

    _shown = ("from_replicas", "to_replicas")

    async def _plan(self, context: ActionContext, deployment: Json) -> Plan | Refusal:
        before, after = replicas_of(deployment), cast("Scale", context.params).replicas
        name = context.target.name
        summary = (
            f"{name}: {before} → {after} replicas"
            if before != after
            else f"{name}: stays at {after} replicas"
        )
        diff = f"--- {name}\n+++ {name} scaled\n@@ -1 +1 @@\n-replicas: {before}\n+replicas: {after}"
        data = {"uid": uid_of(deployment), "from_replicas": before, "to_replicas": after}
        return Plan(summary, diff if before != after else "", data, goal=("uid", "to_replicas"))

    def _least_ready(self, context: ActionContext, deployment: Json) -> int:
        return least_while_scaling(deployment, cast("Scale", context.params).replicas)

    async def _change(
        self, context: ActionContext, stamped: Json, data: Mapping[str, object]
    ) -> Change | Barred:
        before, after = data["from_replicas"], data["to_replicas"]
        if replicas_of(stamped) != before:
            return Barred(f"somebody else scaled {context.target} since it was planned")
        return Change(
            [test(before, "spec", "replicas"), replace(after, "spec", "replicas")],
            f"{context.target}: {before} → {after} replicas",
            self._values(data),
        )
