"""Pages: opened, widened and ended in the transaction that posts the envelopes which say so."""

from __future__ import annotations

from dataclasses import replace

from remediator.core.ids import PageId
from remediator.core.notices import Envelope, Signal
from remediator.core.paging import Page, opened
from remediator.store.common.codecs import Row
from remediator.store.common.pages import (
    CHANGED,
    COLUMNS,
    INSERTED,
    changed_row,
    ended_by,
    inserted_row,
    opening,
    page_from,
    told_also,
)
from remediator.store.common.unread import readable, sift
from remediator.store.postgres.aside import put_aside
from remediator.store.postgres.transaction import Transaction, places

_OPEN = f"SELECT {COLUMNS} FROM pages p WHERE p.over_at IS NULL ORDER BY p.id"
_OF_THREAD = f"SELECT {COLUMNS} FROM pages p WHERE p.over_at IS NULL AND p.thread = $1 FOR NO KEY UPDATE"
_INSERT = (
    f"INSERT INTO pages ({INSERTED}) VALUES ({places(11)})"
    " ON CONFLICT (thread) WHERE over_at IS NULL DO NOTHING RETURNING id"
)
_UPDATE = (
    f"UPDATE pages SET {', '.join(f'{name} = ${n}' for n, name in enumerate(CHANGED, start=1))}"
    f" WHERE id = ${len(CHANGED) + 1}"
)
_ABOUT = "INSERT INTO page_episodes (page, episode) VALUES ($1, $2) ON CONFLICT DO NOTHING"


async def keep(transaction: Transaction, envelope: Envelope) -> None:
    """Open, widen or end the page of an envelope's thread, if that is what the envelope does."""
    if envelope.call is not None:
        page = await _opened(transaction, envelope)
        if envelope.call.episode is not None:
            await transaction.run(_ABOUT, page, envelope.call.episode)
    elif envelope.signal is Signal.RESOLVE:
        await _end(transaction, envelope)


async def _opened(transaction: Transaction, envelope: Envelope) -> PageId:
    """The thread's open page, told in the envelope's channel too; who opens it meanwhile is waited for."""
    new = opened(PageId(0), envelope, transaction.now)
    while True:
        page = await _of_thread(transaction, envelope.thread)
        if page is not None:
            await write(transaction, told_also(page, [envelope.channel]))
            return page.id
        id_ = await transaction.value(_INSERT, *inserted_row(new))
        if id_ is not None:
            transaction.append_events([opening(replace(new, id=PageId(id_)))])
            return PageId(id_)


async def _end(transaction: Transaction, envelope: Envelope) -> None:
    page = await _of_thread(transaction, envelope.thread)
    if page is not None:
        ended, event = ended_by(page, envelope, transaction.now)
        await write(transaction, ended)
        transaction.append_events([event])


async def _of_thread(transaction: Transaction, thread: str) -> Page | None:
    row = await transaction.row(_OF_THREAD, thread)
    return None if row is None else await read_page(transaction, row)


async def read_page(transaction: Transaction, row: Row) -> Page | None:
    """The page, unless it can't be read: then it is over, and makes way for another."""
    pages, unreadable = sift(transaction, "pages", [row], page_from)
    await put_aside(transaction, unreadable)
    return pages[0] if pages else None


async def write(transaction: Transaction, page: Page) -> None:
    await transaction.run(_UPDATE, *changed_row(page), page.id)


async def open_pages(transaction: Transaction) -> tuple[Page, ...]:
    return tuple(readable(transaction, "pages", await transaction.rows(_OPEN), page_from))
