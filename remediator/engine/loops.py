"""Loops that outlive their errors: one bad row, or a ledger that is gone for a minute, stops none of them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import timedelta

import structlog

from remediator.core.ports.store import Store, StoreError, Topic
from remediator.telemetry import Metrics

_log = structlog.get_logger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class Loop(ABC):
    """Work that comes piece by piece: :meth:`work` until there is none, then :meth:`rest`.

    Unless :meth:`rest` says otherwise, work comes from the ledger, and ``topic`` is what tells of it.
    """

    name: str
    topic: Topic
    idle = timedelta(seconds=1)

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self.store = store
        self.metrics = metrics

    @abstractmethod
    async def work(self) -> bool:
        """Do one piece; true if there may be more at once."""

    async def rest(self) -> None:
        """Wait until there may be work again."""
        await self.store.wait(self.topic, self.idle)

    async def close(self) -> None:  # noqa: B027 - most loops leave nothing running
        """End what :meth:`work` left running; called once :meth:`run` has been cancelled."""

    async def run(self) -> None:
        """Work until cancelled; an error is logged and slows the loop down, and never ends it."""
        pause = _FIRST_PAUSE
        while True:
            try:
                if not await self.work():
                    await self.rest()
                pause = _FIRST_PAUSE
            except StoreError as error:
                self.metrics.store_failed()
                _log.error("ledger unavailable", loop=self.name, error=str(error), retry_in=pause)
            except Exception:  # noqa: BLE001 - one bad row never stops a loop
                _log.exception("loop failed", loop=self.name, retry_in=pause)
            else:
                await asyncio.sleep(0)
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
