"""Pages: opened, widened and ended in the transaction that posts the envelopes which say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from remediator.store.postgres.aside import put_aside
from remediator.store.postgres.transaction import Transaction, places

_OPEN = f"SELECT {COLUMNS} FROM pages p WHERE p.over_at IS NULL ORDER BY p.id"
_OF_THREADS = (
    f"SELECT {COLUMNS} FROM pages p WHERE p.over_at IS NULL AND p.thread = ANY($1::text[])"
    " ORDER BY p.id FOR NO KEY UPDATE"
)
_INSERT = (
    f"INSERT INTO pages ({INSERTED}) VALUES ({places(11)})"
    " ON CONFLICT (thread) WHERE over_at IS NULL DO NOTHING RETURNING id, thread"
)
_UPDATE = (
    f"UPDATE pages SET {', '.join(f'{name} = ${n}' for n, name in enumerate(CHANGED, start=1))}"
    f" WHERE id = ${len(CHANGED) + 1}"
)
_ABOUT = "INSERT INTO page_episodes (page, episode) VALUES ($1, $2) ON CONFLICT DO NOTHING"


async def keep(transaction: Transaction, envelopes: Iterable[Envelope]) -> None:
    """Open, widen or end the pages of the envelopes' threads, in their order, if that is what they do."""
    calls: dict[str, list[Envelope]] = {}
    for each in envelopes:
        if each.call is not None:
            calls.setdefault(each.thread, []).append(each)
        elif each.signal is Signal.RESOLVE:
            await _call(transaction, calls)
            calls.clear()
            await _end(transaction, each)
    await _call(transaction, calls)


async def _call(transaction: Transaction, calls: Mapping[str, Sequence[Envelope]]) -> None:
    """Have a page for each thread, told in the channels of all its envelopes, in a few exchanges for all."""
    ids: dict[str, PageId] = {}
    while ids.keys() != calls.keys():
        ids |= await _widened(transaction, _without(calls, ids))
        # Who opens one of these meanwhile is waited for, and its page is widened in the next round.
        ids |= await _opened(transaction, _without(calls, ids))
    about = [
        (ids[each.thread], each.call.episode)
        for envelopes in calls.values()
        for each in envelopes
        if each.call is not None and each.call.episode is not None
    ]
    await transaction.run_for_each(_ABOUT, about)


async def _widened(transaction: Transaction, calls: Mapping[str, Sequence[Envelope]]) -> dict[str, PageId]:
    """The open pages of these threads, now told in their envelopes' channels too.

    Those of a newer version are left as they are.
    """
    rows = await transaction.rows(_OF_THREADS, list(calls))
    pages, unreadable = await _sifted(transaction, rows)
    changed = [_changed(_told(page, calls[page.thread])) for page in pages]
    await transaction.run_for_each(_UPDATE, changed)
    over = {each.id for each in unreadable if not each.newer}
    return {thread: PageId(id_) for id_, thread, *_ in rows if str(id_) not in over}


async def _opened(transaction: Transaction, calls: Mapping[str, Sequence[Envelope]]) -> dict[str, PageId]:
    """New pages for these threads, but for those whose page somebody else opened meanwhile."""
    new = {
        thread: _told(opened(PageId(0), envelopes[0], transaction.now), envelopes)
        for thread, envelopes in calls.items()
    }
    made = await transaction.rows_for_each(_INSERT, [inserted_row(page) for page in new.values()])
    ids = {thread: PageId(id_) for id_, thread in made}
    transaction.append_events([opening(replace(new[thread], id=id_)) for thread, id_ in ids.items()])
    return ids


def _without(
    calls: Mapping[str, Sequence[Envelope]], ids: Mapping[str, PageId]
) -> dict[str, Sequence[Envelope]]:
    return {thread: envelopes for thread, envelopes in calls.items() if thread not in ids}


def _told(page: Page, envelopes: Iterable[Envelope]) -> Page:
    return told_also(page, [each.channel for each in envelopes])


async def _end(transaction: Transaction, envelope: Envelope) -> None:
    pages, _ = await _sifted(transaction, await transaction.rows(_OF_THREADS, [envelope.thread]))
    for page in pages:
        ended, event = ended_by(page, envelope, transaction.now)
        await write(transaction, ended)
        transaction.append_events([event])


async def read_page(transaction: Transaction, row: Row) -> Page | None:
    """The page, unless it can't be read: then it is over, and makes way for another."""
    pages, _ = await _sifted(transaction, [row])
    return pages[0] if pages else None


async def _sifted(transaction: Transaction, rows: list[Row]) -> tuple[list[Page], list[Unreadable]]:
    pages, unreadable = sift(transaction, "pages", rows, page_from)
    await put_aside(transaction, unreadable)
    return pages, unreadable


async def write(transaction: Transaction, page: Page) -> None:
    await transaction.run(_UPDATE, *_changed(page))


def _changed(page: Page) -> Row:
    return (*changed_row(page), page.id)


async def open_pages(transaction: Transaction) -> tuple[Page, ...]:
    return tuple(readable(transaction, "pages", await transaction.rows(_OPEN), page_from))
