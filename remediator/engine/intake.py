"""Intake: takes stored webhooks apart and folds their alerts into episodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import structlog

from remediator.core.changes import Intake, Observed, RawWebhook
from remediator.core.episodes import observe
from remediator.core.ids import WebhookId
from remediator.core.ports.store import StoreUnavailableError, Topic
from remediator.core.rules import WatchdogPolicy
from remediator.engine.alarms import Alarms
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts
from remediator.engine.payload import take_apart

_log = structlog.get_logger(__name__)
#: Bodies held in memory at a time; one webhook alone may exceed it.
_BATCH_BYTES = 1024 * 1024
#: Alerts folded in one transaction: everybody else's call to the ledger waits for it.
_SLICE = 2000
#: From this size on a body is taken apart beside the event loop, which serves others meanwhile.
_LARGE = 256 * 1024


class IntakeLoop(Loop):
    """From raw webhooks to episodes, oldest first."""

    name = "intake"
    topic = Topic.WEBHOOKS

    def __init__(self, parts: EngineParts, alarms: Alarms) -> None:
        super().__init__(parts.store, parts.metrics)
        self._rulebooks = parts.rulebooks
        self._alarms = alarms
        self._folded: dict[WebhookId, int] = {}

    async def work(self) -> bool:
        webhooks = await self.store.untaken_webhooks(_BATCH_BYTES)
        if not webhooks:
            return False
        watchdog = self._rulebooks.active.rulebook.watchdog
        intakes = [self._rest_of(apart_from(watchdog, await _taken_apart(webhook))) for webhook in webhooks]
        for part in slices(intakes, _SLICE):
            for intake, observed in await self._take(part):
                self._note(intake)
                self._tell(intake, observed)
        return True

    async def _take(self, part: Sequence[Intake]) -> list[tuple[Intake, Observed]]:
        """Fold some webhooks; one that can't be kept is quarantined, and holds none of the others up."""
        try:
            return list(zip(part, await self.store.take_webhooks(part, observe), strict=True))
        except StoreUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - whichever of them it is, the others must get in
            if len(part) > 1:
                return [pair for intake in part for pair in await self._take([intake])]
            _log.exception("webhook not folded", webhook=part[0].webhook)
            why = f"its alerts can't be kept: {error}"
        bad = Intake(part[0].webhook, quarantine=why)
        return list(zip([bad], await self.store.take_webhooks([bad], observe), strict=True))

    def _rest_of(self, intake: Intake) -> Intake:
        """Without the alerts that an earlier try has folded already: they would be counted again."""
        return replace(intake, alerts=intake.alerts[self._folded.get(intake.webhook, 0) :])

    def _note(self, intake: Intake) -> None:
        if intake.more:
            self._folded[intake.webhook] = self._folded.get(intake.webhook, 0) + len(intake.alerts)
        else:
            self._folded.pop(intake.webhook, None)

    def _tell(self, intake: Intake, observed: Observed) -> None:
        if intake.quarantine is not None:
            _log.warning("webhook quarantined", webhook=intake.webhook, why=intake.quarantine)
            self.metrics.webhook_quarantined()
            self._alarms.alarm("webhook_quarantined", f"webhook {intake.webhook}: {intake.quarantine}")
        elif intake.left_out is not None and not intake.more:
            detail = f"webhook {intake.webhook}: Alertmanager left {intake.left_out.count} alerts out"
            self._alarms.alarm("webhook_truncated", f"{detail}; set max_alerts: 0 in its receiver")
        for sighting, count in observed.sightings.items():
            self.metrics.alerts_seen(sighting, count)


def apart_from(watchdog: WatchdogPolicy, intake: Intake) -> Intake:
    """A webhook's alerts without the Watchdogs: those say that alerts reach us, and nothing that is wrong."""
    alerts = tuple(alert for alert in intake.alerts if not watchdog.matches(alert.labels))
    if len(alerts) == len(intake.alerts):
        return intake
    arrived = any(alert.firing and watchdog.matches(alert.labels) for alert in intake.alerts)
    return replace(intake, alerts=alerts, watchdog=arrived)


def slices(intakes: Sequence[Intake], size: int) -> Iterator[list[Intake]]:
    """All alerts in their order, at most ``size`` at a time; only its last slice marks a webhook taken."""
    part: list[Intake] = []
    room = size
    for intake in intakes:
        rest = intake
        while len(rest.alerts) > room:
            part.append(replace(rest, alerts=rest.alerts[:room], more=True))
            rest = replace(rest, alerts=rest.alerts[room:])
            yield part
            part, room = [], size
        part.append(rest)
        room -= len(rest.alerts)
    if part:
        yield part


async def _taken_apart(webhook: RawWebhook) -> Intake:
    try:
        if len(webhook.body) < _LARGE:
            return take_apart(webhook)
        return await asyncio.to_thread(take_apart, webhook)
    except Exception as error:  # noqa: BLE001 - a webhook that nobody foresaw stops none of the others
        _log.exception("webhook not taken apart", webhook=webhook.id)
        return Intake(webhook.id, quarantine=f"it can't be taken apart: {type(error).__name__}")
