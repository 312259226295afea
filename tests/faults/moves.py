"""Notices each arrow of the transition table as it is taken, wherever in the daemon that is."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from remediator.core.ports.store import StoreUnavailableError
from remediator.core.runs import Move, Run
from tests.faults.boundaries import Side, arrow
from tests.faults.strikes import LostReply, Strikes, service_in


@dataclass(frozen=True, slots=True)
class Taken:
    """An arrow that was taken and is not written yet, the rule whose run took it, and its service."""

    arrow: str
    rule: str
    service: str | None


#: Of the task at hand: whoever takes an arrow writes it next.
taken: ContextVar[Taken | None] = ContextVar("taken", default=None)

Mover = Callable[..., Run]


def watched(move: Mover, strikes: Strikes) -> Mover:
    """``runs.move``, which every arrow goes through before it is written."""

    def moving(run: Run, wanted: Move, *rest: object, **given: object) -> Run:
        following = move(run, wanted, *rest, **given)
        step = Taken(arrow(run.state, wanted), run.rule, service_in(str(run.target)))
        try:
            strikes.meet(step.arrow, Side.BEFORE, step.service)
        except LostReply as lost:
            raise StoreUnavailableError(str(lost)) from lost
        taken.set(step)
        return following

    return moving
