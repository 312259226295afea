"""Runs, their steps and attempts, and the moves that the engine makes with them."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.core.changes import RunChange
from remediator.core.guards import Quarantine
from remediator.core.ids import EpisodeId, RunId
from remediator.core.ports.store import Topic
from remediator.core.runs import Attempt, Run, RunState
from remediator.store.common.brakes import is_stopped
from remediator.store.common.codecs import as_json
from remediator.store.common.runs import (
    ATTEMPT_COLUMNS,
    COLUMNS,
    INSERTED,
    STEP_COLUMNS,
    attempt_from,
    attempt_row,
    movable,
    run_from,
    run_row,
    step_row,
)
from remediator.store.common.surroundings import quarantine_row
from remediator.store.common.unread import whole
from remediator.store.sqlite import brakes
from remediator.store.sqlite.approvals import keep_approval
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.leases import end_leases
from remediator.store.sqlite.outbox import post
from remediator.store.sqlite.transaction import Transaction

_INSERT = f"INSERT INTO runs ({INSERTED}) VALUES ({', '.join('?' * 22)})"
_UPDATE = (
    "UPDATE runs SET mode = ?, deadline_at = ?, state = ?, final = ?, phase = ?, position = ?, tries = ?,"
    " attempts = ?, results = ?, broken = ?, started_at = ?, verifying_since = ?, ended_at = ?, reason = ?,"
    " detail = ? WHERE id = ?"
)
_JOIN = "INSERT INTO run_episodes (run, episode, joined_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

#: What waits for a person is left alone until it lapses, or until none of its alerts fires any more.
_RUNNABLE = (
    "SELECT r.id FROM runs r WHERE r.final = 0"
    f" AND (r.state <> '{RunState.ASKING.value}' OR r.deadline_at <= ? OR NOT EXISTS"
    " (SELECT 1 FROM run_episodes j JOIN episodes e ON e.id = j.episode"
    " WHERE j.run = r.id AND e.closed IS NULL))"
    " AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.run = r.id AND l.expires_at > ?)"
    " AND r.id NOT IN (SELECT value FROM json_each(?)) ORDER BY r.seq LIMIT ?"
)
_KEEP_ATTEMPT = (
    f"INSERT INTO attempts ({ATTEMPT_COLUMNS}) VALUES ({', '.join('?' * 18)})"
    " ON CONFLICT (id) DO UPDATE SET token = excluded.token, deadline_at = excluded.deadline_at,"
    " summary = excluded.summary, diff = excluded.diff, plan = excluded.plan, outcome = excluded.outcome,"
    " detail = excluded.detail, ended_at = excluded.ended_at"
)
_KEEP_STEP = (
    f"INSERT INTO steps ({STEP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (run, phase, position) DO UPDATE SET state = excluded.state, detail = excluded.detail,"
    " result = excluded.result, attempts = excluded.attempts, ended_at = excluded.ended_at"
)
_KEEP_QUARANTINE = (
    "INSERT INTO quarantines (target, run, attempt, why, at) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (target) DO UPDATE SET run = excluded.run, attempt = excluded.attempt, why = excluded.why,"
    " at = excluded.at"
)


def run_by_id(transaction: Transaction, run: RunId) -> Run | None:
    row = transaction.sql.execute(f"SELECT {COLUMNS} FROM runs r WHERE r.id = ?", (run,)).fetchone()
    return None if row is None else whole(transaction, "runs", [row], run_from)[0]


def runnable(transaction: Transaction, limit: int, leaving: Sequence[RunId]) -> list[RunId]:
    now = transaction.micros
    found = transaction.sql.execute(_RUNNABLE, (now, now, as_json(leaving), limit))
    return [RunId(row[0]) for row in found]


def attempt_in_doubt(transaction: Transaction, run: RunId) -> Attempt | None:
    row = transaction.sql.execute(
        f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE run = ? AND outcome IS NULL", (run,)
    ).fetchone()
    return None if row is None else whole(transaction, "attempts", [row], attempt_from)[0]


def attempts_of(transaction: Transaction, run: RunId) -> tuple[Attempt, ...]:
    found = transaction.sql.execute(
        f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE run = ? ORDER BY seq", (run,)
    )
    return tuple(whole(transaction, "attempts", found, attempt_from))


def insert_runs(transaction: Transaction, runs: list[Run]) -> None:
    if runs:
        transaction.sql.executemany(_INSERT, [run_row(run) for run in runs])
        transaction.topics.add(Topic.RUNS)


def join_runs(transaction: Transaction, joins: list[tuple[RunId, EpisodeId]]) -> None:
    now = transaction.micros
    transaction.sql.executemany(_JOIN, [(run, episode, now) for run, episode in joins])


def keep_quarantine(transaction: Transaction, held: Quarantine) -> None:
    transaction.sql.execute(_KEEP_QUARANTINE, quarantine_row(held))


def write_change(transaction: Transaction, change: RunChange) -> None:
    """Write a run's move and all that belongs to it; a run that has ended needs its lease no more."""
    run = change.run
    transaction.sql.execute(_UPDATE, (*movable(run), run.id))
    if change.attempt is not None:
        transaction.sql.execute(_KEEP_ATTEMPT, attempt_row(change.attempt))
        transaction.sql.execute(_KEEP_STEP, step_row(run, change.attempt))
    if change.quarantine is not None:
        keep_quarantine(transaction, change.quarantine)
    if change.approval is not None:
        keep_approval(transaction, change.approval)
    if run.state.is_final:
        end_leases(transaction, run.id)
    append_events(transaction, change.events)
    post(transaction, change.envelopes)
    if is_stopped(run):
        brakes.stop_run(transaction, run)
    transaction.topics.add(Topic.RUNS)
