"""Alarms: what went wrong at the edges, counted and told once in a while instead of once each.

A flood of bad requests must fill neither the ledger nor a channel.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass

import structlog

from remediator.core.events import Event, EventKind
from remediator.core.notices import Envelope, Notice, NoticeKind, Tone
from remediator.core.ports.store import Store, StoreError

_log = structlog.get_logger(__name__)
_FLUSH_SECONDS = 2.0


@dataclass(slots=True)
class _Tally:
    count: int = 0
    detail: str = ""


class Alarms:
    """Collects alarms by kind and writes each kind's tally to the ledger and the outbox now and then."""

    def __init__(self, store: Store, channels: tuple[str, ...]) -> None:
        self._store = store
        self._channels = channels
        self._tallies: dict[str, _Tally] = defaultdict(_Tally)
        self._some = asyncio.Event()

    def alarm(self, kind: str, detail: str) -> None:
        """Note one alarm, such as ``("webhook_unauthorized", "from 10.0.0.7")``; returns at once."""
        tally = self._tallies[kind]
        tally.count += 1
        tally.detail = detail[:500]
        self._some.set()

    async def run(self) -> None:
        """Write tallies until cancelled; what can't be written is kept for the next time."""
        while True:
            await self._some.wait()
            await self.flush()
            await asyncio.sleep(_FLUSH_SECONDS)

    async def flush(self) -> None:
        """Write what has been tallied."""
        self._some.clear()
        tallies, self._tallies = dict(self._tallies), defaultdict(_Tally)
        if not tallies:
            return
        try:
            now = await self._store.now()
            events = [
                Event(EventKind.WEBHOOK_REFUSED, now, {"alarm": kind, "count": t.count, "detail": t.detail})
                for kind, t in tallies.items()
            ]
            await self._store.post([e for k, t in tallies.items() for e in self._envelopes(k, t)], events)
        except StoreError as error:
            _log.error("alarms not written", error=str(error), alarms=list(tallies))
            for kind, tally in tallies.items():
                self._tallies[kind].count += tally.count
                self._tallies[kind].detail = self._tallies[kind].detail or tally.detail
            self._some.set()

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
