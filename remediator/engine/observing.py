"""Observing: what a run that is not to act would do, planned against the world, with nothing changed."""

from __future__ import annotations

from dataclasses import replace

from remediator.core.events import EventKind
from remediator.core.ports.actions import Plan
from remediator.core.rules import Rule
from remediator.core.runs import Move
from remediator.engine.acting import Acting, values_of
from remediator.engine.asking import Guards
from remediator.engine.journal import Journal
from remediator.engine.parts import EngineParts
from remediator.engine.planning import Planned, plan_steps


async def observe(parts: EngineParts, journal: Journal, rule: Rule, guards: Guards) -> None:
    """Plan every step of the run and end it as observed, with each plan as an event.

    Raises:
        LostTheRunError: another replica observed it first.
    """
    values = values_of(rule, journal.run, journal.story.episodes)
    events, diffs, summaries = [], [], []
    acting = Acting(parts.actions, guards.objection)
    for planned in await plan_steps(acting, parts.store, journal.run, rule.steps, values):
        summary = _summary(planned)
        diff = planned.plan.diff if isinstance(planned.plan, Plan) else ""
        data = {"step": planned.step.id, "diff": diff}
        events.append(journal.event(EventKind.RUN_PLANNED, await parts.store.now(), summary, data))
        diffs.append(diff)
        summaries.append(summary)
    journal.story = replace(journal.story, plan="\n".join(filter(None, diffs)))
    detail = f"mode {journal.run.mode.word}: " + "; ".join(summaries)
    await journal.move(None, Move.OBSERVE, detail=detail, also=tuple(events))


def _summary(planned: Planned) -> str:
    if isinstance(planned.plan, Plan):
        return f"would {planned.step.action}: {planned.plan.summary}"
    return f"{planned.step.action} would refuse: {planned.plan.detail}"
