"""Attending to pages: those that are due, each as it is now, and what is written about it."""

from __future__ import annotations

from remediator.core.ids import PageId
from remediator.core.ports.store import Attend
from remediator.store.common.pages import COLUMNS, SETTLED, VIEWED, told_also, view_from
from remediator.store.postgres.outbox import post
from remediator.store.postgres.pages import read_page, write
from remediator.store.postgres.transaction import Transaction

_STILL_DUE = f"p.over_at IS NULL AND (p.next_at <= $1 OR {SETTLED})"
_DUE = f"SELECT EXISTS (SELECT 1 FROM pages p WHERE {_STILL_DUE})"
_TAKE = (
    f"SELECT p.id FROM pages p WHERE {_STILL_DUE} ORDER BY p.id LIMIT $2 FOR NO KEY UPDATE OF p SKIP LOCKED"
)
_LOCK = "SELECT p.id FROM pages p WHERE p.over_at IS NULL AND p.id = $1 FOR NO KEY UPDATE"
_BY_ID = f"SELECT {COLUMNS}, {VIEWED} FROM pages p WHERE p.over_at IS NULL AND p.id = $1"


async def any_due(transaction: Transaction) -> bool:
    """Whether attending would find anything: asked by every replica every second, so it writes nothing."""
    return bool(await transaction.value(_DUE, transaction.micros))


async def attend_pages(transaction: Transaction, judge: Attend, limit: int) -> int:
    due = await transaction.rows(_TAKE, transaction.micros, limit)
    for (page,) in due:
        await _attend(transaction, page, judge)
    return len(due)


async def attend_page(transaction: Transaction, page: PageId, judge: Attend) -> bool:
    if await transaction.row(_LOCK, page) is None:
        return False
    await _attend(transaction, page, judge)
    return True


async def _attend(transaction: Transaction, page: PageId, judge: Attend) -> None:
    """Of a page that is locked, what the lock's wait may have changed is read anew."""
    row = await transaction.row(_BY_ID, page)
    known = None if row is None else await read_page(transaction, row[:-3])
    if row is None or known is None:
        return
    change = judge(known, view_from(row[-3:], transaction.now))
    if change is not None:
        await write(transaction, told_also(change.page, [each.channel for each in change.envelopes]))
        transaction.append_events(change.events)
        await post(transaction, change.envelopes)
