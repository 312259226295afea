"""Runs, their steps and attempts as rows."""

from __future__ import annotations

from remediator.core.changes import RunChange
from remediator.core.ids import AttemptId, EpisodeId, RulebookHash, RunId, Token
from remediator.core.reasons import Reason
from remediator.core.rules import Mode
from remediator.core.runs import Attempt, Outcome, Phase, Run, RunState
from remediator.store.common.codecs import (
    Row,
    as_json,
    maybe_micros,
    maybe_moment,
    micros,
    moment,
    objects,
    results,
    target,
)

COLUMNS = (
    "r.id, r.rule, r.target, r.severity, r.mode, r.rulebook, r.episode, r.created_at, r.deadline_at, r.state,"
    " r.phase, r.position, r.tries, r.attempts, r.results, r.broken, r.started_at, r.verifying_since,"
    " r.ended_at, r.reason, r.detail"
)
#: The columns of :func:`run_row`.
INSERTED = (
    "id, rule, target, severity, rulebook, episode, created_at, mode, deadline_at, state, final, phase,"
    " position, tries, attempts, results, broken, started_at, verifying_since, ended_at, reason, detail"
)
ATTEMPT_COLUMNS = (
    "id, run, step, phase, position, number, action, params, token, intended_at, deadline_at, summary, diff,"
    " plan, outcome, detail, ended_at, fenced"
)
#: The columns of :func:`step_row`.
STEP_COLUMNS = "run, phase, position, step, action, state, detail, result, attempts, started_at, ended_at"

#: Where a run may be, come from and go to without a lease, since nothing was or will be touched.
_UNTOUCHED = frozenset({RunState.PENDING, RunState.ASKING})
_UNLEASED = _UNTOUCHED | {RunState.OBSERVED, RunState.CANCELLED, RunState.REFUSED, RunState.EXPIRED}


def needs_no_lease(change: RunChange) -> bool:
    return change.was in _UNTOUCHED and change.run.state in _UNLEASED


def by_resolving(change: RunChange) -> bool:
    """Whether a run is cancelled because its alerts resolved, which has to be so still when it is written."""
    return change.run.state is RunState.CANCELLED and change.run.reason is not Reason.PREEMPTED


def run_from(row: Row) -> Run:
    return Run(
        id=RunId(row[0]),
        rule=row[1],
        target=target(row[2]),
        severity=row[3],
        mode=Mode(row[4]),
        rulebook=RulebookHash(row[5]),
        episode=EpisodeId(row[6]),
        created_at=moment(row[7]),
        deadline_at=moment(row[8]),
        state=RunState(row[9]),
        phase=Phase(row[10]),
        position=row[11],
        tries=row[12],
        attempts=row[13],
        results=results(row[14]),
        broken=bool(row[15]),
        started_at=maybe_moment(row[16]),
        verifying_since=maybe_moment(row[17]),
        ended_at=maybe_moment(row[18]),
        reason=None if row[19] is None else Reason(row[19]),
        detail=row[20],
    )


def attempt_from(row: Row) -> Attempt:
    return Attempt(
        id=AttemptId(row[0]),
        run=RunId(row[1]),
        step=row[2],
        phase=Phase(row[3]),
        position=row[4],
        number=row[5],
        action=row[6],
        params=objects(row[7]),
        token=Token(row[8]),
        intended_at=moment(row[9]),
        deadline_at=moment(row[10]),
        summary=row[11],
        diff=row[12],
        plan=objects(row[13]),
        outcome=None if row[14] is None else Outcome(row[14]),
        detail=row[15],
        ended_at=maybe_moment(row[16]),
        fenced=bool(row[17]),
    )


def movable(run: Run) -> Row:
    return (
        run.mode.value,
        micros(run.deadline_at),
        run.state.value,
        run.state.is_final,
        run.phase.value,
        run.position,
        run.tries,
        run.attempts,
        as_json(run.results),
        run.broken,
        maybe_micros(run.started_at),
        maybe_micros(run.verifying_since),
        maybe_micros(run.ended_at),
        run.reason,
        run.detail,
    )


def run_row(run: Run) -> Row:
    return (
        run.id,
        run.rule,
        str(run.target),
        run.severity,
        run.rulebook,
        run.episode,
        micros(run.created_at),
        *movable(run),
    )


def attempt_row(attempt: Attempt) -> Row:
    return (
        attempt.id,
        attempt.run,
        attempt.step,
        attempt.phase.value,
        attempt.position,
        attempt.number,
        attempt.action,
        as_json(attempt.params),
        attempt.token,
        micros(attempt.intended_at),
        micros(attempt.deadline_at),
        attempt.summary,
        attempt.diff,
        as_json(attempt.plan),
        attempt.outcome,
        attempt.detail,
        maybe_micros(attempt.ended_at),
        attempt.fenced,
    )


def step_row(run: Run, attempt: Attempt) -> Row:
    """A step as its last attempt left it."""
    state = "acting" if attempt.outcome is None else attempt.outcome.value
    result = run.results.get(attempt.step, {}) if attempt.outcome is Outcome.SUCCEEDED else {}
    return (
        attempt.run,
        attempt.phase.value,
        attempt.position,
        attempt.step,
        attempt.action,
        state,
        attempt.detail,
        as_json(result),
        attempt.number,
        micros(attempt.intended_at),
        maybe_micros(attempt.ended_at),
    )
