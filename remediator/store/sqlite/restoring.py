"""Notices that the file is an older one, or a copy, and stops everything until a person resumes it."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.core.changes import Restoration
from remediator.core.notices import Envelope
from remediator.core.ports.store import Topic
from remediator.store.common.codecs import moment
from remediator.store.common.restoring import (
    RESTORATION_COLUMNS,
    TOLD,
    TOLD_OF_END,
    pause_for,
    restoration_from,
    restored,
    token_floor,
)
from remediator.store.sqlite import controls
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.outbox import post
from remediator.store.sqlite.transaction import Transaction

#: In a copy's ``meta``: when it was made, as the ledger's time.
COPY = "copy"
_META = "SELECT value FROM meta WHERE key = ?"
_OPEN = f"SELECT {RESTORATION_COLUMNS} FROM pauses WHERE restored = 1 AND told IS NOT ? ORDER BY id"
_TELL = "UPDATE pauses SET told = ?1 WHERE id = ?2 AND restored = 1 AND coalesce(told, 1) <> ?1"


def look(transaction: Transaction, seen: int | None) -> None:
    """Compare the ledger with what was ``seen`` of it, and with what a copy says of itself."""
    how = _how(transaction, seen)
    if how is not None:
        _stop(transaction, how)


def _how(transaction: Transaction, seen: int | None) -> str | None:
    copied = transaction.sql.execute(_META, (COPY,)).fetchone()
    if copied is not None:
        return f"it is a copy of {moment(copied[0]):%Y-%m-%d %H:%M:%S} UTC"
    known = transaction.sql.execute(_META, ("time",)).fetchone()
    if seen is None or (known is not None and known[0] >= seen):
        return None
    if known is None:
        return f"it holds nothing, and went on until {moment(seen):%Y-%m-%d %H:%M:%S} UTC"
    return f"it ends at {moment(known[0]):%Y-%m-%d %H:%M:%S} UTC, and went on until {moment(seen):%H:%M:%S}"


def _stop(transaction: Transaction, how: str) -> None:
    sql = transaction.sql
    last = sql.execute("SELECT last FROM token_sequence").fetchone()[0]
    floor = token_floor(last, transaction.now)
    sql.execute("UPDATE token_sequence SET last = ?", (floor,))
    sql.execute("DELETE FROM leases")
    sql.execute("DELETE FROM meta WHERE key = ?", (COPY,))
    wanted = pause_for(how, transaction.now)
    made = controls.pause(transaction, wanted.scope, wanted.value, wanted.why, wanted.who, None, "")
    sql.execute("UPDATE pauses SET restored = 1 WHERE id = ?", (made.id,))
    append_events(transaction, [restored(how, floor, transaction.now)])


def restorations(transaction: Transaction) -> list[Restoration]:
    return [restoration_from(row) for row in transaction.sql.execute(_OPEN, (TOLD_OF_END,))]


def tell(transaction: Transaction, restoration: Restoration, envelopes: Sequence[Envelope]) -> bool:
    told = TOLD if restoration.release is None else TOLD_OF_END
    if not transaction.sql.execute(_TELL, (told, restoration.pause)).rowcount:
        return False
    post(transaction, envelopes)
    transaction.topics.add(Topic.BRAKE)
    return True
