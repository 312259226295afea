"""Watch: keeps the gauges and the rulebook in step with the ledger."""

from __future__ import annotations

from datetime import timedelta

import structlog

from remediator.core.ports.channels import RulebookError
from remediator.core.ports.store import StoreError, Topic
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts

_log = structlog.get_logger(__name__)


class WatchLoop(Loop):
    """Follows the ledger, whoever changes it: a rulebook as soon as another replica puts it in force."""

    name = "watch"
    topic = Topic.RULEBOOK
    idle = timedelta(seconds=5)

    def __init__(self, parts: EngineParts) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts

    async def work(self) -> bool:
        try:
            await self._follow()
            await self._measure()
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
        await self.store.check()
        self.metrics.store_up(True)
        self.metrics.backlog(await self.store.backlog(), await self.store.now())
        self.metrics.pauses(len(await self.store.pauses()))
        rulebooks = self._parts.rulebooks
        book = rulebooks.active.rulebook
        self.metrics.rulebook(book.hash, len(book.rules), drift=bool(rulebooks.complaint()))
