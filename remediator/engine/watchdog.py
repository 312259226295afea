"""Watchdogs: alerts that always fire are missed when they stay away, and passed on as heartbeats."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from remediator.core.durations import format_duration
from remediator.core.events import Event, EventKind
from remediator.core.notices import Call, Envelope, Lane, Notice, NoticeKind, Signal, Tone
from remediator.core.paging import KEY as PAGE_KEY
from remediator.core.paging import Audience, page_envelopes
from remediator.core.ports.store import StoreError, Topic
from remediator.core.rules import WatchdogPolicy
from remediator.core.watchdog import Turn, Watchdog, owes_a_beat, turn, turned
from remediator.engine.alarms import Alarms
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts

_log = structlog.get_logger(__name__)
#: Between two heartbeats of one source, however many Alertmanagers tell of its Watchdog.
_PACE = timedelta(seconds=30)
_KINDS = {Turn.MISSED: EventKind.WATCHDOG_MISSED, Turn.RETURNED: EventKind.WATCHDOG_RETURNED}


class WatchdogLoop(Loop):
    """Watches the Watchdogs that have ever arrived; the ledger lets one replica tell of each turn."""

    name = "watchdogs"
    topic = Topic.WATCHDOGS
    idle = timedelta(seconds=5)

    def __init__(self, parts: EngineParts, alarms: Alarms) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts
        self._alarms = alarms
        self._up_since: datetime | None = None

    async def work(self) -> bool:
        try:
            await self._watch_all()
        except StoreError:
            # What could not be kept meanwhile was not absent.
            self._up_since = None
            raise
        return False

    async def _watch_all(self) -> None:
        watchdogs = [each for each in await self.store.watchdogs() if self._is_awaited(each)]
        now = await self.store.now()
        self._up_since = self._up_since or now
        self.metrics.watchdogs({each.source: now - each.seen_at for each in watchdogs})
        for each in watchdogs:
            await self._watch(each, now, self._up_since)

    def _is_awaited(self, watchdog: Watchdog) -> bool:
        """Not of a source that nobody can post as any more, nor where no alert is the Watchdog."""
        sources = self._parts.sources
        return bool(self._policy.matchers) and (sources is None or watchdog.source in sources)

    @property
    def _policy(self) -> WatchdogPolicy:
        return self._parts.rulebooks.active.rulebook.watchdog

    async def _watch(self, watchdog: Watchdog, now: datetime, up_since: datetime) -> None:
        what = turn(watchdog, self._policy, now, up_since)
        if what is not None:
            await self._tell(watchdog, what, now)
        elif self._parts.heartbeat is not None and owes_a_beat(watchdog, self._policy, now, _PACE):
            await self._pass_on(watchdog, now)

    async def _tell(self, watchdog: Watchdog, what: Turn, now: datetime) -> None:
        """Tell people, in the transaction that keeps the other replicas from telling them too."""
        source, seen = watchdog.source, f"{watchdog.seen_at:%Y-%m-%d %H:%M:%S} UTC"
        within = format_duration(self._policy.within)
        if what is Turn.MISSED:
            detail = f"no Watchdog of {source} within {within}, the last at {seen}: alerts may not reach us"
        else:
            detail = f"the Watchdog of {source} is back since {seen}"
        event = Event(_KINDS[what], now, {"source": source, "detail": detail})
        audience = self._parts.audience(self._parts.rulebooks.active.rulebook, None)
        told = (_tell_missed if what is Turn.MISSED else _tell_returned)(source, detail, audience)
        if await self.store.change_watchdog(watchdog, turned(watchdog, what, now), [event], told):
            _log.warning("watchdog", source=source, turn=what.value, detail=detail)

    async def _pass_on(self, watchdog: Watchdog, now: datetime) -> None:
        """Give a sign of life, once that is in the ledger: one that can't be written is no sign of life."""
        heartbeat = self._parts.heartbeat
        beaten = replace(watchdog, beaten_at=now)
        if heartbeat is None or not await self.store.change_watchdog(watchdog, beaten):
            return
        failed = await heartbeat.beat()
        self.metrics.heartbeat(failed=bool(failed))
        if failed:
            self._alarms.alarm("heartbeat_failed", f"the heartbeat for {watchdog.source}: {failed}")


def _tell_missed(source: str, detail: str, audience: Audience) -> tuple[Envelope, ...]:
    """A page, which its return ends; and where pages go elsewhere, the reports' channels hear of it too."""
    notice = Notice(
        NoticeKind.ALARM, "Remediator: the Watchdog is missing", Tone.BAD, "P1", detail, final=True
    )
    return (
        *page_envelopes(notice, _thread(source), Call(), audience),
        *_beside_pages(notice, source, audience),
    )


def _tell_returned(source: str, detail: str, audience: Audience) -> tuple[Envelope, ...]:
    notice = Notice(NoticeKind.ALARM, "Remediator: the Watchdog is back", Tone.GOOD, "", detail, final=True)
    ends = [
        Envelope(
            channel, _thread(source), notice, PAGE_KEY, Lane.PAGES, standalone=True, signal=Signal.RESOLVE
        )
        for channel in audience.pages
    ]
    return (*ends, *_beside_pages(notice, source, audience))


def _beside_pages(notice: Notice, source: str, audience: Audience) -> tuple[Envelope, ...]:
    channels = [channel for channel in audience.reports if channel not in audience.pages]
    return tuple(Envelope(channel, _thread(source), notice, standalone=True) for channel in channels)


def _thread(source: str) -> str:
    return f"watchdog:{source}"
