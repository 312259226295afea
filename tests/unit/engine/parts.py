"""An engine's parts over a real ledger, to drive one loop at a time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from remediator.actions.registry import build_places
from remediator.clients.alertmanager import AlertmanagerClient
from remediator.clients.kubernetes import KubernetesClient
from remediator.core.events import EventKind
from remediator.core.ids import Owner
from remediator.core.rules import Mode
from remediator.engine.alarms import Alarms
from remediator.engine.parts import EngineParts
from remediator.engine.rulebooks import Rulebooks
from remediator.rulebook.source import FileRules
from remediator.store.sqlite import SqliteStore
from remediator.telemetry import Metrics
from tests.support.rulebooks import page_only, rules


@dataclass(frozen=True, slots=True)
class Parts:
    """What a loop is given, and what came of it."""

    engine: EngineParts
    alarms: Alarms

    @property
    def store(self) -> SqliteStore:
        store = self.engine.store
        assert isinstance(store, SqliteStore)
        return store

    async def send(self, *alerts: dict[str, Any]) -> None:
        """Post one webhook."""
        await self.store.save_webhook("am", json.dumps({"version": "4", "alerts": list(alerts)}).encode())

    async def alarmed(self) -> dict[str, str]:
        """The alarms that were raised so far: the latest detail by kind."""
        await self.alarms.close()
        events = await self.store.events(0, 10_000)
        raised = [event.data for event in events if event.kind is EventKind.ALARM_RAISED]
        return {str(data["alarm"]): str(data["detail"]) for data in raised}

    def metric(self, name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in text_string_to_metric_families(
                generate_latest(self.engine.metrics.registry).decode()
            )
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def firing(name: str = "Down", **fields: Any) -> dict[str, Any]:
    """One alert of a webhook; its fingerprint is left out, and so made of its labels."""
    labels = {"alertname": name, **fields.pop("labels", {})}
    return {"status": "firing", "labels": labels, "startsAt": "2026-03-01T12:00:00Z", **fields}


@asynccontextmanager
async def engine_parts(
    folder: Path,
    kind: type[SqliteStore] = SqliteStore,
    text: str | None = None,
    *alertmanagers: str,
) -> AsyncIterator[Parts]:
    """Parts over a fresh ledger, on these rules or on one that only tells people."""
    store = kind(folder / "ledger.db")
    asked = AlertmanagerClient(alertmanagers, timeout=1)
    await store.open()
    try:
        (folder / "rules.yaml").write_text(text or rules(page_only()))
        rulebooks = Rulebooks(store, FileRules(folder / "rules.yaml"))
        await rulebooks.boot()
        metrics = Metrics("1.2.3")
        engine = EngineParts(
            store,
            rulebooks,
            {},
            {},
            build_places(KubernetesClient()),
            asked,
            metrics,
            Owner("me"),
            Mode.OBSERVE,
            timedelta(seconds=15),
        )
        yield Parts(engine, Alarms(store, metrics, ("log",)))
    finally:
        await asked.close()
        await store.close()
