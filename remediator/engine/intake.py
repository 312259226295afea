"""Intake: takes stored webhooks apart and folds their alerts into episodes."""

from __future__ import annotations

import structlog

from remediator.core.changes import Intake, Observed
from remediator.core.episodes import observe
from remediator.core.ports.store import Store, Topic
from remediator.engine.alarms import Alarms
from remediator.engine.loops import Loop
from remediator.engine.payload import take_apart
from remediator.telemetry import Metrics

_log = structlog.get_logger(__name__)
#: Bodies held in memory at a time; one webhook alone may exceed it.
_BATCH_BYTES = 1024 * 1024


class IntakeLoop(Loop):
    """From raw webhooks to episodes, oldest first."""

    name = "intake"
    topic = Topic.WEBHOOKS

    def __init__(self, store: Store, metrics: Metrics, alarms: Alarms) -> None:
        super().__init__(store, metrics)
        self._alarms = alarms

    async def work(self) -> bool:
        webhooks = await self.store.untaken_webhooks(_BATCH_BYTES)
        if not webhooks:
            return False
        intakes = [take_apart(webhook) for webhook in webhooks]
        observed = await self.store.take_webhooks(intakes, observe)
        self._tell(intakes, observed)
        return True

    def _tell(self, intakes: list[Intake], observed: list[Observed]) -> None:
        for intake in intakes:
            if intake.quarantine is not None:
                _log.warning("webhook quarantined", webhook=intake.webhook, why=intake.quarantine)
                self.metrics.webhook_quarantined()
                self._alarms.alarm("webhook_quarantined", f"webhook {intake.webhook}: {intake.quarantine}")
            elif intake.truncated:
                detail = f"webhook {intake.webhook}: Alertmanager left {intake.truncated} alerts out"
                self._alarms.alarm("webhook_truncated", f"{detail}; set max_alerts: 0 in its receiver")
        for one in observed:
            for sighting, count in one.sightings.items():
                self.metrics.alerts_seen(sighting, count)
