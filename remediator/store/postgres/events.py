"""Events, as they are read; :meth:`Transaction.append_events` writes them."""

from __future__ import annotations

from remediator.core.events import Event
from remediator.core.ids import RunId
from remediator.store.common.events import COLUMNS, event_from, of_run
from remediator.store.common.unread import readable
from remediator.store.postgres.transaction import Transaction

_OF_RUN = of_run("$1")


async def events_after(transaction: Transaction, after: int, limit: int) -> list[Event]:
    found = await transaction.rows(
        f"SELECT {COLUMNS} FROM events WHERE id > $1 ORDER BY id LIMIT $2", after, limit
    )
    return readable(transaction, "events", found, event_from)


async def events_of_run(transaction: Transaction, run: RunId) -> tuple[Event, ...]:
    return tuple(readable(transaction, "events", await transaction.rows(_OF_RUN, run), event_from))
