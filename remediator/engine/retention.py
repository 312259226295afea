"""Retention: drops what is old and needed by nothing, a little at a time, by one replica at a time."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from remediator.core.ports.store import StoreError, StoreUnavailableError, Topic
from remediator.core.retention import Retention, Shelf
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts

_log = structlog.get_logger(__name__)
#: From one round to the next: a quarter of the shortest time that anything is kept, within these.
_SHORTEST, _LONGEST = timedelta(milliseconds=200), timedelta(minutes=10)
#: Rows looked at in one transaction, since everybody else's call to the ledger waits for it; and the rest
#: after each (seconds), so that even the first round over a year's rows is nobody's burden.
_SLICE, _REST = 200, 0.02
_TURN = "retention"


class RetentionLoop(Loop):
    """Goes along all shelves in turn, a slice at a time."""

    name = "retention"
    topic = Topic.EVENTS

    def __init__(self, parts: EngineParts) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts

    async def work(self) -> bool:
        if await self.store.take_turn(_TURN, self._pace):
            over_at = asyncio.get_running_loop().time() + self._pace.total_seconds()
            for shelf in Shelf:
                await self._tidy_safely(shelf, over_at)
        return False

    async def rest(self) -> None:
        await asyncio.sleep(self._pace.total_seconds())

    async def _tidy_safely(self, shelf: Shelf, over_at: float) -> None:
        try:
            await self._tidy(shelf, over_at)
        except StoreUnavailableError:
            raise
        except StoreError as error:
            # What one shelf is refused must not fill the disk with what lies on the others.
            _log.error("old rows could not be dropped", shelf=shelf.value, error=str(error))
            self.metrics.store_failed()

    async def _tidy(self, shelf: Shelf, over_at: float) -> None:
        """Go along a shelf to its end, or until the turn is over: the next round begins anew."""
        after: int | None = 0
        rows, oldest = 0, None
        age = self._retention.of(shelf)
        while after is not None and asyncio.get_running_loop().time() < over_at:
            pruned = await self.store.prune(shelf, age, after, _SLICE)
            rows, oldest, after = rows + pruned.rows, _earlier(oldest, pruned.oldest), pruned.after
            await asyncio.sleep(_REST)
        self.metrics.pruned(shelf, rows, oldest, await self.store.now())
        if rows:
            _log.info("old rows dropped", shelf=shelf.value, rows=rows, older_than=str(age))

    @property
    def _retention(self) -> Retention:
        return self._parts.rulebooks.active.rulebook.retention

    @property
    def _pace(self) -> timedelta:
        kept = self._retention
        return min(max(min(kept.bodies, kept.events, kept.decisions) / 4, _SHORTEST), _LONGEST)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(filter(None, (one, other)), default=None)
