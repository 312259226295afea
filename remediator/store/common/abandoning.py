"""Runs that nobody could take to their end: judged by single columns, since others may be damaged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.core.events import Event, EventKind
from remediator.core.guards import Quarantine
from remediator.core.ids import AttemptId, RunId
from remediator.core.runs import FINAL, RunState
from remediator.core.targets import TargetError
from remediator.store.common.codecs import Row, micros, target

#: What :func:`judge` is told of an unfinished run.
COLUMNS = "r.id, r.rule, r.target, r.state, r.started_at, r.deadline_at"
_UNTOUCHED = frozenset({RunState.PENDING, RunState.ASKING})
_UNFINISHED = {state.value: state for state in RunState if state not in FINAL}


@dataclass(frozen=True, slots=True)
class Abandonment:
    """How a run ends that is abandoned."""

    state: RunState
    quarantine: Quarantine | None
    events: tuple[Event, ...]


def judge(
    row: Row, doubt: AttemptId | None, overdue: timedelta, why: str, now: datetime
) -> Abandonment | None:
    """What becomes of a run with these columns and that attempt in doubt; ``None`` leaves it as it is."""
    id_, rule, on, word, started_at, deadline_at = row
    state = _UNFINISHED.get(word)
    # A deadline that can't be read is over.
    if state is None or (isinstance(deadline_at, int) and deadline_at > micros(now - overdue)):
        return None
    touched = started_at is not None or state not in _UNTOUCHED
    ends = RunState.UNKNOWN if touched else RunState.EXPIRED
    quarantine = _quarantine(RunId(id_), on, doubt, why, now) if touched else None
    kinds = [EventKind.RUN_UNKNOWN if touched else EventKind.RUN_EXPIRED]
    kinds += [EventKind.TARGET_QUARANTINED] if quarantine else []
    events = [Event(kind, now, {"detail": why}, run=RunId(id_), rule=rule, target=on) for kind in kinds]
    return Abandonment(ends, quarantine, tuple(events))


def _quarantine(run: RunId, on: str, doubt: AttemptId | None, why: str, now: datetime) -> Quarantine | None:
    """Nobody ever acts on what can't be read as a target, so that it needs no quarantine."""
    try:
        return Quarantine(target(on), run, doubt, why, now)
    except TargetError:
        return None
