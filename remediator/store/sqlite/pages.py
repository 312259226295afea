"""Pages: opened, widened and ended in the transaction that posts the envelopes which say so."""

from __future__ import annotations

from dataclasses import replace

from remediator.core.changes import Unreadable
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
from remediator.store.sqlite.aside import put_aside
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.transaction import Transaction

_OPEN = f"SELECT {COLUMNS} FROM pages p WHERE p.over_at IS NULL ORDER BY p.id"
_OF_THREAD = f"SELECT {COLUMNS} FROM pages p WHERE p.over_at IS NULL AND p.thread = ?"
_INSERT = f"INSERT INTO pages ({INSERTED}) VALUES ({', '.join('?' * 11)})"
_UPDATE = f"UPDATE pages SET {', '.join(f'{name} = ?' for name in CHANGED)} WHERE id = ?"
_ABOUT = "INSERT INTO page_episodes (page, episode) VALUES (?, ?) ON CONFLICT DO NOTHING"


def keep(transaction: Transaction, envelope: Envelope) -> None:
    """Open, widen or end the page of an envelope's thread, if that is what the envelope does."""
    if envelope.call is not None:
        page = _opened(transaction, envelope)
        if envelope.call.episode is not None:
            transaction.sql.execute(_ABOUT, (page, envelope.call.episode))
    elif envelope.signal is Signal.RESOLVE:
        _end(transaction, envelope)


def _opened(transaction: Transaction, envelope: Envelope) -> PageId:
    """The thread's open page, now told in the envelope's channel too; a newer version's stays as it is."""
    rows = transaction.sql.execute(_OF_THREAD, (envelope.thread,)).fetchall()
    pages, unreadable = _sifted(transaction, rows)
    for page in pages:
        write(transaction, told_also(page, [envelope.channel]))
        return page.id
    for each in unreadable:
        if each.newer:
            return PageId(int(each.id))
    new = opened(PageId(0), envelope, transaction.now)
    id_ = transaction.sql.execute(_INSERT, inserted_row(new)).lastrowid or 0
    append_events(transaction, [opening(replace(new, id=PageId(id_)))])
    return PageId(id_)


def _end(transaction: Transaction, envelope: Envelope) -> None:
    page = _of_thread(transaction, envelope.thread)
    if page is not None:
        ended, event = ended_by(page, envelope, transaction.now)
        write(transaction, ended)
        append_events(transaction, [event])


def _of_thread(transaction: Transaction, thread: str) -> Page | None:
    row = transaction.sql.execute(_OF_THREAD, (thread,)).fetchone()
    return None if row is None else read_page(transaction, row)


def read_page(transaction: Transaction, row: Row) -> Page | None:
    """The page, unless it can't be read: then it is over, and makes way for another."""
    pages, _ = _sifted(transaction, [row])
    return pages[0] if pages else None


def _sifted(transaction: Transaction, rows: list[Row]) -> tuple[list[Page], list[Unreadable]]:
    pages, unreadable = sift(transaction, "pages", rows, page_from)
    put_aside(transaction, unreadable)
    return pages, unreadable


def write(transaction: Transaction, page: Page) -> None:
    transaction.sql.execute(_UPDATE, (*changed_row(page), page.id))


def open_pages(transaction: Transaction) -> tuple[Page, ...]:
    return tuple(readable(transaction, "pages", transaction.sql.execute(_OPEN), page_from))
