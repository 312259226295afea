"""Attending to pages: those that are due, each as it is now, and what is written about it."""

from __future__ import annotations

from remediator.core.ids import PageId
from remediator.core.ports.store import Attend
from remediator.store.common.pages import COLUMNS, SETTLED, VIEWED, told_also, view_from
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.outbox import post
from remediator.store.sqlite.pages import read_page, write
from remediator.store.sqlite.transaction import Transaction

_BY_ID = f"SELECT {COLUMNS}, {VIEWED} FROM pages p WHERE p.over_at IS NULL AND p.id = ?"
_DUE = (
    f"SELECT p.id FROM pages p WHERE p.over_at IS NULL AND (p.next_at <= ? OR {SETTLED})"
    " ORDER BY p.id LIMIT ?"
)


def attend_pages(transaction: Transaction, judge: Attend, limit: int) -> int:
    due = transaction.sql.execute(_DUE, (transaction.micros, limit)).fetchall()
    return sum(attend_page(transaction, page, judge) for (page,) in due)


def attend_page(transaction: Transaction, page: PageId, judge: Attend) -> bool:
    row = transaction.sql.execute(_BY_ID, (page,)).fetchone()
    known = None if row is None else read_page(transaction, row[:-3])
    if row is None or known is None:
        return False
    change = judge(known, view_from(row[-3:], transaction.now))
    if change is not None:
        write(transaction, told_also(change.page, [each.channel for each in change.envelopes]))
        append_events(transaction, change.events)
        post(transaction, change.envelopes)
    return True
