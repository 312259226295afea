"""The outbox: delivers notices at least once, in order, and holds up nothing but itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

import structlog

from remediator.core.changes import OutboxItem
from remediator.core.notices import Envelope, Lane, NoticeKind, Signal
from remediator.core.ports.channels import Delivered, Delivery, Notifier, Rejected, TryAgain
from remediator.core.ports.store import Store, Topic
from remediator.engine.alarms import Alarms
from remediator.engine.claims import Claim, ClaimLostError
from remediator.engine.loops import Loop
from remediator.telemetry import Metrics

_log = structlog.get_logger(__name__)
_BATCH = 10
_DELIVERY_TIMEOUT = 30.0
#: The channel that is always there.
_LAST_RESORT = "log"
_LONGEST_WAIT = timedelta(seconds=60)
#: A page that so many tries didn't deliver is told elsewhere too, while its own channel goes on being tried.
_PATIENCE = 3


class OutboxLoop(Loop):
    """Delivers one lane. What it takes is kept from others for ``claim``, and while it delivers it."""

    topic = Topic.OUTBOX

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        notifiers: Mapping[str, Notifier],
        alarms: Alarms,
        lane: Lane,
        claim: timedelta,
    ) -> None:
        super().__init__(store, metrics)
        self._claim = claim
        self._notifiers = notifiers
        self._alarms = alarms
        self._lane = lane
        self.name = f"outbox {lane.value}"

    async def work(self) -> bool:
        asked_at = asyncio.get_running_loop().time()
        items = await self.store.due_envelopes(self._lane, _BATCH, self._claim)
        if not items:
            return False
        await asyncio.gather(*(self._deliver(item, asked_at) for item in items))
        return True

    async def _deliver(self, item: OutboxItem, asked_at: float) -> None:
        channel = item.envelope.channel
        scheme = channel.partition(":")[0]
        claim = Claim(partial(self.store.hold, item), self._claim, asked_at)
        try:
            delivery = await claim.during(self._try(item, self._notifiers.get(scheme)))
        except ClaimLostError:
            _log.warning("notice left to another replica", channel=channel, title=item.envelope.notice.title)
            return
        self.metrics.notice(channel, delivery)
        if isinstance(delivery, Delivered):
            await self.store.sent(item, delivery.ref)
        elif isinstance(delivery, TryAgain):
            wait = delivery.after or _backoff(item.tries)
            _log.warning("notice not delivered", channel=channel, why=delivery.detail, again_in=str(wait))
            if _takes_too_long(item, wait):
                await self._tell_elsewhere(item.envelope)
            await self.store.delay(item, wait, delivery.detail)
        else:
            await self._give_up(item, delivery.detail)

    async def _give_up(self, item: OutboxItem, why: str) -> None:
        """Park a notice; a page goes elsewhere, at last to the log: somebody must be able to find it."""
        envelope = item.envelope
        channel, notice = envelope.channel, envelope.notice
        _log.error("notice given up", channel=channel, why=why, title=notice.title, summary=notice.summary)
        # An alarm of an alarm would go to the same lost channel, again and again.
        if notice.kind is not NoticeKind.ALARM:
            self._alarms.alarm("notice_parked", f"{channel}: {why}: {notice.title}")
        if notice.page and channel != _LAST_RESORT:
            await self._tell_elsewhere(envelope)
        await self.store.park(item, why)

    async def _tell_elsewhere(self, envelope: Envelope) -> None:
        """Tell a page in the channels that stand in for its own, but not what only a pager understands."""
        if envelope.signal in (None, Signal.TRIGGER):
            instead = envelope.otherwise or (_LAST_RESORT,)
            await self.store.post([replace(envelope, channel=each, otherwise=()) for each in instead])

    async def _try(self, item: OutboxItem, notifier: Notifier | None) -> Delivery:
        if notifier is None:
            return Rejected(f"no channel of that kind is set up: {item.envelope.channel}")
        try:
            async with asyncio.timeout(_DELIVERY_TIMEOUT):
                return await notifier.deliver(item.envelope, head=item.head, sent=item.sent)
        except TimeoutError:
            return TryAgain(f"no answer within {_DELIVERY_TIMEOUT:.0f} s")
        except Exception as error:  # noqa: BLE001 - a notifier's bug delays its notice alone
            _log.exception("notifier failed", channel=item.envelope.channel)
            return TryAgain(f"{type(error).__name__} in the notifier")


def _takes_too_long(item: OutboxItem, wait: timedelta) -> bool:
    """Whether this is the moment to tell a page in the channels that stand in for its own."""
    last = 0 if wait > _LONGEST_WAIT else _PATIENCE - 1
    return bool(item.envelope.otherwise) and item.tries == last


def _backoff(tries: int) -> timedelta:
    return min(timedelta(seconds=2 ** min(tries, 10)), _LONGEST_WAIT)
