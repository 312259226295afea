"""Which guards are asked when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from remediator.core.guards import brake, entry, limits, standing
from remediator.core.guards.values import GuardAnswer, GuardFunction, GuardView, Question, Verdict

_MODE: tuple[GuardFunction, ...] = (standing.mode,)
_STEP: tuple[GuardFunction, ...] = (
    standing.pause,
    standing.scope,
    standing.protection,
    standing.quarantine,
    standing.minimum_healthy,
)
_WAITING_STEP: tuple[GuardFunction, ...] = (
    standing.waiting_pause,
    standing.scope,
    standing.protection,
    standing.quarantine,
    standing.minimum_healthy,
)
_OF_PLAN: tuple[GuardFunction, ...] = (standing.scope, standing.protection, standing.minimum_healthy)
_ENTRY: tuple[GuardFunction, ...] = (
    entry.freeze,
    entry.cooldown,
    limits.rate,
    limits.targets,
    limits.per_target,
    brake.parallel,
    brake.share,
    entry.clock,
)


def ask_at_decision(question: Question, view: GuardView) -> Verdict:
    """Entry and step guards together; a pause refuses, since a skip is final for its episode (law 11)."""
    return brake.braked(question, view, _ask((*_STEP, *_ENTRY, entry.approval_to_come), question, view))


def ask_before_plan(question: Question, view: GuardView) -> Verdict:
    """All that can be asked before the first step is planned, so that nothing is planned in vain."""
    return brake.braked(question, view, _before_plan(question, view))


def ask_at_first_intent(question: Question, view: GuardView) -> Verdict:
    """Entry and step guards again, in the transaction that takes the slot; a pause makes the run wait.

    So is law 3: what resolved before anything was begun is not acted on.
    """
    answers = (*_before_plan(question, view), brake.counted(question, view), entry.approval(question, view))
    return brake.braked(question, view, answers)


def ask_before_step(question: Question, view: GuardView) -> Verdict:
    """The step guards alone, before every step after the first intent."""
    return Verdict(_ask((*_MODE, *_WAITING_STEP), question, view))


def ask_of_plan(question: Question, now: datetime) -> Verdict:
    """The guards that judge by what a plan saw, which is no store's: it is not shown to anybody in vain."""
    return Verdict(_ask(_OF_PLAN, question, GuardView(now)))


def _before_plan(question: Question, view: GuardView) -> tuple[GuardAnswer, ...]:
    return _ask((standing.firing, *_MODE, *_WAITING_STEP, *_ENTRY), question, view)


def _ask(guards: Iterable[GuardFunction], question: Question, view: GuardView) -> tuple[GuardAnswer, ...]:
    answers = (guard(question, view) for guard in guards)
    override = question.override
    return tuple(answers if override is None else map(override.heeded, answers))
