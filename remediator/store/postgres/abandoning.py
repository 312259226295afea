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
from remediator.store.postgres.leases import end_leases
from remediator.store.postgres.outbox import post
from remediator.store.postgres.runs import keep_quarantine
from remediator.store.postgres.transaction import Transaction

# The row is locked until the commit, as by a move: whoever is about to move it comes first, or not at all.
_ABANDONED = (
    f"SELECT {COLUMNS} FROM runs r WHERE r.id = $1 AND NOT r.final AND NOT EXISTS"
    " (SELECT 1 FROM leases l WHERE l.run = r.id AND l.expires_at > $2) FOR NO KEY UPDATE"
)


async def abandon(
    transaction: Transaction, run: RunId, overdue: timedelta, why: str, envelopes: Sequence[Envelope]
) -> bool:
    """Needs ``Lock.GUARDS``, shared at least, as every end of a run does."""
    row = await transaction.row(_ABANDONED, run, transaction.micros)
    doubt = await transaction.value("SELECT id FROM attempts WHERE run = $1 AND outcome IS NULL", run)
    attempt = None if doubt is None else AttemptId(doubt)
    end = None if row is None else judge(row, attempt, overdue, why, transaction.now)
    if end is None:
        return False
    await transaction.run(
        "UPDATE runs SET state = $1, final = true, ended_at = $2, reason = $3, detail = $4 WHERE id = $5",
        end.state.value,
        transaction.micros,
        Reason.EXPIRED.value,
        why,
        run,
    )
    await transaction.run(
        "UPDATE attempts SET outcome = $1, detail = $2, ended_at = $3 WHERE run = $4 AND outcome IS NULL",
        Outcome.UNKNOWN.value,
        why,
        transaction.micros,
        run,
    )
    if end.quarantine is not None:
        await keep_quarantine(transaction, end.quarantine)
    await end_leases(transaction, run)
    transaction.append_events(end.events)
    await post(transaction, envelopes)
    transaction.topics.add(Topic.RUNS)
    return True
