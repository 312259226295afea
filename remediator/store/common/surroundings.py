"""What the guards see, as values: pauses, quarantines and past runs around some rules and targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from remediator.core.guards import (
    BudgetKey,
    GuardView,
    Lookback,
    Mark,
    Marks,
    PastRun,
    Pause,
    PauseScope,
    Quarantine,
    Slot,
    Tripped,
    stopped_everywhere,
)
from remediator.core.ids import AttemptId, RunId
from remediator.core.reasons import Reason
from remediator.core.rules import Mode
from remediator.core.runs import Run, RunState
from remediator.core.targets import Target, TargetError
from remediator.store.common.codecs import Row, maybe_moment, micros, moment, target
from remediator.store.common.unread import Reading

#: A rule's name and a target as people write it.
RuleOnTarget = tuple[str, str]
#: A rule, its target, and how far its guards look back.
Asked = tuple[str, Target | None, Lookback]

#: ``a`` is what was asked about: a run counts for the rule that asks, whatever it was called then.
PAST_COLUMNS = "a.rule, a.target, r.id, r.state, r.mode, r.created_at, r.ended_at, r.started_at, r.reason"
SLOT_COLUMNS = "s.run, s.rule, s.target, s.taken_at"
PAUSE_COLUMNS = "id, scope, value, why, who, at, until, brake, name, reminded"
QUARANTINE_COLUMNS = "target, run, attempt, why, at"
_LONG_AGO = moment(0)


def past_from(row: Row) -> tuple[RuleOnTarget, PastRun]:
    rule, on, id_, state, mode, created_at, ended_at, started_at, reason = row
    past = PastRun(
        id=RunId(id_),
        state=RunState(state),
        mode=Mode(mode),
        created_at=moment(created_at),
        ended_at=maybe_moment(ended_at),
        reached_intent=started_at is not None,
        reason=None if reason is None else Reason(reason),
    )
    return (rule, on), past


def on_target(row: Row) -> tuple[str, PastRun]:
    (_, on), past = past_from(row)
    return on, past


def counted_target(on: str) -> Target:
    """What acts, acted or was demanded counts, whatever can't be read of its target: as one of its own."""
    try:
        return target(on)
    except TargetError:
        return Target("unreadable", "unreadable", "", on)


def slot_from(row: Row) -> Slot:
    run, rule, on, taken_at = row
    return Slot(RunId(run), rule, counted_target(on), moment(taken_at))


def pause_from(row: Row) -> Pause:
    id_, scope, value, why, who, at, until, brake, name, reminded = row
    return Pause(
        id_,
        PauseScope(scope),
        value,
        why,
        who,
        moment(at),
        maybe_moment(until),
        None if brake is None else BudgetKey(brake),
        name or "",
        reminded or 0,
    )


def mark_from(row: Row) -> Mark:
    on, at = row
    return Mark(counted_target(on), moment(at))


def pause_of(tripped: Tripped, now: datetime) -> Pause:
    """The pause that the brake makes; it has no id until it is written."""
    until = None if tripped.length is None else now + tripped.length
    return Pause(0, tripped.scope, tripped.value, tripped.detail, "remediator", now, until, tripped.budget)


def quarantine_from(row: Row) -> Quarantine:
    held, run, attempt, why, at = row
    return Quarantine(
        target=target(held),
        run=RunId(run),
        attempt=None if attempt is None else AttemptId(attempt),
        why=why,
        at=moment(at),
    )


def standing_quarantine(row: Row) -> Quarantine:
    """One whose target is known stands, whatever else of it can't be read."""
    try:
        return quarantine_from(row)
    except Exception as error:  # noqa: BLE001 - what can't be read must not let anybody act
        why = f"why can't be read: {type(error).__name__}: {error}"
        return Quarantine(target(row[0]), RunId(str(row[1])), None, why, _LONG_AGO)


def standing_pause(reading: Reading, row: Row) -> Pause:
    """One that can't be read may stop anything, and so stops everything."""
    try:
        return pause_from(row)
    except Exception as error:  # noqa: BLE001 - what can't be read must not let anybody act
        found = reading.unread.note("pauses", row[0], error, reading.now)
        why = f"pause {row[0]} can't be read, and may be of anything: {found.why}"
        return Pause(row[0], PauseScope.ALL, "", why, str(row[4]), _LONG_AGO)


def quarantine_row(held: Quarantine) -> Row:
    return (str(held.target), held.run, held.attempt, held.why, micros(held.at))


def keys_of(asked: Iterable[Asked]) -> list[tuple[str, str, str]]:
    """(rule, target, name) for each name that the rule has or had; who names no target asks about none."""
    return sorted(
        {
            (rule, str(on), name)
            for rule, on, lookback in asked
            if on is not None
            for name in {rule, *lookback.names}
        }
    )


def longest(lengths: Iterable[timedelta]) -> timedelta:
    """The longest of these, nothing if there are none."""
    return max(lengths, default=timedelta(0))


@dataclass(slots=True)
class Surroundings:
    """What is known around some rules and targets at one instant, kept current by :meth:`began`."""

    now: datetime
    acting_from: datetime | None
    pauses: tuple[Pause, ...]
    busy: tuple[Target, ...] = ()
    quarantines: tuple[Quarantine, ...] = ()
    unfinished: dict[RuleOnTarget, PastRun] = field(default_factory=dict)
    last: dict[RuleOnTarget, PastRun] = field(default_factory=dict)
    last_acted: dict[RuleOnTarget, PastRun] = field(default_factory=dict)
    last_on_target: dict[str, PastRun] = field(default_factory=dict)
    slots: tuple[Slot, ...] = ()
    demanded: Marks = field(default_factory=Marks)
    failed: tuple[Mark, ...] = ()
    released: Mapping[str, datetime] = field(default_factory=dict)

    def view(self, rule: str, on: Target | None) -> GuardView:
        key = (rule, "" if on is None else str(on))
        return GuardView(
            now=self.now,
            pauses=self.pauses,
            quarantines=self.quarantines,
            unfinished=self.unfinished.get(key),
            last=self.last.get(key),
            last_acted=self.last_acted.get(key),
            last_on_target=self.last_on_target.get(key[1]),
            slots=self.slots,
            busy=self.busy,
            demanded=self.demanded,
            failed=self.failed,
            released=self.released,
            acting_from=self.acting_from,
        )

    def began(self, run: Run) -> None:
        """Count a run that this transaction creates."""
        past = PastRun(run.id, run.state, run.mode, run.created_at, run.ended_at, run.reached_intent)
        self.unfinished.setdefault((run.rule, str(run.target)), past)
        if run.mode is not Mode.OBSERVE:
            self.busy = (*self.busy, run.target)
            self.slots = (*self.slots, Slot(run.id, run.rule, run.target, self.now, taken=False))

    def demand(self, on: Target) -> bool:
        """Count a target that a run is demanded on, unless nothing is counted any more."""
        if stopped_everywhere(self.pauses):
            return False
        self.demanded.add(Mark(on, self.now))
        return True

    def engage(self, pause: Pause) -> None:
        """Stop what the brake has just stopped."""
        self.pauses = (*self.pauses, pause)
