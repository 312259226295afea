"""What people are asked about runs, and their answers."""

from __future__ import annotations

from remediator.core.approvals import Approval
from remediator.core.changes import Asking
from remediator.core.ids import RunId
from remediator.core.runs import RunState
from remediator.store.common.approvals import COLUMNS, approval_from, approval_row
from remediator.store.common.runs import COLUMNS as RUN_COLUMNS
from remediator.store.common.runs import run_from
from remediator.store.common.unread import readable, whole
from remediator.store.sqlite.transaction import Transaction

_KEEP = (
    f"INSERT INTO approvals ({COLUMNS}) VALUES ({', '.join('?' * 13)})"
    " ON CONFLICT (run, number) DO UPDATE SET settled = excluded.settled, settled_at = excluded.settled_at,"
    " who = excluded.who, why = excluded.why, how = excluded.how"
)
_OF_RUN = f"SELECT {COLUMNS} FROM approvals WHERE run = ? ORDER BY number"
_LATEST = f"SELECT {COLUMNS} FROM approvals WHERE run = ? ORDER BY number DESC LIMIT 1"
_ASKING = (
    f"SELECT {RUN_COLUMNS} FROM runs r WHERE r.final = 0 AND r.state = '{RunState.ASKING.value}'"
    " ORDER BY r.deadline_at, r.seq"
)


def keep_approval(transaction: Transaction, approval: Approval) -> None:
    """Write a new request, or the end of one."""
    transaction.sql.execute(_KEEP, approval_row(approval))


def approvals_of(transaction: Transaction, run: RunId) -> tuple[Approval, ...]:
    return tuple(whole(transaction, "approvals", transaction.sql.execute(_OF_RUN, (run,)), approval_from))


def latest_approval(transaction: Transaction, run: RunId) -> Approval | None:
    row = transaction.sql.execute(_LATEST, (run,)).fetchone()
    return None if row is None else approval_from(row)


def asking(transaction: Transaction) -> list[Asking]:
    sql = transaction.sql
    runs = readable(transaction, "runs", sql.execute(_ASKING), run_from)
    rows = [row for run in runs if (row := sql.execute(_LATEST, (run.id,)).fetchone()) is not None]
    latest = {each.run: each for each in readable(transaction, "approvals", rows, approval_from)}
    return [Asking(run, latest[run.id]) for run in runs if run.id in latest]
