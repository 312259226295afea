"""Sets aside rows that can't be read, so that they hold up nothing."""

from __future__ import annotations

from collections.abc import Iterable

from remediator.core.changes import Unreadable
from remediator.store.common.unread import ASIDE, set_aside
from remediator.store.postgres.named import placed
from remediator.store.postgres.transaction import Transaction


async def put_aside(transaction: Transaction, rows: Iterable[Unreadable]) -> None:
    """Each with its event; what a newer version may have written is left to that."""
    for row in rows:
        if not row.newer:
            named = {"now": transaction.micros, "why": row.why, "id": int(row.id)}
            statement, values = placed(ASIDE[row.table], named)
            await transaction.run(statement, *values)
            transaction.append_events([set_aside(row)])
