"""Runs, their steps and attempts, and the moves that the engine makes with them."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.core.changes import RunChange
from remediator.core.guards import Quarantine
from remediator.core.ids import EpisodeId, RunId
from remediator.core.ports.store import Topic
from remediator.core.runs import Attempt, Run, RunState
from remediator.store.common.brakes import is_stopped
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
from remediator.store.common.surroundings import QUARANTINE_COLUMNS, quarantine_row
from remediator.store.common.unread import whole
from remediator.store.postgres import brakes
from remediator.store.postgres.approvals import keep_approval
from remediator.store.postgres.leases import end_leases
from remediator.store.postgres.outbox import post
from remediator.store.postgres.transaction import Transaction, places

_INSERT = f"INSERT INTO runs ({INSERTED}) VALUES ({places(22)})"
_UPDATE = (
    "UPDATE runs SET mode = $1, deadline_at = $2, state = $3, final = $4, phase = $5, position = $6,"
    " tries = $7, attempts = $8, results = $9, broken = $10, started_at = $11, verifying_since = $12,"
    " ended_at = $13, reason = $14, detail = $15 WHERE id = $16"
)
_JOIN = "INSERT INTO run_episodes (run, episode, joined_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_KEEP_ATTEMPT = (
    f"INSERT INTO attempts ({ATTEMPT_COLUMNS}) VALUES ({places(18)})"
    " ON CONFLICT (id) DO UPDATE SET token = excluded.token, deadline_at = excluded.deadline_at,"
    " summary = excluded.summary, diff = excluded.diff, plan = excluded.plan, outcome = excluded.outcome,"
    " detail = excluded.detail, ended_at = excluded.ended_at"
)
_KEEP_STEP = (
    f"INSERT INTO steps ({STEP_COLUMNS}) VALUES ({places(11)})"
    " ON CONFLICT (run, phase, position) DO UPDATE SET state = excluded.state, detail = excluded.detail,"
    " result = excluded.result, attempts = excluded.attempts, ended_at = excluded.ended_at"
)
_KEEP_QUARANTINE = (
    f"INSERT INTO quarantines ({QUARANTINE_COLUMNS}) VALUES ({places(5)})"
    " ON CONFLICT (target) DO UPDATE SET run = excluded.run, attempt = excluded.attempt, why = excluded.why,"
    " at = excluded.at"
)
#: What waits for a person is left alone until it lapses, or until none of its alerts fires any more.
_RUNNABLE = (
    "SELECT r.id FROM runs r WHERE NOT r.final"
    f" AND (r.state <> '{RunState.ASKING.value}' OR r.deadline_at <= $1 OR NOT EXISTS"
    " (SELECT 1 FROM run_episodes j JOIN episodes e ON e.id = j.episode"
    " WHERE j.run = r.id AND e.closed IS NULL))"
    " AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.run = r.id AND l.expires_at > $1)"
    " AND r.id <> ALL($2::text[]) ORDER BY r.seq LIMIT $3"
)


async def run_by_id(transaction: Transaction, run: RunId) -> Run | None:
    row = await transaction.row(f"SELECT {COLUMNS} FROM runs r WHERE r.id = $1", run)
    return None if row is None else whole(transaction, "runs", [row], run_from)[0]


async def runnable(transaction: Transaction, limit: int, leaving: Sequence[RunId]) -> list[RunId]:
    found = await transaction.rows(_RUNNABLE, transaction.micros, list(leaving), limit)
    return [RunId(row[0]) for row in found]


async def attempt_in_doubt(transaction: Transaction, run: RunId) -> Attempt | None:
    row = await transaction.row(
        f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE run = $1 AND outcome IS NULL", run
    )
    return None if row is None else whole(transaction, "attempts", [row], attempt_from)[0]


async def attempts_of(transaction: Transaction, run: RunId) -> tuple[Attempt, ...]:
    found = await transaction.rows(f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE run = $1 ORDER BY seq", run)
    return tuple(whole(transaction, "attempts", found, attempt_from))


async def insert_runs(transaction: Transaction, runs: list[Run]) -> None:
    if runs:
        await transaction.run_for_each(_INSERT, [run_row(run) for run in runs])
        transaction.topics.add(Topic.RUNS)


async def join_runs(transaction: Transaction, joins: list[tuple[RunId, EpisodeId]]) -> None:
    now = transaction.micros
    await transaction.run_for_each(_JOIN, [(run, episode, now) for run, episode in joins])


async def keep_quarantine(transaction: Transaction, held: Quarantine) -> None:
    await transaction.run(_KEEP_QUARANTINE, *quarantine_row(held))


async def write_change(transaction: Transaction, change: RunChange) -> None:
    """Write a run's move and all that belongs to it; a run that has ended needs its lease no more."""
    run = change.run
    await transaction.run(_UPDATE, *movable(run), run.id)
    if change.attempt is not None:
        await transaction.run(_KEEP_ATTEMPT, *attempt_row(change.attempt))
        await transaction.run(_KEEP_STEP, *step_row(run, change.attempt))
    if change.quarantine is not None:
        await keep_quarantine(transaction, change.quarantine)
    if change.approval is not None:
        await keep_approval(transaction, change.approval)
    if run.state.is_final:
        await end_leases(transaction, run.id)
    transaction.append_events(change.events)
    await post(transaction, change.envelopes)
    if is_stopped(run):
        await brakes.stop_run(transaction, run)
    transaction.topics.add(Topic.RUNS)
