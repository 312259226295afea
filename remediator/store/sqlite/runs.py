"""Runs, their steps and attempts as rows, and the moves that the engine makes with them."""

from __future__ import annotations

from remediator.core.changes import RunChange
from remediator.core.guards import Quarantine
from remediator.core.ids import AttemptId, EpisodeId, RulebookHash, RunId, Token
from remediator.core.ports.store import Topic
from remediator.core.reasons import Reason
from remediator.core.rules import Mode
from remediator.core.runs import Attempt, Outcome, Phase, Run, RunState
from remediator.store.sqlite.codecs import (
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
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.leases import end_leases
from remediator.store.sqlite.outbox import post
from remediator.store.sqlite.transaction import Transaction

COLUMNS = (
    "r.id, r.rule, r.target, r.severity, r.mode, r.rulebook, r.episode, r.created_at, r.deadline_at, r.state,"
    " r.phase, r.position, r.tries, r.attempts, r.results, r.broken, r.started_at, r.verifying_since,"
    " r.ended_at, r.reason, r.detail"
)
_INSERT = (
    "INSERT INTO runs (id, rule, target, severity, rulebook, episode, created_at, mode, deadline_at, state,"
    " final, phase, position, tries, attempts, results, broken, started_at, verifying_since, ended_at,"
    " reason, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = (
    "UPDATE runs SET mode = ?, deadline_at = ?, state = ?, final = ?, phase = ?, position = ?, tries = ?,"
    " attempts = ?, results = ?, broken = ?, started_at = ?, verifying_since = ?, ended_at = ?, reason = ?,"
    " detail = ? WHERE id = ?"
)
_JOIN = "INSERT INTO run_episodes (run, episode, joined_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

_ATTEMPT_COLUMNS = (
    "id, run, step, phase, position, number, action, params, token, intended_at, deadline_at, summary, diff,"
    " plan, outcome, detail, ended_at"
)
_KEEP_ATTEMPT = (
    f"INSERT INTO attempts ({_ATTEMPT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET token = excluded.token, deadline_at = excluded.deadline_at,"
    " summary = excluded.summary, diff = excluded.diff, plan = excluded.plan, outcome = excluded.outcome,"
    " detail = excluded.detail, ended_at = excluded.ended_at"
)
_KEEP_STEP = (
    "INSERT INTO steps (run, phase, position, step, action, state, detail, result, attempts, started_at,"
    " ended_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (run, phase, position) DO UPDATE SET state = excluded.state, detail = excluded.detail,"
    " result = excluded.result, attempts = excluded.attempts, ended_at = excluded.ended_at"
)
_KEEP_QUARANTINE = (
    "INSERT INTO quarantines (target, run, attempt, why, at) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (target) DO UPDATE SET run = excluded.run, attempt = excluded.attempt, why = excluded.why,"
    " at = excluded.at"
)


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
    )


def run_by_id(transaction: Transaction, run: RunId) -> Run | None:
    row = transaction.sql.execute(f"SELECT {COLUMNS} FROM runs r WHERE r.id = ?", (run,)).fetchone()
    return None if row is None else run_from(row)


def runnable(transaction: Transaction, limit: int) -> list[RunId]:
    found = transaction.sql.execute(
        "SELECT r.id FROM runs r WHERE r.final = 0 AND NOT EXISTS"
        " (SELECT 1 FROM leases l WHERE l.run = r.id AND l.expires_at > ?) ORDER BY r.seq LIMIT ?",
        (transaction.micros, limit),
    )
    return [RunId(row[0]) for row in found]


def attempt_in_doubt(transaction: Transaction, run: RunId) -> Attempt | None:
    row = transaction.sql.execute(
        f"SELECT {_ATTEMPT_COLUMNS} FROM attempts WHERE run = ? AND outcome IS NULL", (run,)
    ).fetchone()
    return None if row is None else attempt_from(row)


def attempts_of(transaction: Transaction, run: RunId) -> tuple[Attempt, ...]:
    found = transaction.sql.execute(
        f"SELECT {_ATTEMPT_COLUMNS} FROM attempts WHERE run = ? ORDER BY seq", (run,)
    )
    return tuple(attempt_from(row) for row in found)


def _movable(run: Run) -> Row:
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


def insert_runs(transaction: Transaction, runs: list[Run]) -> None:
    rows = [
        (
            run.id,
            run.rule,
            str(run.target),
            run.severity,
            run.rulebook,
            run.episode,
            micros(run.created_at),
            *_movable(run),
        )
        for run in runs
    ]
    if rows:
        transaction.sql.executemany(_INSERT, rows)
        transaction.topics.add(Topic.RUNS)


def join_runs(transaction: Transaction, joins: list[tuple[RunId, EpisodeId]]) -> None:
    now = transaction.micros
    transaction.sql.executemany(_JOIN, [(run, episode, now) for run, episode in joins])


def write_change(transaction: Transaction, change: RunChange) -> None:
    """Write a run's move and all that belongs to it; a run that has ended needs its lease no more."""
    run = change.run
    transaction.sql.execute(_UPDATE, (*_movable(run), run.id))
    if change.attempt is not None:
        _keep_attempt(transaction, change.attempt)
        _keep_step(transaction, run, change.attempt)
    if change.quarantine is not None:
        _keep_quarantine(transaction, change.quarantine)
    if run.state.is_final:
        end_leases(transaction, run.id)
    append_events(transaction, change.events)
    post(transaction, change.envelopes)
    transaction.topics.add(Topic.RUNS)


def _keep_attempt(transaction: Transaction, attempt: Attempt) -> None:
    transaction.sql.execute(
        _KEEP_ATTEMPT,
        (
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
        ),
    )


def _keep_step(transaction: Transaction, run: Run, attempt: Attempt) -> None:
    state = "acting" if attempt.outcome is None else attempt.outcome.value
    result = run.results.get(attempt.step, {}) if attempt.outcome is Outcome.SUCCEEDED else {}
    transaction.sql.execute(
        _KEEP_STEP,
        (
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
        ),
    )


def _keep_quarantine(transaction: Transaction, held: Quarantine) -> None:
    transaction.sql.execute(
        _KEEP_QUARANTINE, (str(held.target), held.run, held.attempt, held.why, micros(held.at))
    )
