"""Observing: what a run that is not live would do, planned against the world, with nothing changed."""

from __future__ import annotations

from dataclasses import replace

from remediator.core.events import EventKind
from remediator.core.ids import Token
from remediator.core.ports.actions import Plan, Refusal
from remediator.core.rules import Rule, Step
from remediator.core.runs import Move
from remediator.engine.acting import Acting, values_of
from remediator.engine.journal import Journal
from remediator.engine.parts import EngineParts

#: Shown to plan alone; no writer ever holds it.
_NO_TOKEN = Token(0)


async def observe(parts: EngineParts, journal: Journal, rule: Rule) -> None:
    """Plan every step of the run and end it as observed, with each plan as an event.

    Raises:
        LostTheRunError: another replica observed it first.
    """
    acting = Acting(parts.actions)
    values = values_of(journal.run, journal.story.episodes)
    events, diffs, summaries = [], [], []
    for step in rule.steps:
        now = await parts.store.now()
        plan, _ = await acting.plan(journal.run, step, values, _NO_TOKEN, now)
        summary = _summary(step, plan)
        diff = plan.diff if isinstance(plan, Plan) else ""
        events.append(journal.event(EventKind.RUN_PLANNED, now, summary, {"step": step.id, "diff": diff}))
        diffs.append(diff)
        summaries.append(summary)
    journal.story = replace(journal.story, plan="\n".join(filter(None, diffs)))
    detail = f"mode {journal.run.mode.word}: " + "; ".join(summaries)
    await journal.move(None, Move.OBSERVE, detail=detail, also=tuple(events))


def _summary(step: Step, plan: Plan | Refusal) -> str:
    if isinstance(plan, Plan):
        return f"would {step.action}: {plan.summary}"
    return f"{step.action} would refuse: {plan.detail}"
