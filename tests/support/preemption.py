"""Two actions that no rule file of a user can name yet: one that shares its target, and one that preempts.

The daemon finds them where it finds its own, so that what is tested is its engine, whole.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.actions.kubernetes.rollout_undo import Undo
from remediator.actions.registry import _ACTIONS
from remediator.actions.specs import ACTIONS
from remediator.clients.kubernetes import ApiError, KubernetesClient
from remediator.core.leases import LeaseMode
from remediator.core.ports.actions import (
    Action,
    ActionContext,
    ActionSpec,
    Fence,
    Plan,
    Probe,
    Refusal,
    Result,
    Sighting,
)
from remediator.core.runs import Outcome

SHARES, PREEMPTS = "test.inspect", "test.seize"
"""An action that only reads its Deployment's pods, and a rollback that such have to give way to."""

_UNDO = ACTIONS["kubernetes.rollout_undo"]
_SPECS = (
    # Nothing that it sends changes the target, so that nothing of it can come late either.
    ActionSpec(
        SHARES,
        "Look at a Deployment's pods.",
        _UNDO.kinds,
        Fence.TARGET,
        lambda given, _: given,
        {},
        lease=LeaseMode.SHARED,
    ),
    replace(_UNDO, name=PREEMPTS, preempts=True),
)


class Inspect(Action):
    """Reads, and leaves nothing on its target by which a probe could find it."""

    def __init__(self, spec: ActionSpec, kubernetes: KubernetesClient) -> None:
        self._spec = spec
        self._kubernetes = kubernetes

    @property
    def spec(self) -> ActionSpec:
        return self._spec

    async def plan(self, context: ActionContext) -> Plan | Refusal:
        return Plan(f"look at the pods of {context.target}", "")

    async def apply(self, context: ActionContext, plan: Plan) -> Result:
        del plan
        target = context.target
        try:
            deployment = await self._kubernetes.get_deployment(target.namespace, target.name)
            pods = await self._kubernetes.list_pods(deployment)
        except ApiError as error:
            return Result(Outcome.UNKNOWN, str(error))
        return Result(Outcome.SUCCEEDED, f"it has {len(pods)} pods")

    async def probe(self, context: ActionContext, plan: Plan) -> Probe:
        del context, plan
        return Probe(Sighting.NOT_HAPPENED, "who only looks leaves nothing to be found")


def add_actions(patch: pytest.MonkeyPatch) -> None:
    """Let rule files name both, and a daemon carry them out."""
    makers = {SHARES: Inspect, PREEMPTS: Undo}
    for spec in _SPECS:
        patch.setitem(ACTIONS, spec.name, spec)
        patch.setitem(_ACTIONS, spec.name, makers[spec.name])
