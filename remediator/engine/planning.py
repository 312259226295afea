"""Planning: what the steps of a run would do, looked at without holding or changing anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from remediator.core.approvals import PlannedStep, Proposal
from remediator.core.ids import Token
from remediator.core.ports.actions import Plan, Refusal
from remediator.core.ports.store import Store
from remediator.core.rules import Rule, Step
from remediator.core.runs import Phase, Run
from remediator.engine.acting import Acting

#: Shown to plan alone; no writer ever holds it.
NO_TOKEN = Token(0)


@dataclass(frozen=True, slots=True)
class Planned:
    """A step with its plan, or why there is none, and its rendered parameters."""

    step: Step
    plan: Plan | Refusal
    params: Mapping[str, object]


async def plan_steps(
    acting: Acting, store: Store, run: Run, steps: Iterable[Step], values: Mapping[str, object]
) -> tuple[Planned, ...]:
    """Plan each step as if it were the next, in order."""
    planned = []
    for step in steps:
        plan, params = await acting.plan(run, step, values, NO_TOKEN, await store.now())
        planned.append(Planned(step, plan, params))
    return tuple(planned)


def proposal_of(run: Run, rule: Rule, planned: Sequence[Planned]) -> Proposal:
    """All that a run would do from here on, as people are asked about it."""
    fallback = rule.on_failure if run.phase is Phase.STEPS else ()
    return Proposal(
        rulebook=run.rulebook,
        rule=run.rule,
        target=run.target,
        phase=run.phase,
        steps=tuple([as_proposed(one) for one in planned]),
        fallback=tuple([_unplanned(step, f"{step.action}, if that fails") for step in fallback]),
    )


def as_proposed(planned: Planned) -> PlannedStep:
    """A planned step as an approval binds it."""
    step, plan = planned.step, planned.plan
    if isinstance(plan, Refusal):
        return _unplanned(step, f"{step.action}, which can't be planned before: {plan.detail}")
    return PlannedStep(
        step=step.id,
        action=step.action,
        params=planned.params,
        summary=plan.summary,
        diff=plan.diff,
        data={name: value for name, value in plan.data.items() if name not in plan.fleeting},
        goal={name: plan.data[name] for name in plan.goal},
    )


def _unplanned(step: Step, summary: str) -> PlannedStep:
    return PlannedStep(step.id, step.action, step.params, summary, open=True)
