"""Ends runs that nobody could take to their end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from remediator.core.ids import AttemptId, RunId
from remediator.core.notices import Envelope
from remediator.core.ports.store import Topic
from remediator.core.reasons import Reason
from remediator.core.runs import Outcome
from remediator.store.common.abandoning import COLUMNS, judge
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.leases import end_leases
from remediator.store.sqlite.outbox import post
from remediator.store.sqlite.runs import keep_quarantine
from remediator.store.sqlite.transaction import Transaction

_ABANDONED = (
    f"SELECT {COLUMNS} FROM runs r WHERE r.id = ? AND r.final = 0 AND NOT EXISTS"
    " (SELECT 1 FROM leases l WHERE l.run = r.id AND l.expires_at > ?)"
)


def abandon(
    transaction: Transaction, run: RunId, overdue: timedelta, why: str, envelopes: Sequence[Envelope]
) -> bool:
    sql, now = transaction.sql, transaction.micros
    row = sql.execute(_ABANDONED, (run, now)).fetchone()
    doubt = sql.execute("SELECT id FROM attempts WHERE run = ? AND outcome IS NULL", (run,)).fetchone()
    attempt = None if doubt is None else AttemptId(doubt[0])
    end = None if row is None else judge(row, attempt, overdue, why, transaction.now)
    if end is None:
        return False
    sql.execute(
        "UPDATE runs SET state = ?, final = 1, ended_at = ?, reason = ?, detail = ? WHERE id = ?",
        (end.state.value, now, Reason.EXPIRED.value, why, run),
    )
    sql.execute(
        "UPDATE attempts SET outcome = ?, detail = ?, ended_at = ? WHERE run = ? AND outcome IS NULL",
        (Outcome.UNKNOWN.value, why, now, run),
    )
    if end.quarantine is not None:
        keep_quarantine(transaction, end.quarantine)
    end_leases(transaction, run)
    append_events(transaction, end.events)
    post(transaction, envelopes)
    transaction.topics.add(Topic.RUNS)
    return True
