"""Inquiries in their table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from remediator.core.changes import Intake
from remediator.core.events import Event
from remediator.core.inquiries import Inquiry
from remediator.core.ports.store import Topic
from remediator.store.common.codecs import micros
from remediator.store.common.inquiries import (
    COLUMNS,
    INSERTED,
    WISH_AGAIN,
    inquiry_from,
    key_of,
    wish_rows,
)
from remediator.store.common.unread import readable
from remediator.store.postgres.transaction import Transaction, places

_WISH = f"INSERT INTO inquiries ({INSERTED}) VALUES ({places(8)}, 1, 0) {WISH_AGAIN}"
_DUE = (
    f"SELECT {COLUMNS} FROM inquiries WHERE due_at <= $1 ORDER BY due_at LIMIT $2"
    " FOR NO KEY UPDATE SKIP LOCKED"
)
_ASK_LATER = "UPDATE inquiries SET due_at = $1 WHERE source = $2 AND key = $3"
_ASKED_IN_VAIN = "UPDATE inquiries SET due_at = $1, tries = tries + 1 WHERE source = $2 AND key = $3"
_END = "DELETE FROM inquiries WHERE source = $1 AND key = $2 AND wishes = $3 AND wanted_at = $4"
_WISHED_ANEW = (
    "UPDATE inquiries SET made_at = wanted_at, due_at = $1, tries = 0 WHERE source = $2 AND key = $3"
)


async def wish(
    transaction: Transaction, webhooks: Mapping[int, tuple[str, int]], intakes: Iterable[Intake]
) -> None:
    """Have it asked what these webhooks left out."""
    rows = wish_rows(webhooks, intakes, transaction.micros)
    if rows:
        await transaction.run_for_each(_WISH, rows)
        transaction.topics.add(Topic.INQUIRIES)


async def due_inquiries(transaction: Transaction, limit: int, claim: timedelta) -> list[Inquiry]:
    rows = await transaction.rows(_DUE, transaction.micros, limit)
    due = readable(transaction, "inquiries", rows, inquiry_from)
    until = micros(transaction.now + claim)
    await transaction.run_for_each(_ASK_LATER, [(until, *_place(each)) for each in due])
    return due


async def settle(
    transaction: Transaction, inquiry: Inquiry, again: timedelta | None, events: Sequence[Event]
) -> None:
    transaction.append_events(events)
    if again is not None:
        later = micros(transaction.now + again)
        await transaction.run(_ASKED_IN_VAIN, later, *_place(inquiry))
        return
    version = (inquiry.wishes, micros(inquiry.wanted_at))
    if not await transaction.run(_END, *_place(inquiry), *version):
        await transaction.run(_WISHED_ANEW, transaction.micros, *_place(inquiry))
        transaction.topics.add(Topic.INQUIRIES)


def _place(inquiry: Inquiry) -> tuple[str, str]:
    return inquiry.source, key_of(inquiry.left_out)
