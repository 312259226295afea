"""What a row found: numbers of each round, their medians, the ratio, and whether the goal is met."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SIGNS = {"at least": "≥", "at most": "≤", "exactly": "="}


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on the ratio (ours / theirs) or on our own value."""

    sense: Literal["at least", "at most", "exactly"]
    bound: float
    on: Literal["ratio", "value"] = "ratio"

    def met(self, value: float) -> bool:
        """Whether `value` keeps the bound; a NaN never does."""
        match self.sense:
            case "at least":
                return value >= self.bound
            case "at most":
                return value <= self.bound
            case "exactly":
                return value == self.bound

    def __str__(self) -> str:
        return f"{SIGNS[self.sense]} {figure(self.bound)}{'x' if self.on == 'ratio' else ''}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table: a quantity of ours, per round, beside what it is compared with.

    `theirs` is empty when the goal is absolute; `goal` is None for what is only told.
    """

    row: str
    what: str
    unit: str
    ours: Sequence[float]
    beside: str = ""
    theirs: Sequence[float] = ()
    goal: Goal | None = None
    note: str = ""

    @classmethod
    def unmeasured(cls, row: str) -> Finding:
        """What stands in the table for a row that could not be measured: a FAIL without a number."""
        return cls(row, f"{row}: could not be measured", "", (), goal=Goal("at least", 0, "value"))

    @property
    def median(self) -> float:
        """Our median over the rounds, in `unit`; NaN when nothing was measured."""
        return statistics.median(self.ours) if self.ours else math.nan

    @property
    def their_median(self) -> float | None:
        """The other side's median over the same rounds, in `unit`."""
        return statistics.median(self.theirs) if self.theirs else None

    @property
    def ratio(self) -> float | None:
        """Ours over theirs, of the medians; None without a comparison."""
        theirs = self.their_median
        return None if not theirs else self.median / theirs

    @property
    def verdict(self) -> str:
        """`PASS`, `FAIL`, or empty for what has no goal."""
        if self.goal is None:
            return ""
        value = self.ratio if self.goal.on == "ratio" else self.median
        return "PASS" if value is not None and self.goal.met(value) else "FAIL"


def figure(value: float | None) -> str:
    """A number as people read it: three significant digits, thousands apart, `–` for none."""
    if value is None or math.isnan(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile, `share` in 0..1; NaN when there is no value."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
