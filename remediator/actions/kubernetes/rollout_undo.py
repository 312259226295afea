"""``kubernetes.rollout_undo``: back to the last known good revision, and never forward into one fled from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from remediator.actions.kubernetes.deployments import DeploymentAction, paused
from remediator.actions.kubernetes.diffs import diff, headline
from remediator.actions.kubernetes.fencing import Barred, Change, Tries, add, annotate, replace, test
from remediator.actions.kubernetes.objects import (
    FLED_FROM,
    UNDONE_TO,
    Json,
    digest,
    fled_by,
    fled_mark,
    name_of,
    template_of,
    uid_of,
)
from remediator.actions.kubernetes.revisions import (
    Nothing,
    Revision,
    chosen,
    current_of,
    last_known_good,
    revisions_of,
)
from remediator.actions.specs import RolloutUndo
from remediator.clients.kubernetes import ApiError, Problem
from remediator.core.ids import AttemptId
from remediator.core.ports.actions import ActionContext, Plan, Refusal
from remediator.core.targets import Target


class Undo(DeploymentAction):
    """Replaces the pod template alone: replicas, strategy and all else stay as they are.

    Before the template moves, the ReplicaSet that is left is marked as fled from, so that a crash in between
    can't let a second alert roll forward into it.
    """

    _shown = ("from_revision", "to_revision")

    async def _plan(self, context: ActionContext, deployment: Json) -> Plan | Refusal:
        target = context.target
        if (why := paused(target, deployment)) is not None:
            return Refusal(why)
        if context.earlier and context.earlier.get("before") != digest(template_of(deployment)):
            return Refusal(f"somebody rolled {target} out since the try before: it is theirs now")
        revisions = revisions_of(await self._client.list_replica_sets(deployment))
        current = current_of(deployment, revisions)
        if current is None:
            why = f"{target} has changed a moment ago: its controller has not made a revision of it yet"
            return Refusal(why, temporary=True)
        goal = _goal(context.params, current, revisions)
        if isinstance(goal, Nothing):
            return Refusal(f"{target} has nothing to go back to: {goal.why}")
        return _planned(target, deployment, current, goal)

    async def _change(
        self, context: ActionContext, stamped: Json, data: Mapping[str, object]
    ) -> Change | Barred:
        target = context.target
        if (why := paused(target, stamped)) is not None:
            return Barred(why)
        if digest(template_of(stamped)) != data["before"]:
            return Barred(f"somebody else changed the template of {target} since it was planned")
        replica_sets = {uid_of(each): each for each in await self._client.list_replica_sets(stamped)}
        goal = replica_sets.get(str(data["goal_uid"]))
        if goal is None or digest(template_of(goal)) != data["after"]:
            return Barred(f"revision {data['to_revision']} of {target} is no longer kept")
        if fled_by(goal) is not None:
            return Barred(f"revision {data['to_revision']} of {target} was fled from since it was planned")
        if (left := replica_sets.get(str(data["flee_uid"]))) is not None:
            await self._mark(stamped, left, context.attempt)
        return Change(
            [
                test(None, "spec", "paused"),
                test(stamped["spec"]["template"], "spec", "template"),
                replace(template_of(goal), "spec", "template"),
                add(name_of(goal), "metadata", "annotations", UNDONE_TO),
            ],
            f"{target}: revision {data['from_revision']} → {data['to_revision']}",
            self._values(data),
        )

    async def _mark(self, deployment: Json, left: Json, attempt: AttemptId) -> None:
        """Mark the ReplicaSet as fled from, unless it is; gone is as good."""
        namespace, uid = str(left["metadata"]["namespace"]), uid_of(left)
        tries = Tries()
        while fled_by(left) is None:
            mark = annotate(left, FLED_FROM, fled_mark(attempt, left))
            operations = [test(uid, "metadata", "uid"), *mark]
            try:
                await self._client.patch_replica_set(namespace, name_of(left), operations)
            except ApiError as error:
                if error.problem is Problem.NOT_FOUND:
                    return
                if not tries.again(error):
                    raise
            else:
                return
            found = {uid_of(each): each for each in await self._client.list_replica_sets(deployment)}
            if uid not in found:
                return
            left = found[uid]


def _goal(params: object, current: Revision, revisions: list[Revision]) -> Revision | Nothing:
    wanted = cast("RolloutUndo", params).to_revision
    return last_known_good(current, revisions) if wanted is None else chosen(wanted, current, revisions)


def _planned(target: Target, deployment: Json, current: Revision, goal: Revision) -> Plan:
    before, after = template_of(deployment), template_of(goal.replica_set)
    names = (f"{target.name} revision {current.number}", f"{target.name} revision {goal.number}")
    return Plan(
        f"{target.name}: revision {current.number} → {goal.number} ({headline(before, after)})",
        diff(before, after, *names),
        {
            "uid": uid_of(deployment),
            "from_revision": current.number,
            "to_revision": goal.number,
            "before": digest(before),
            "after": digest(after),
            "flee_uid": uid_of(current.replica_set),
            "goal_uid": uid_of(goal.replica_set),
        },
        goal=("uid", "after"),
    )
