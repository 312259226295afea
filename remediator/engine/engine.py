"""The engine: all loops of one replica, started together and stopped in order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import timedelta

import structlog

from remediator.core.notices import Lane
from remediator.core.ports.channels import Notifier, RulebookError
from remediator.core.ports.store import StoreError
from remediator.engine.alarms import Alarms
from remediator.engine.dispatcher import DispatcherLoop
from remediator.engine.intake import IntakeLoop
from remediator.engine.loops import Loop
from remediator.engine.outbox import OutboxLoop
from remediator.engine.parts import EngineParts
from remediator.engine.recovery import RecoveryLoop
from remediator.engine.runner import RunnerLoop

_log = structlog.get_logger(__name__)
_GAUGES_EVERY = 5.0


class Engine:
    """Intake, dispatcher, runner, recovery and outbox over one store."""

    def __init__(self, parts: EngineParts, notifiers: Mapping[str, Notifier], alarms: Alarms) -> None:
        self._parts = parts
        self._alarms = alarms
        self._runner = RunnerLoop(parts)
        self._loops: tuple[Loop, ...] = (
            IntakeLoop(parts.store, parts.metrics, alarms),
            DispatcherLoop(parts),
            self._runner,
            RecoveryLoop(parts),
            *(OutboxLoop(parts.store, parts.metrics, notifiers, alarms, lane) for lane in Lane),
        )
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every loop; none of them ends by itself."""
        for loop in self._loops:
            self._spawn(loop.run(), loop.name)
        self._spawn(self._alarms.run(), "alarms")
        self._spawn(self._watch(), "watch")

    async def stop(self, grace: timedelta) -> None:
        """Let runs finish or park within ``grace``, then end everything else."""
        await self._runner.stop(grace)
        await self._alarms.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for loop in self._loops:
            await loop.close()

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_report_death)
        self._tasks.append(task)

    async def _watch(self) -> None:
        """Keep the gauges and the rulebook in step with the ledger."""
        while True:
            try:
                await self._parts.rulebooks.refresh()
                backlog = await self._parts.store.backlog()
                self._parts.metrics.backlog(backlog, await self._parts.store.now())
                self._parts.metrics.pauses(len(await self._parts.store.pauses()))
                book = self._parts.rulebooks.active.rulebook
                self._parts.metrics.rulebook(book.hash, len(book.rules))
                await self._parts.store.check()
                self._parts.metrics.store_up(True)
            except (StoreError, RulebookError) as error:
                self._parts.metrics.store_up(not isinstance(error, StoreError))
                _log.error("can't follow the ledger", error=str(error))
            await asyncio.sleep(_GAUGES_EVERY)


def _report_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.critical("a loop of the engine died", loop=task.get_name(), exc_info=task.exception())
