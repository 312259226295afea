"""Asking a run's guards about the rulebook that it is pinned to and the one in force: the stricter holds."""

from __future__ import annotations

from remediator.core.changes import IntentRequest
from remediator.core.guards import (
    Answer,
    Guard,
    GuardAnswer,
    GuardView,
    Question,
    Verdict,
    ask_at_first_intent,
    ask_before_step,
)
from remediator.core.reasons import Reason
from remediator.core.rules import Mode, Rule, Rulebook
from remediator.core.runs import Run
from remediator.engine.rulebooks import Rulebooks


class Guards:
    """The guards of one run's rule; what is in force is looked up each time, for it may change meanwhile."""

    def __init__(self, rulebooks: Rulebooks, mode: Mode, rule: Rule, pinned: Rulebook) -> None:
        self._rulebooks = rulebooks
        self._mode = mode
        self._rule = rule
        self._pinned = pinned

    def request(self, run: Run) -> IntentRequest:
        """What the guards are asked about before the run's next intent."""
        active = self._rulebooks.active.rulebook
        books = (active,) if active is self._pinned else (self._pinned, active)
        versions = [book.rule(self._rule.name) for book in books]
        # A rule that is in force no more may do nothing more.
        modes = [rule.effective_mode(self._mode) if rule else Mode.OBSERVE for rule in versions]
        question = Question(self._rule, run.target, min(modes), books)
        return IntentRequest(question, first=not run.reached_intent)

    @staticmethod
    def ask(request: IntentRequest, view: GuardView) -> Verdict:
        """All answers; pure, since the store asks it inside its own transaction."""
        question = request.question
        if any(book.rule(question.rule.name) is None for book in question.books):
            detail = f"{question.rule.name} is not in the active rulebook"
            return Verdict((GuardAnswer(Guard.MODE, Answer.REFUSES, detail, Reason.RULE_GONE),))
        return (ask_at_first_intent if request.first else ask_before_step)(question, view)
