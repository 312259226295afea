"""The engine: all loops of one replica, started together and stopped in order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import timedelta

import structlog

from remediator.core.notices import Lane
from remediator.core.ports.channels import Notifier
from remediator.engine.alarms import Alarms
from remediator.engine.brake import BrakeLoop
from remediator.engine.dispatcher import DispatcherLoop, LateLoop
from remediator.engine.inquiries import InquiryLoop
from remediator.engine.intake import IntakeLoop
from remediator.engine.lifeline import Lifeline, LifelineLoop
from remediator.engine.loops import Loop
from remediator.engine.outbox import OutboxLoop
from remediator.engine.pages import PagesLoop
from remediator.engine.parts import EngineParts
from remediator.engine.pauses import PausesLoop
from remediator.engine.quiet import QuietLoop
from remediator.engine.recovery import RecoveryLoop
from remediator.engine.restored import RestoredLoop
from remediator.engine.retention import RetentionLoop
from remediator.engine.rule_files import RuleFilesLoop
from remediator.engine.runner import RunnerLoop
from remediator.engine.watch import WatchLoop
from remediator.engine.watchdog import WatchdogLoop

_log = structlog.get_logger(__name__)
#: What decides and acts.
_DECIDING = (IntakeLoop, QuietLoop, DispatcherLoop, LateLoop, RunnerLoop, RecoveryLoop, BrakeLoop)


class Engine:
    """Intake, dispatcher, runner, recovery and outbox over one store.

    Without a ``lifeline`` nobody hears of a ledger that is gone: only where it can't be. Without ``telling``
    it decides and acts, and does nothing else: where nobody listens, and the ledger is soon gone.
    """

    def __init__(
        self,
        parts: EngineParts,
        notifiers: Mapping[str, Notifier],
        alarms: Alarms,
        lifeline: Lifeline | None,
        *,
        telling: bool = True,
    ) -> None:
        self._runner = RunnerLoop(parts)
        dispatcher = DispatcherLoop(parts, alarms)
        loops: tuple[Loop, ...] = (
            IntakeLoop(parts, alarms),
            InquiryLoop(parts, alarms),
            QuietLoop(parts),
            WatchdogLoop(parts, alarms),
            dispatcher,
            LateLoop(dispatcher),
            self._runner,
            RecoveryLoop(parts),
            BrakeLoop(parts),
            RestoredLoop(parts),
            PausesLoop(parts),
            *(OutboxLoop(parts.store, parts.metrics, notifiers, alarms, lane, parts.claim) for lane in Lane),
            PagesLoop(parts.store, parts.metrics),
            WatchLoop(parts, alarms),
            *([RuleFilesLoop(parts, parts.rule_watch)] if parts.rule_watch is not None else ()),
            RetentionLoop(parts),
            *([] if lifeline is None else [LifelineLoop(parts.store, parts.metrics, lifeline)]),
            alarms,
        )
        self._loops = tuple(loop for loop in loops if telling or isinstance(loop, _DECIDING))
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every loop; none of them ends by itself."""
        for loop in self._loops:
            self._spawn(loop.run(), loop.name)

    async def stop(self, grace: timedelta) -> None:
        """Let runs finish or park within ``grace``, then end everything else."""
        await self._runner.stop(grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for loop in self._loops:
            await loop.close()

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_report_death)
        self._tasks.append(task)


def _report_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.critical("a loop of the engine died", loop=task.get_name(), exc_info=task.exception())
