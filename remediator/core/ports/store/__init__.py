"""The Store port: the ledger, with the obligations that every backend keeps.

Obligations that hold for every method:

- **Atomic and durable.** A method's writes, events and envelopes are committed together before it
  returns; if it raises, none of them are.
- **The store's clock.** ``now`` in every callback, all expiry and all windows are the store's own time,
  which never runs backwards. Callers never pass a time to be compared with it.
- **Pure callbacks.** Callbacks read nothing but their arguments and may be called more than once, so a
  backend is free to retry a transaction.
- **Failure.** When the ledger can't be reached or written, :class:`StoreUnavailableError` is raised. The
  caller then does not know whether the write was made, and asks again before it acts.
- **Several replicas.** Methods that hand out work (``undecided``, ``due_envelopes``, ``due_inquiries``)
  never hand the same piece to two callers before ``claim`` is over; work whose claim ran out is handed out
  again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import BinaryIO, Protocol

from remediator.core.events import Event
from remediator.core.ports.store.basics import (
    Ask,
    Attend,
    Fold,
    Judge,
    NotCopiedError,
    Reckon,
    Review,
    Settle,
    StoreError,
    StoreUnavailableError,
    Topic,
    UnreadableRowError,
)
from remediator.core.ports.store.controls import Controls
from remediator.core.ports.store.inbox import Inbox
from remediator.core.ports.store.runs import Runs
from remediator.core.ports.store.telling import Outbox, Pages
from remediator.core.ports.store.views import Views
from remediator.core.retention import Pruned, Shelf

__all__ = [
    "Ask",
    "Attend",
    "Controls",
    "Fold",
    "Inbox",
    "Judge",
    "NotCopiedError",
    "Outbox",
    "Pages",
    "Reckon",
    "Review",
    "Runs",
    "Settle",
    "Store",
    "StoreError",
    "StoreUnavailableError",
    "Topic",
    "UnreadableRowError",
    "Views",
]


class Store(Inbox, Runs, Controls, Outbox, Pages, Views, Protocol):
    """The whole ledger."""

    async def open(self) -> None:
        """Connect and bring the schema up to date; a ledger of a newer version is refused.

        One that turns out to have been put back from a copy is paused before anything is handed out of it: in
        one transaction everything is paused as ``remediator``, leases are ended, and tokens go on above all
        that may have been given since.
        """
        ...

    async def close(self) -> None: ...

    async def now(self) -> datetime:
        """The store's time."""
        ...

    async def check(self) -> None:
        """Prove that a write would be durable now.

        Raises:
            StoreUnavailableError: it would not.
        """
        ...

    def copy(self) -> AbstractAsyncContextManager[BinaryIO]:
        """A consistent copy of the ledger as it is now, made while it goes on, to be read from.

        It is gone once left. A daemon that is started on it knows that it is a copy.

        Raises:
            NotCopiedError: this ledger is copied by other means.
        """
        ...

    async def record(self, events: Sequence[Event]) -> None: ...

    async def prune(self, shelf: Shelf, age: timedelta, after: int, limit: int) -> Pruned:
        """Drop rows older than ``age`` that nothing needs, of the ``limit`` next ones on the shelf.

        ``after`` is 0 at first, then what the look before gave. Never dropped is what an unfinished run, a
        quarantine, an open episode or page, a pause in force or an unsent envelope still refers to.
        """
        ...

    async def take_turn(self, what: str, length: timedelta) -> bool:
        """Whether it is the caller's turn; if so, it is nobody's again before ``length`` is over."""
        ...

    async def wait(self, topic: Topic, timeout: timedelta) -> None:
        """Return when work of this topic may have come, or after ``timeout``; may return early."""
        ...
