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
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.transaction import Transaction

_WISH = f"INSERT INTO inquiries ({INSERTED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 0) {WISH_AGAIN}"
_DUE = f"SELECT {COLUMNS} FROM inquiries WHERE due_at <= ? ORDER BY due_at LIMIT ?"
_ASK_LATER = "UPDATE inquiries SET due_at = ? WHERE source = ? AND key = ?"
_ASKED_IN_VAIN = "UPDATE inquiries SET due_at = ?, tries = tries + 1 WHERE source = ? AND key = ?"
_END = "DELETE FROM inquiries WHERE source = ? AND key = ? AND wishes = ? AND wanted_at = ?"
_WISHED_ANEW = "UPDATE inquiries SET made_at = wanted_at, due_at = ?, tries = 0 WHERE source = ? AND key = ?"


def wish(
    transaction: Transaction, webhooks: Mapping[int, tuple[str, int]], intakes: Iterable[Intake]
) -> None:
    """Have it asked what these webhooks left out."""
    rows = wish_rows(webhooks, intakes, transaction.micros)
    if rows:
        transaction.sql.executemany(_WISH, rows)
        transaction.topics.add(Topic.INQUIRIES)


def due_inquiries(transaction: Transaction, limit: int, claim: timedelta) -> list[Inquiry]:
    rows = transaction.sql.execute(_DUE, (transaction.micros, limit))
    due = readable(transaction, "inquiries", rows, inquiry_from)
    until = micros(transaction.now + claim)
    transaction.sql.executemany(_ASK_LATER, [(until, *_place(each)) for each in due])
    return due


def settle(
    transaction: Transaction, inquiry: Inquiry, again: timedelta | None, events: Sequence[Event]
) -> None:
    append_events(transaction, events)
    if again is not None:
        later = micros(transaction.now + again)
        transaction.sql.execute(_ASKED_IN_VAIN, (later, *_place(inquiry)))
        return
    version = (inquiry.wishes, micros(inquiry.wanted_at))
    if not transaction.sql.execute(_END, (*_place(inquiry), *version)).rowcount:
        transaction.sql.execute(_WISHED_ANEW, (transaction.micros, *_place(inquiry)))
        transaction.topics.add(Topic.INQUIRIES)


def _place(inquiry: Inquiry) -> tuple[str, str]:
    return inquiry.source, key_of(inquiry.left_out)
