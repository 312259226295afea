"""Actions that tests make, for an engine that has no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

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
from remediator.core.targets import KINDS

Applies = Callable[[ActionContext], Awaitable[None]]


def spec(
    name: str = "test.act",
    *,
    fence: Fence = Fence.TARGET,
    lease: LeaseMode = LeaseMode.EXCLUSIVE,
    preempts: bool = False,
    critical: bool = False,
) -> ActionSpec:
    """What is known of an action on anything, without parameters."""
    return ActionSpec(
        name,
        "acts",
        KINDS,
        fence,
        lambda given, _: given,
        {},
        lease=lease,
        preempts=preempts,
        critical=critical,
    )


@dataclass
class Acts(Action):
    """Does what the test says, and finds on the target what it says."""

    known: ActionSpec
    applies: Applies
    finds: Sighting = Sighting.NOT_HAPPENED

    @property
    def spec(self) -> ActionSpec:
        return self.known

    async def plan(self, context: ActionContext) -> Plan | Refusal:
        return Plan(f"acts on {context.target}", "")

    async def apply(self, context: ActionContext, plan: Plan) -> Result:  # noqa: ARG002 - the port's
        await self.applies(context)
        return Result(Outcome.SUCCEEDED, "done")

    async def probe(self, context: ActionContext, plan: Plan) -> Probe:  # noqa: ARG002 - the port's
        return Probe(self.finds, "looked")
