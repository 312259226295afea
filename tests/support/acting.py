"""Remediator's hand on a cluster in tests: actions and checks as the engine calls them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from remediator.actions.registry import build_actions, build_checks
from remediator.actions.specs import ACTIONS, CHECKS
from remediator.clients.alertmanager import AlertmanagerClient
from remediator.clients.kubernetes import KubernetesClient
from remediator.clients.kubernetes.client import Json, Operation
from remediator.core.checks import CheckAnswer, CheckContext, these
from remediator.core.ids import AttemptId, RunId, Token
from remediator.core.ports.actions import ActionContext, Plan, Probe, Refusal, Result
from remediator.core.targets import Target
from tests.support.clusters import Cluster
from tests.support.proxy import Proxy

UNDO, RESTART, SCALE = "kubernetes.rollout_undo", "kubernetes.rollout_restart", "kubernetes.scale"


class ArmedClient(KubernetesClient):
    """Arms the proxy for the very write that changes a Deployment's spec, or with `stamp` for the stamp.

    With `cut` its reply is lost; otherwise it is kept on its way until `held` is set.
    """

    def __init__(
        self, kubeconfig: Path, proxy: Proxy, *, cut: bool, timeout: float, stamp: bool = False
    ) -> None:
        super().__init__(kubeconfig, timeout=timeout)
        self._proxy = proxy
        self._cut = cut
        self._stamp = stamp
        self.held = asyncio.Event()

    async def patch_deployment(self, namespace: str, name: str, operations: Sequence[Operation]) -> Json:
        if any(each["op"] == "replace" for each in operations) is not self._stamp:
            if self._cut:
                self._proxy.cut_next_reply()
            else:
                self.held = self._proxy.hold_next_request()
        return await super().patch_deployment(namespace, name, operations)


class Hand:
    """One replica that acts on Deployments of the cluster's namespace; closes its client at the end."""

    def __init__(self, cluster: Cluster, client: KubernetesClient | None = None) -> None:
        self._namespace = cluster.namespace
        self.client = client or KubernetesClient(cluster.kubeconfig())
        self.alertmanagers = AlertmanagerClient([])
        self._actions = build_actions(self.client)
        self._checks = build_checks(self.client, self.alertmanagers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.close()
        await self.alertmanagers.close()

    def context(
        self,
        action: str = UNDO,
        name: str = "cart",
        *,
        token: int = 1,
        attempt: str = "r-1/undo/1",
        params: Mapping[str, object] | None = None,
    ) -> ActionContext:
        now = datetime.now(UTC)
        return ActionContext(
            target=Target("default", "deployment", self._namespace, name),
            params=ACTIONS[action].parse(params or {}, False),
            run=RunId(attempt.partition("/")[0]),
            attempt=AttemptId(attempt),
            token=Token(token),
            cause="ServiceDown: rolled back by remediator",
            now=now,
            deadline=now + timedelta(minutes=1),
        )

    async def plan(self, action: str, context: ActionContext) -> Plan | Refusal:
        return await self._actions[action].plan(context)

    async def planned(self, action: str, context: ActionContext) -> Plan:
        """The plan, which must not be refused."""
        plan = await self.plan(action, context)
        assert isinstance(plan, Plan), plan
        return plan

    async def apply(self, action: str, context: ActionContext, plan: Plan) -> Result:
        return await self._actions[action].apply(context, plan)

    async def probe(self, action: str, context: ActionContext, plan: Plan) -> Probe:
        return await self._actions[action].probe(context, plan)

    async def act(
        self,
        action: str = UNDO,
        name: str = "cart",
        *,
        token: int = 1,
        attempt: str = "r-1/undo/1",
        params: Mapping[str, object] | None = None,
    ) -> Result:
        """Plan and apply at once."""
        context = self.context(action, name, token=token, attempt=attempt, params=params)
        return await self.apply(action, context, await self.planned(action, context))

    async def look(
        self, check: str, params: Mapping[str, object] | None = None, name: str = "cart", *, later: float = 0
    ) -> CheckAnswer:
        """Ask a check, `later` seconds from now."""
        target = Target("default", "deployment", self._namespace, name)
        parsed = CHECKS[check].parse(params or {}, False)
        at = datetime.now(UTC) + timedelta(seconds=later)
        return await self._checks[check].look(CheckContext(target, parsed, these(), at))
