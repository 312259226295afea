"""What checks are asked and how they answer; an error is never a no."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from remediator.core.episodes import Episode
from remediator.core.rules import Expect
from remediator.core.targets import Target

#: The check whose evidence says how many ``deployments`` the target's namespace has.
DEPLOYMENTS = "kubernetes.deployments"


#: The episodes that a question concerns, page by page in the order of their ids: there may be very many.
#: Each call begins anew.
Concerned: TypeAlias = Callable[[], AsyncIterator[Sequence[Episode]]]


def these(*episodes: Episode) -> Concerned:
    """Those that are at hand."""

    async def pages() -> AsyncIterator[Sequence[Episode]]:
        yield sorted(episodes, key=lambda each: each.id)

    return pages


class Said(StrEnum):
    """What a check says; an error is neither of the others."""

    YES = "yes"
    NO = "no"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """A check's answer; ``detail`` is one sentence with the value it saw."""

    said: Said
    detail: str
    evidence: Mapping[str, object] = field(default_factory=dict)

    def meets(self, expect: Expect) -> bool:
        """Whether it is the expected answer; an error never is."""
        return self.said.value == expect.value


@dataclass(frozen=True, slots=True)
class Fact:
    """A check's answer at one instant, stored with the decision that it led to."""

    check: str
    params: Mapping[str, object]
    expect: Expect
    answer: CheckAnswer
    at: datetime

    @property
    def holds(self) -> bool:
        return self.answer.meets(self.expect)

    @property
    def line(self) -> str:
        """Who said what, on one line for people."""
        return f"{self.check} {self.answer.said.value} ({self.answer.detail})"


def lines(facts: Iterable[Fact]) -> str:
    """Several facts on one line."""
    return "; ".join(fact.line for fact in facts)


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What a check may look at: the target, validated parameters, the episodes concerned, the time."""

    target: Target
    params: object
    episodes: Concerned
    now: datetime
