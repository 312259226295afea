"""Where a replica may die, and how: each arrow of the transition table and each exchange with the outside.

The arrows are read from the table itself, so that a new one is struck as soon as it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from remediator.core.runs import TRANSITIONS, Move, RunState


class Side(StrEnum):
    """Which side of a boundary: nothing is written yet, or all of it is and nobody has heard."""

    BEFORE = "before"
    AFTER = "after"


class Fault(StrEnum):
    """What happens there."""

    KILL = "kill -9"
    STOP = "SIGSTOP"
    LOST = "lost reply"


class Exchange(StrEnum):
    """What is written, sent or asked for beside the moves of runs."""

    KEEP = "webhook kept"
    FOLD = "alerts folded"
    DECIDE = "decision"
    ACQUIRE = "lease taken"
    APPLY = "change applied"
    SEND = "notice sent"
    RECORD = "notice recorded"


@dataclass(frozen=True, slots=True)
class Boundary:
    """One side of one write; ``where`` is an :class:`Exchange` or an arrow by its :func:`arrow` name."""

    where: str
    side: Side


def arrow(state: RunState, move: Move) -> str:
    """How an arrow of the table is called."""
    return f"{state.value}: {move.value}"


ARROWS = tuple(arrow(state, move) for state, move in TRANSITIONS)
PLACES = (*ARROWS, *(each.value for each in Exchange))
BOUNDARIES = tuple(Boundary(where, side) for where in PLACES for side in Side)
