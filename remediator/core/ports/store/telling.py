"""What is told to people: notices on their way, and pages until they are over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from remediator.core.changes import (
    OutboxItem,
)
from remediator.core.events import Event
from remediator.core.ids import PageId
from remediator.core.notices import Envelope, Lane
from remediator.core.paging import Page
from remediator.core.ports.store.basics import (
    Attend,
)


class Outbox(Protocol):
    """Envelopes on their way to people: at least once, in order per (channel, thread)."""

    async def post(self, envelopes: Sequence[Envelope], events: Sequence[Event] = ()) -> None:
        """Put envelopes (and events that belong to them) into the ledger."""
        ...

    async def due_envelopes(self, lane: Lane, limit: int, claim: timedelta) -> list[OutboxItem]:
        """The first unsent envelope of each (channel, thread) of the lane, if its time has come."""
        ...

    async def hold(self, item: OutboxItem, claim: timedelta) -> bool:
        """Keep what this replica was handed from others for ``claim`` more; false if it is not its own."""
        ...

    async def sent(self, item: OutboxItem, ref: str) -> None:
        """Mark as delivered.

        The thread's first ref becomes its head, and ``ref`` what the envelope's key was last delivered
        as. An envelope that was replaced while it was on its way stays due, in its new form.
        """
        ...

    async def delay(self, item: OutboxItem, wait: timedelta, error: str) -> None:
        """Try again after ``wait``; those behind it in its thread wait too."""
        ...

    async def park(self, item: OutboxItem, error: str) -> None:
        """Give one up for good, with an event; those behind it go on."""
        ...


class Pages(Protocol):
    """Pages: an envelope with a ``call`` opens one for its thread, unless one is open.

    Of further such envelopes an open page takes the channels and episodes; one that says ``RESOLVE`` ends it.
    """

    async def attend_pages(self, attend: Attend, limit: int) -> int:
        """Hand open pages that are due to ``attend``, oldest first, and write what it says; gives how many.

        A page is due when what is around it says that it is over, or when its next call's time has come. Two
        replicas never attend to one page at once, and what the first wrote is what the second sees.
        """
        ...

    async def attend_page(self, page: PageId, attend: Attend) -> bool:
        """Hand one page to ``attend``, due or not; ``False`` if it is not open."""
        ...

    async def open_pages(self) -> tuple[Page, ...]:
        """The pages that are not over, oldest first."""
        ...
