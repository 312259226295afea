"""Alarms: what went wrong at the edges, counted and told once in a while instead of once each.

A flood of bad requests must fill neither the ledger nor a channel: of each kind the first is told at once,
and those after it at growing intervals, with how many there were.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from remediator.core.events import Event, EventKind
from remediator.core.notices import Envelope, Notice, NoticeKind, Tone
from remediator.core.ports.store import Store, StoreError, Topic
from remediator.engine.loops import Loop
from remediator.telemetry import Metrics

_log = structlog.get_logger(__name__)
#: Seconds between two tellings of one kind: at first, and at most. As long must it be quiet to begin anew.
_FLUSH_SECONDS = 2.0
_LONGEST_SECONDS = 600.0


@dataclass(slots=True)
class _Tally:
    """What is untold of one kind; ``due`` is when it may be told, in seconds of the event loop."""

    count: int = 0
    detail: str = ""
    pause: float = 0.0
    due: float = 0.0

    def told(self, count: int, now: float) -> None:
        """Take off what was told, and set the next time."""
        quiet = now - self.due >= _LONGEST_SECONDS
        self.pause = _FLUSH_SECONDS if quiet or not self.pause else min(self.pause * 2, _LONGEST_SECONDS)
        self.due = now + self.pause
        self.count -= count


class Alarms(Loop):
    """Collects alarms by kind and writes each kind's tally to the ledger and the outbox now and then."""

    name = "alarms"
    topic = Topic.EVENTS

    def __init__(self, store: Store, metrics: Metrics, channels: tuple[str, ...]) -> None:
        super().__init__(store, metrics)
        self._channels = channels
        self._tallies: dict[str, _Tally] = {}
        self._some = asyncio.Event()

    def alarm(self, kind: str, detail: str) -> None:
        """Note one alarm, such as ``("webhook_unauthorized", "from 10.0.0.7")``; returns at once."""
        tally = self._tallies.setdefault(kind, _Tally())
        tally.count += 1
        tally.detail = detail[:500]
        self._some.set()

    async def work(self) -> bool:
        self._some.clear()
        now = asyncio.get_running_loop().time()
        await self._write({kind: tally for kind, tally in self._untold().items() if tally.due <= now})
        return False

    async def rest(self) -> None:
        """Wait for an alarm, or for the time at which those that are held back may be told."""
        dues = [tally.due for tally in self._untold().values()]
        try:
            async with asyncio.timeout_at(min(dues) if dues else None):
                await self._some.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Write whatever is left; what the ledger does not take is logged."""
        try:
            await self._write(self._untold())
        except StoreError as error:
            untold = {kind: f"{tally.count}, {tally.detail}" for kind, tally in self._untold().items()}
            _log.error("alarms not written", error=str(error), alarms=untold)

    def _untold(self) -> dict[str, _Tally]:
        return {kind: tally for kind, tally in self._tallies.items() if tally.count}

    async def _write(self, tallies: dict[str, _Tally]) -> None:
        """Write these; if that fails they are kept for the next time, and more may come meanwhile."""
        if not tallies:
            return
        now = await self.store.now()
        counts = {kind: tally.count for kind, tally in tallies.items()}
        events = [
            Event(EventKind.ALARM_RAISED, now, {"alarm": kind, "count": t.count, "detail": t.detail})
            for kind, t in tallies.items()
        ]
        await self.store.post([e for k, t in tallies.items() for e in self._envelopes(k, t)], events)
        for kind, count in counts.items():
            tallies[kind].told(count, asyncio.get_running_loop().time())

    def _envelopes(self, kind: str, tally: _Tally) -> list[Envelope]:
        notice = Notice(
            NoticeKind.ALARM,
            title=f"Remediator: {kind.replace('_', ' ')}",
            tone=Tone.BAD,
            summary=tally.detail,
            count=tally.count,
            final=True,
        )
        return [
            Envelope(channel, f"alarm:{kind}", notice, key="alarm", standalone=True)
            for channel in self._channels
        ]
