"""Watch: keeps the gauges and the rulebook in step with the ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import structlog

from remediator.core.ports.channels import RulebookError
from remediator.core.ports.store import StoreError, Topic
from remediator.engine.alarms import Alarms
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts

_log = structlog.get_logger(__name__)


class WatchLoop(Loop):
    """Follows the ledger, whoever changes it: a rulebook as soon as another replica puts it in force."""

    name = "watch"
    topic = Topic.RULEBOOK
    idle = timedelta(seconds=5)

    def __init__(self, parts: EngineParts, alarms: Alarms) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts
        self._alarms = alarms
        self._alarmed: frozenset[tuple[str, str]] = frozenset()

    async def work(self) -> bool:
        try:
            await self._follow()
            await self._measure()
            await self._tell_unreadable()
        except StoreError:
            self.metrics.store_up(False)
            raise
        return False

    async def _follow(self) -> None:
        """Take up the active rulebook; one that can't be used changes nothing, the gauges included."""
        try:
            await self._parts.rulebooks.refresh()
        except RulebookError as error:
            _log.error("the active rulebook can't be used, the one before stays", error=str(error))

    async def _measure(self) -> None:
        began = asyncio.get_running_loop().time()
        await self.store.check()
        self.metrics.store_wrote(asyncio.get_running_loop().time() - began)
        self.metrics.store_up(True)
        self.metrics.backlog(await self.store.backlog(), await self.store.now())
        self.metrics.pauses(len(await self.store.pauses()))
        rulebooks = self._parts.rulebooks
        book = rulebooks.active.rulebook
        drifts, refused = rulebooks.drift is not None, rulebooks.refused
        self.metrics.rulebook(book.hash, len(book.rules), drift=drifts, refused=refused)

    async def _tell_unreadable(self) -> None:
        """Count the rows that can't be read, and alarm once for each: they stop nothing, and say nothing."""
        rows = await self.store.unreadable()
        self.metrics.unreadable(Counter(row.table for row in rows))
        for row in rows:
            if (row.table, row.id) not in self._alarmed:
                self._alarms.alarm("row_unreadable", f"{row.id} in {row.table}: {row.why}")
        self._alarmed = frozenset((row.table, row.id) for row in rows)
