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
from remediator.store.postgres.transaction import Transaction, places

_KEEP = (
    f"INSERT INTO approvals ({COLUMNS}) VALUES ({places(13)})"
    " ON CONFLICT (run, number) DO UPDATE SET settled = excluded.settled, settled_at = excluded.settled_at,"
    " who = excluded.who, why = excluded.why, how = excluded.how"
)
_OF_RUN = f"SELECT {COLUMNS} FROM approvals WHERE run = $1 ORDER BY number"
_LATEST = f"SELECT {COLUMNS} FROM approvals WHERE run = $1 ORDER BY number DESC LIMIT 1"
_ASKING = (
    f"SELECT {RUN_COLUMNS} FROM runs r WHERE NOT r.final AND r.state = '{RunState.ASKING.value}'"
    " ORDER BY r.deadline_at, r.seq"
)


async def keep_approval(transaction: Transaction, approval: Approval) -> None:
    """Write a new request, or the end of one."""
    await transaction.run(_KEEP, *approval_row(approval))


async def approvals_of(transaction: Transaction, run: RunId) -> tuple[Approval, ...]:
    return tuple(whole(transaction, "approvals", await transaction.rows(_OF_RUN, run), approval_from))


async def latest_approval(transaction: Transaction, run: RunId) -> Approval | None:
    row = await transaction.row(_LATEST, run)
    return None if row is None else approval_from(row)


async def asking(transaction: Transaction) -> list[Asking]:
    runs = readable(transaction, "runs", await transaction.rows(_ASKING), run_from)
    rows = [row for run in runs if (row := await transaction.row(_LATEST, run.id)) is not None]
    latest = {each.run: each for each in readable(transaction, "approvals", rows, approval_from)}
    return [Asking(run, latest[run.id]) for run in runs if run.id in latest]
