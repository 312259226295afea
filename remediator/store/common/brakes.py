"""The brake as rows and events: what it counts, that it is engaged, and what it kept from running."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from remediator.core.changes import BrakeRow, Release, Stopped
from remediator.core.events import Event, EventKind
from remediator.core.guards import Pause, PauseScope
from remediator.core.reasons import Reason
from remediator.core.runs import Run, RunState
from remediator.core.targets import Target
from remediator.store.common.codecs import Row, maybe_micros, micros, moment
from remediator.store.common.surroundings import PAUSE_COLUMNS, pause_from

#: The columns of :func:`pause_row`.
PAUSE_INSERTED = "scope, value, why, who, at, until, brake"
BRAKE_COLUMNS = f"{PAUSE_COLUMNS}, told, lifted_at, lifted_who, lifted_why"
#: What ``told`` is once people have been told of a brake's end.
TOLD_OF_END = -1
#: How many of the stopped targets are told by name.
MOST_TARGETS = 20
_TIMED = "its time was over"


def pause_row(pause: Pause) -> Row:
    return (
        pause.scope.value,
        pause.value,
        pause.why,
        pause.who,
        micros(pause.at),
        maybe_micros(pause.until),
        None if pause.brake is None else pause.brake.value,
    )


def brake_from(
    row: Row, now: datetime, stopped: Iterable[Row], targets: Iterable[Row], distinct: int
) -> BrakeRow:
    """A brake, of a row of :data:`BRAKE_COLUMNS` and rows (rule, alerts, targets) and (target, )."""
    *paused, told, lifted_at, lifted_who, lifted_why = row
    pause = pause_from(tuple(paused))
    release = None
    if lifted_at is not None:
        release = Release(moment(lifted_at), lifted_who, lifted_why)
    elif pause.until is not None and pause.until <= now:
        release = Release(pause.until, "remediator", _TIMED, by_time=True)
    return BrakeRow(
        pause=pause,
        stopped=tuple(Stopped(rule, int(alerts), targets) for rule, alerts, targets in stopped),
        targets=tuple(target for (target,) in targets),
        distinct=distinct,
        told=told,
        release=release,
    )


def is_stopped(run: Run) -> bool:
    """Whether a run ends because of the brake."""
    return run.state is RunState.REFUSED and run.reason is Reason.BRAKE


def space_of(target: Target) -> str:
    """The namespace whose brake stops a target; empty for one that lies in none."""
    return "" if target.space is None else str(target.space)


def brake_engaged(pause: Pause) -> Event:
    data: dict[str, object] = {"budget": pause.brake, "why": pause.why, "until": pause.until}
    return _of_brake(EventKind.BRAKE_ENGAGED, pause, pause.at, data)


def brake_released(pause: Pause, release: Release) -> Event:
    data: dict[str, object] = {"budget": pause.brake, "why": release.why, "who": release.who}
    return _of_brake(EventKind.BRAKE_RELEASED, pause, release.at, data)


def let_go(brake: BrakeRow) -> list[Event]:
    """What tells that a brake let go by itself; one that a person released was told of then."""
    release = brake.release
    return [brake_released(brake.pause, release)] if release is not None and release.by_time else []


def _of_brake(kind: EventKind, pause: Pause, at: datetime, data: Mapping[str, object]) -> Event:
    target = pause.value if pause.scope is PauseScope.TARGET else None
    return Event(kind, at, {"scope": pause.scope.value, "value": pause.value, **data}, target=target)
