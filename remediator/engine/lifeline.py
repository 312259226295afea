"""The lifeline: says that the ledger is gone, without the ledger (law 6).

What it knows it keeps in memory, and it speaks to channels directly: the outbox is in what is gone. All
replicas speak of one incident, so that whoever sees the outage opens it, and none opens a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from remediator.core.notices import Envelope, Lane, Notice, NoticeKind, Signal, Tone
from remediator.core.paging import KEY, PAGER
from remediator.core.ports.channels import Delivered, Notifier, Rejected
from remediator.core.ports.store import Store, StoreError, Topic
from remediator.engine.loops import Loop
from remediator.telemetry import Metrics

_log = structlog.get_logger(__name__)
#: Seconds between two looks, and what one may take.
_EVERY, _LOOK = 5.0, 5.0
#: Seconds for which the ledger may be away before people are called.
_PATIENCE = 30.0
#: Seconds until the first reminder, and at most between two.
_FIRST_REMINDER, _LONGEST_REMINDER = 900.0, 7200.0
_TITLE = "Remediator: its ledger can't be reached"


class Lifeline:
    """Tells of one outage at a time. ``thread`` is the same for all replicas of a ledger.

    ``channels`` are those of the reports; with ``pager`` PagerDuty is called too.
    """

    def __init__(
        self,
        notifiers: Mapping[str, Notifier],
        channels: Callable[[], tuple[str, ...]],
        thread: str,
        *,
        pager: bool,
    ) -> None:
        self._notifiers = notifiers
        self._channels = channels
        self.thread = thread
        self._pager = pager
        self._untold: dict[str, Envelope] = {}

    def gone(self, why: str) -> None:
        """Page: nothing is acted on, and webhooks are turned away, until the ledger is back."""
        _log.critical("the ledger is gone, and people are told without it", why=why)
        summary = f"Nothing is acted on, and Alertmanager is told to come again: {why}"
        notice = Notice(NoticeKind.ALARM, _TITLE, Tone.BAD, "P0", summary, page=True, final=True)
        self._say(notice, Signal.TRIGGER)

    def back(self) -> None:
        """Say that the ledger is back, and resolve the incident."""
        _log.warning("the ledger is back")
        notice = Notice(
            NoticeKind.ALARM, "Remediator: its ledger is back", Tone.GOOD, summary="Runs go on.", final=True
        )
        self._say(notice, Signal.RESOLVE)

    async def deliver(self) -> None:
        """Deliver what is untold; what may succeed later stays for the next time. Raises nothing."""
        channels = list(self._untold)
        await asyncio.gather(*(self._deliver(channel, self._untold[channel]) for channel in channels))

    def _say(self, notice: Notice, signal: Signal) -> None:
        for channel in (*([PAGER] if self._pager else []), *self._channels()):
            self._untold[channel] = Envelope(
                channel, self.thread, notice, KEY, Lane.PAGES, standalone=True, signal=signal
            )

    async def _deliver(self, channel: str, envelope: Envelope) -> None:
        notifier = self._notifiers.get(channel.partition(":")[0])
        if notifier is None:
            del self._untold[channel]
            return
        try:
            delivery = await notifier.deliver(envelope, head="", sent="")
        except Exception:  # noqa: BLE001 - one channel's bug must not silence the others
            _log.exception("lifeline not delivered", channel=channel)
            return
        if isinstance(delivery, Delivered | Rejected) and self._untold.get(channel) is envelope:
            del self._untold[channel]
        if not isinstance(delivery, Delivered):
            _log.error("lifeline not delivered", channel=channel, why=delivery.detail)


class LifelineLoop(Loop):
    """Watches the ledger, and tells by a lifeline once per outage, and again at growing intervals."""

    name = "lifeline"
    topic = Topic.EVENTS

    def __init__(self, store: Store, metrics: Metrics, lifeline: Lifeline) -> None:
        super().__init__(store, metrics)
        self._lifeline = lifeline
        self._since: float | None = None
        self._due: float | None = None
        self._pause = 0.0

    async def work(self) -> bool:
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(_LOOK):
                await self.store.check()
        except (StoreError, TimeoutError) as error:
            self._gone(str(error) or f"no answer within {_LOOK:g} s", now)
        else:
            self._back()
        await self._lifeline.deliver()
        return False

    async def rest(self) -> None:
        await asyncio.sleep(_EVERY)

    def _gone(self, why: str, now: float) -> None:
        if self._since is None:
            self._since, self._due, self._pause = now, now + _PATIENCE, _FIRST_REMINDER
        if self._due is not None and now >= self._due:
            self._lifeline.gone(why)
            self.metrics.lifeline(True)
            self._due = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_REMINDER)

    def _back(self) -> None:
        """The end of an outage that was told is told too; a short one is nobody's business."""
        told = self._since is not None and self._pause > _FIRST_REMINDER
        self._since = self._due = None
        if told:
            self._pause = 0.0
            self._lifeline.back()
            self.metrics.lifeline(False)
