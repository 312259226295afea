"""Approving and denying: who may, and what they are told when their answer does not count."""

from __future__ import annotations

from http import HTTPStatus

from remediator.core.approvals import Answer, Approval, How, Objection, Obstacle
from remediator.core.changes import RunRow
from remediator.core.ids import PlanDigest
from remediator.web import models, requests, views
from remediator.web.auth import Principal
from remediator.web.endpoints import Call, ProblemError
from remediator.web.finding import outside, run_by_prefix
from remediator.web.ports import WebDeps

_REMEDIES = {
    Obstacle.OTHER_PLAN: "`remediator show RUN` shows the plan as it is now; answer that",
    Obstacle.TOO_LATE: "`remediator show RUN` tells what became of it; repair by hand if it has to be",
}
_USUAL_REMEDY = "`remediator show RUN` tells what was asked and answered"


async def approvals(call: Call[None, None]) -> list[models.ApprovalView]:
    """The requests that wait for an answer."""
    return [views.approval(each.approval) for each in await call.deps.store.asking()]


async def approve(call: Call[None, requests.AnswerRequest]) -> models.ApprovalView:
    """Approve the plan that a run shows."""
    return await _answered(call, granted=True)


async def deny(call: Call[None, requests.AnswerRequest]) -> models.ApprovalView:
    """Deny it, which ends the run."""
    return await _answered(call, granted=False)


async def _answered(call: Call[None, requests.AnswerRequest], *, granted: bool) -> models.ApprovalView:
    why = call.body.why.strip()
    if not why:
        remedy = "say why: people read it later"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "`why` is empty", remedy)
    row = await run_by_prefix(call.deps.store, call.path["run"])
    digest = None if call.body.digest is None else PlanDigest(call.body.digest)
    given = Answer(granted, call.who.name, why, How.API, digest)
    found = await answer(call.deps, call.who, row, given)
    if isinstance(found, Objection):
        remedy = _REMEDIES.get(found.obstacle, _USUAL_REMEDY)
        detail = f"{row.run.id}, which is {row.run.state.value}: {found.detail}"
        raise ProblemError(HTTPStatus.CONFLICT, detail, remedy)
    return views.approval(found)


async def answer(deps: WebDeps, who: Principal, row: RunRow, given: Answer) -> Approval | Objection:
    """Give a person's answer, if they may.

    Raises:
        ProblemError: their namespaces keep them from it.
    """
    if not who.may_act_on(row.run.target):
        verb = "approve" if given.granted else "deny"
        raise outside(who, f"{verb} what is done to {row.run.target}")
    found = await deps.commands.answer(row.run.id, given)
    if isinstance(found, Approval):
        deps.metrics.approval_settled(found)
    return found
