"""Guards: what can say no, asked at the decision and again at the first intent (law 7).

Each guard is a pure function of what was asked for and a :class:`GuardView` that the store reads in the
very transaction that acts on the answer. All guards answer, in order, so that `explain` can show each;
the first no is the reason.
"""

from __future__ import annotations

from remediator.core.guards.asking import (
    ask_at_decision,
    ask_at_first_intent,
    ask_before_plan,
    ask_before_step,
    ask_of_plan,
)
from remediator.core.guards.brake import failures_spent, overspent, stopped_everywhere
from remediator.core.guards.marks import Mark, Marks
from remediator.core.guards.values import (
    NO_LOOKBACK,
    OVERRIDABLE,
    Answer,
    BudgetKey,
    Guard,
    GuardAnswer,
    GuardView,
    Lookback,
    Override,
    PastRun,
    Pause,
    PauseScope,
    Quarantine,
    Question,
    Slot,
    Tripped,
    Verdict,
)

__all__ = [
    "NO_LOOKBACK",
    "OVERRIDABLE",
    "Answer",
    "BudgetKey",
    "Guard",
    "GuardAnswer",
    "GuardView",
    "Lookback",
    "Mark",
    "Marks",
    "Override",
    "PastRun",
    "Pause",
    "PauseScope",
    "Quarantine",
    "Question",
    "Slot",
    "Tripped",
    "Verdict",
    "ask_at_decision",
    "ask_at_first_intent",
    "ask_before_plan",
    "ask_before_step",
    "ask_of_plan",
    "failures_spent",
    "overspent",
    "stopped_everywhere",
]
