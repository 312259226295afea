"""What every action on a Deployment does alike: look, plan; stamp, write; and probe by the attempt's id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace

from remediator.actions.kubernetes.availability import least_while_rolling, ready_of
from remediator.actions.kubernetes.fencing import Barred, Bounds, Change, stamp, write
from remediator.actions.kubernetes.objects import (
    ATTEMPT,
    PROTECTED,
    Json,
    annotations_of,
    is_paused,
    is_protected,
    labels_of,
    name_of,
)
from remediator.clients.kubernetes import ApiError, KubernetesClient, Problem
from remediator.core.ids import AttemptId
from remediator.core.ports.actions import (
    Action,
    ActionContext,
    ActionSpec,
    Plan,
    Probe,
    Refusal,
    Result,
    Sighting,
)
from remediator.core.reasons import Reason
from remediator.core.runs import Outcome
from remediator.core.sights import Sight
from remediator.core.targets import DEFAULT_CLUSTER, Target


def wrong_target(target: Target) -> str | None:
    """Why this can't be a Deployment of our cluster; None if it can."""
    if target.kind != "deployment":
        return f"{target} is no Deployment"
    if target.cluster != DEFAULT_CLUSTER:
        return f"no access to the cluster {target.cluster} is configured"
    return None


def trouble(target: Target, error: ApiError) -> str:
    """What went wrong with looking at the target, for people."""
    return f"there is no {target}" if error.problem is Problem.NOT_FOUND else f"{target}: {error}"


class DeploymentAction(Action, ABC):
    """An action that changes a Deployment by one fenced JSON Patch.

    Subclasses say what they would do (:meth:`_plan`) and what to write (:meth:`_change`); both may raise
    :class:`ApiError`. A plan's ``data`` holds the Deployment's ``uid`` besides what its subclass puts there,
    and digests in place of pod templates, which may hold secrets.
    """

    def __init__(self, spec: ActionSpec, client: KubernetesClient) -> None:
        self._spec = spec
        self._client = client

    @property
    def spec(self) -> ActionSpec:
        return self._spec

    async def plan(self, context: ActionContext) -> Plan | Refusal:
        if (why := wrong_target(context.target)) is not None:
            return Refusal(why)
        try:
            found = await self._client.get_deployment(context.target.namespace, context.target.name)
            if is_protected(found):
                why = f"{context.target} is protected by its annotation {PROTECTED}"
                return Refusal(why, reason=Reason.PROTECTED)
            if (where := await self._done_before(context, found)) is not None:
                why = f"{where} bears attempt {context.attempt}, of which the ledger knows nothing"
                return Refusal(why, reason=Reason.FORGOTTEN)
            plan = await self._plan(context, found)
            if isinstance(plan, Refusal):
                return plan
            sight = Sight(labels_of(found), ready_of(found), self._least_ready(context, found))
            return replace(plan, sight=sight)
        except ApiError as error:
            return Refusal(trouble(context.target, error), temporary=error.may_pass)

    async def apply(self, context: ActionContext, plan: Plan) -> Result:
        try:
            uid, bounds = str(plan.data["uid"]), Bounds(context.labels)
            stamped = await stamp(self._client, context.target, uid, context.token, bounds)
            if isinstance(stamped, Barred):
                return Result(Outcome.FAILED, stamped.why)
            change = await self._change(context, stamped, plan.data)
        except ApiError as error:
            # nothing but the token and the mark on the revision fled from can have been written so far
            return Result(Outcome.FAILED, f"not begun: {trouble(context.target, error)}")
        if isinstance(change, Barred):
            return Result(Outcome.FAILED, change.why)
        return await write(self._client, context, stamped, change)

    async def probe(self, context: ActionContext, plan: Plan) -> Probe:
        try:
            stamped = await stamp(self._client, context.target, str(plan.data["uid"]), context.token)
            if isinstance(stamped, Barred):
                return Probe(Sighting.UNPROVABLE, stamped.why)
            where = await self._bearer(stamped, context.attempt)
        except ApiError as error:
            return Probe(Sighting.UNPROVABLE, trouble(context.target, error))
        if where is None:
            why = f"{context.target} does not bear attempt {context.attempt}, which can no longer arrive"
            return Probe(Sighting.NOT_HAPPENED, why)
        return Probe(Sighting.HAPPENED, f"{where} bears attempt {context.attempt}", self._values(plan.data))

    async def _done_before(self, context: ActionContext, deployment: Json) -> str | None:
        """Who bears an attempt that is only being planned: a ledger put back from a copy has forgotten it."""
        if ATTEMPT not in annotations_of(deployment):
            return None
        return await self._bearer(deployment, context.attempt)

    async def _bearer(self, deployment: Json, attempt: AttemptId) -> str | None:
        """Who bears the attempt: the Deployment, or a ReplicaSet that the controller copied it onto.

        The copy outlives another hand's rewriting of the Deployment's annotations, as `kubectl rollout undo`
        does it.
        """
        if annotations_of(deployment).get(ATTEMPT) == attempt:
            return f"deployment {name_of(deployment)}"
        for each in await self._client.list_replica_sets(deployment):
            if annotations_of(each).get(ATTEMPT) == attempt:
                return f"ReplicaSet {name_of(each)}"
        return None

    def _least_ready(self, context: ActionContext, deployment: Json) -> int:
        """How few of its replicas are ready at the worst moment of what is planned."""
        del context
        return least_while_rolling(deployment)

    @abstractmethod
    async def _plan(self, context: ActionContext, deployment: Json) -> Plan | Refusal: ...

    @abstractmethod
    async def _change(
        self, context: ActionContext, stamped: Json, data: Mapping[str, object]
    ) -> Change | Barred: ...

    def _values(self, data: Mapping[str, object]) -> Mapping[str, object]:
        """What later steps see of it."""
        return {key: data[key] for key in self._shown if key in data}

    #: The keys of ``data`` that later steps see.
    _shown: tuple[str, ...] = ()


def paused(target: Target, deployment: Json) -> str | None:
    """Why a paused Deployment is left alone; None if it isn't paused."""
    if not is_paused(deployment):
        return None
    return f"{target} is paused: its rollout would not begin; resume it with kubectl rollout resume"
