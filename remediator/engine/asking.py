"""Asking a run's guards about the rulebook that it is pinned to and the one in force: the stricter holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from remediator.core.changes import IntentRequest
from remediator.core.guards import (
    Answer,
    Guard,
    GuardAnswer,
    GuardView,
    Override,
    Question,
    Verdict,
    ask_at_first_intent,
    ask_before_plan,
    ask_before_step,
    ask_of_plan,
)
from remediator.core.ids import PlanDigest
from remediator.core.leases import Cover
from remediator.core.ports.actions import Plan, Refusal
from remediator.core.reasons import Reason
from remediator.core.rules import Mode, Rule, Rulebook
from remediator.core.runs import Run
from remediator.engine.rulebooks import Rulebooks


class Guards:
    """The guards of one run's rule; what is in force is looked up each time, for it may change meanwhile."""

    def __init__(
        self, rulebooks: Rulebooks, mode: Mode, rule: Rule, pinned: Rulebook, override: Override | None
    ) -> None:
        self._override = override
        self._rulebooks = rulebooks
        self._mode = mode
        self._rule = rule
        self._pinned = pinned

    @property
    def books(self) -> tuple[Rulebook, ...]:
        """The rulebooks that apply to the run now."""
        active = self._rulebooks.active.rulebook
        return (active,) if active is self._pinned else (self._pinned, active)

    def request(
        self,
        run: Run,
        leased: frozenset[Cover] = frozenset(),
        digest: PlanDigest | None = None,
        *,
        critical: bool = False,
    ) -> IntentRequest:
        """What the guards are asked about before the run's next intent, under a lease that covers these.

        ``digest`` names what it would do, ``critical`` says that it lies within a critical section.
        """
        books = self.books
        versions = [book.rule(self._rule.name) for book in books]
        # A rule that is in force no more may do nothing more.
        modes = [rule.effective_mode(self._mode) if rule else Mode.OBSERVE for rule in versions]
        question = Question(
            self._rule,
            run.target,
            min(run.mode, *modes),
            books,
            digest,
            leased,
            self._override,
            critical=critical,
        )
        return IntentRequest(question, first=not run.reached_intent)

    def objection(self, run: Run, plan: Plan, now: datetime) -> Refusal | None:
        """What the guards hold against a plan, by what it saw of its target."""
        question = replace(self.request(run).question, sight=plan.sight)
        answer = ask_of_plan(question, now).objection
        return None if answer is None else Refusal(f"{answer.guard.value}: {answer.detail}", answer.reason)

    @staticmethod
    def ask(request: IntentRequest, view: GuardView) -> Verdict:
        """All answers; pure, since the store asks it inside its own transaction."""
        return _ask(request, view, ask_at_first_intent)

    @staticmethod
    def ask_before_plan(request: IntentRequest, view: GuardView) -> Verdict:
        """The answers that don't need to know what is about to be done."""
        return _ask(request, view, ask_before_plan)


def _ask(
    request: IntentRequest, view: GuardView, ask_first: Callable[[Question, GuardView], Verdict]
) -> Verdict:
    question = request.question
    if any(book.rule(question.rule.name) is None for book in question.books):
        detail = f"{question.rule.name} is not in the active rulebook"
        return Verdict((GuardAnswer(Guard.MODE, Answer.REFUSES, detail, Reason.RULE_GONE),))
    return (ask_first if request.first else ask_before_step)(question, view)
