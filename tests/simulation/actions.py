"""Actions of the simulation's own: one that shares its target, and two that preempt such and are critical."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from remediator.actions.kubernetes.rollout_restart import Restart
from remediator.actions.parameters import NoParameters, parser, schema
from remediator.actions.specs import ACTIONS, DEPLOYMENT
from remediator.core.ids import AttemptId
from remediator.core.leases import LeaseMode
from remediator.core.ports.actions import (
    Action,
    ActionContext,
    ActionSpec,
    Fence,
    Plan,
    Probe,
    Result,
    Sighting,
)
from remediator.core.runs import Outcome
from remediator.core.targets import Target
from remediator.rehearse.clockwork import Node
from tests.simulation.network import Awaited, Network, RefusedError, ResetError
from tests.simulation.weather import LinkWeather

COPY, FENCE, PROMOTE = "sim.copy", "sim.fence", "sim.promote"
#: What steps with these ids do, of which no rule file knows.
OWN = {"copy": COPY, "fence": FENCE, "promote": PROMOTE}
CRITICAL = frozenset({FENCE, PROMOTE})
_RESTART = ACTIONS["kubernetes.rollout_restart"]
SPECS: Mapping[str, ActionSpec] = {
    spec.name: spec
    for spec in (
        ActionSpec(
            COPY,
            "Copy a service's data to the vault.",
            DEPLOYMENT,
            Fence.NONE,
            parser(NoParameters),
            schema(NoParameters),
            lease=LeaseMode.SHARED,
        ),
        replace(_RESTART, name=FENCE, preempts=True, critical=True),
        replace(_RESTART, name=PROMOTE, critical=True),
    )
}
#: In how many parts a copy is read, how long each takes, and how long a critical action (seconds).
_PARTS, _PART, _CRITICAL = 10, 1.2, 3.0
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Vault:
    """Where copies are kept. One is taken until its attempt's deadline and not after."""

    clock: Callable[[], datetime]
    stored: Callable[[str, Target, AttemptId], None]
    copies: set[AttemptId]

    def put(self, who: str, context: ActionContext) -> bool:
        if self.clock() >= context.deadline:
            return False
        self.copies.add(context.attempt)
        self.stored(who, context.target, context.attempt)
        return True


class Copies(Action):
    """Reads a service's data, which leaves it as it is, and puts it into the vault."""

    def __init__(
        self,
        vault: Vault,
        network: Network,
        node: Node,
        weather: LinkWeather,
        works: Callable[[str, str, Target], None],
    ) -> None:
        self._vault = vault
        self._network = network
        self._node = node
        self._weather = weather
        self._works = works

    @property
    def spec(self) -> ActionSpec:
        return SPECS[COPY]

    async def plan(self, context: ActionContext) -> Plan:
        return Plan(f"{context.target.name}: copy its data", "")

    async def apply(self, context: ActionContext, plan: Plan) -> Result:
        del plan
        for _ in range(_PARTS):
            self._works(self._node.name, context.run, context.target)
            await asyncio.sleep(_PART)
        try:
            kept = await self._ask(lambda: self._vault.put(self._node.name, context))
        except RefusedError as error:
            return Result(Outcome.FAILED, f"not begun: {error}")
        except (ResetError, TimeoutError) as error:
            return Result(Outcome.UNKNOWN, str(error) or "no answer")
        return Result(Outcome.SUCCEEDED, "kept") if kept else Result(Outcome.FAILED, "too late")

    async def probe(self, context: ActionContext, plan: Plan) -> Probe:
        """Its target fences nobody: it is asked once the vault takes the attempt no more."""
        del plan
        try:
            kept = await self._ask(lambda: context.attempt in self._vault.copies)
        except (RefusedError, ResetError, TimeoutError) as error:
            return Probe(Sighting.UNPROVABLE, str(error) or "no answer")
        return Probe(Sighting.HAPPENED if kept else Sighting.NOT_HAPPENED, "the vault was asked")

    async def _ask(self, what: Callable[[], bool]) -> bool:
        def serve(awaited: Awaited) -> bool | None:
            return None if awaited.busy else what()

        async with asyncio.timeout(_PATIENCE):
            answer = await self._network.send(self._node, "vault", self._weather, serve)
        if answer is None:
            raise RefusedError("the vault is busy")
        return answer


class Unhurried(Restart):
    """A restart that takes its time, so that people may pause meanwhile."""

    async def apply(self, context: ActionContext, plan: Plan) -> Result:
        await asyncio.sleep(_CRITICAL)
        return await super().apply(context, plan)
