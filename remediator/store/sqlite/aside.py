"""Sets aside rows that can't be read, so that they hold up nothing."""

from __future__ import annotations

from collections.abc import Iterable

from remediator.core.changes import Unreadable
from remediator.store.common.unread import ASIDE, set_aside
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.transaction import Transaction


def put_aside(transaction: Transaction, rows: Iterable[Unreadable]) -> None:
    """Each with its event; what a newer version may have written is left to that."""
    for row in rows:
        if not row.newer:
            named = {"now": transaction.micros, "why": row.why, "id": int(row.id)}
            transaction.sql.execute(ASIDE[row.table], named)
            append_events(transaction, [set_aside(row)])
