"""What a run's lease has to cover: how its actions hold the target, what that also is, where its pods run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from remediator.core.coverage import covers, identities
from remediator.core.leases import Demand, LeaseMode
from remediator.core.ports.actions import Action
from remediator.core.ports.places import Places, Unplaced
from remediator.core.rules import Rule, Rulebook, databases_of
from remediator.core.targets import Target

#: How long to look for the node of a pod, in seconds.
_LOOK_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """A lease's demand; while something ``lacks``, it covers more than it need, and no step may begin."""

    demand: Demand
    lacks: str = ""


class Coverer:
    """Says what leases have to cover, looking where pods run each time."""

    def __init__(self, actions: Mapping[str, Action], places: Places) -> None:
        self._actions = actions
        self._places = places

    async def coverage(self, target: Target, rule: Rule | None, books: Iterable[Rulebook]) -> Coverage:
        """Of a run of this rule on this target, as any of the books knows it."""
        databases = databases_of(books)
        nodes: dict[Target, Target] = {}
        lacks = []
        for pod in identities(target, databases):
            if pod.kind != "pod":
                continue
            node = await self._node_of(pod)
            if isinstance(node, Unplaced):
                lacks.append(f"nobody knows which node {pod} runs on: {node.detail}")
            else:
                nodes[pod] = node
        shared, preempts = self._manner(rule)
        covered = covers(target, databases, nodes, shared=shared)
        return Coverage(Demand(shared, preempts, covered), "; ".join(lacks))

    async def _node_of(self, pod: Target) -> Target | Unplaced:
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT):
                return await self._places.node_of(pod)
        except TimeoutError:
            return Unplaced(f"no answer within {_LOOK_TIMEOUT:.0f} s")

    def _manner(self, rule: Rule | None) -> tuple[bool, bool]:
        """Whether the lease is shared, and whether it preempts such: the strictest step decides for all."""
        steps = (*rule.steps, *rule.on_failure) if rule else ()
        specs = [action.spec for step in steps if (action := self._actions.get(step.action))]
        known = bool(steps) and len(specs) == len(steps)
        shared = known and all(spec.lease is LeaseMode.SHARED for spec in specs)
        return shared, not shared and any(spec.preempts for spec in specs)
