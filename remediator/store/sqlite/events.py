"""Events: appended in the transaction of what they tell of, never changed."""

from __future__ import annotations

from collections.abc import Iterable

from remediator.core.events import Event
from remediator.core.ids import RunId
from remediator.core.ports.store import Topic
from remediator.store.common.events import COLUMNS, INSERTED, event_from, event_row, of_run
from remediator.store.common.unread import readable
from remediator.store.sqlite.transaction import Transaction

_OF_RUN = of_run("?1")
_APPEND = f"INSERT INTO events ({INSERTED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def append_events(transaction: Transaction, events: Iterable[Event]) -> None:
    rows = [event_row(event) for event in events]
    if rows:
        transaction.sql.executemany(_APPEND, rows)
        transaction.topics.add(Topic.EVENTS)


def events_after(transaction: Transaction, after: int, limit: int) -> list[Event]:
    found = transaction.sql.execute(
        f"SELECT {COLUMNS} FROM events WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
    )
    return readable(transaction, "events", found, event_from)


def events_of_run(transaction: Transaction, run: RunId) -> tuple[Event, ...]:
    return tuple(readable(transaction, "events", transaction.sql.execute(_OF_RUN, (run,)), event_from))
