"""Alertmanager as the sender: 10,000 alerts through its API, until the receiver has answered for all."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.bench import payloads
from tests.bench.processes import Gone, Running, free_port, running, write
from tests.bench.tools import Program

ALERTS, BATCH, SHARD = 10_000, 1_000, 100
ANSWERED = "alertmanager_notification_latency_seconds_count"
FAILED = "alertmanager_notification_requests_failed_total"
POLL = 0.01


@dataclass(frozen=True, slots=True)
class Grouping:
    """How Alertmanager groups, and into how many posts 10,000 alerts fall by that."""

    name: str
    group_by: str
    group_wait: str
    posts: int


GROUPINGS = (
    Grouping("a post an alert", "['...']", "0s", ALERTS),
    Grouping("100 alerts a post", "[shard]", "1s", ALERTS // SHARD),
)
CONFIG = """route:
  receiver: measured
  group_by: {group_by}
  group_wait: {group_wait}
  group_interval: 1s
  repeat_interval: 4h
receivers:
  - name: measured
    webhook_configs: [{{url: '{url}', send_resolved: false}}]
"""


@dataclass(slots=True)
class Alertmanager:
    """A running Alertmanager that sends to one webhook."""

    process: Running
    url: str
    session: aiohttp.ClientSession
    grouping: Grouping

    async def drained(self, batches: Sequence[bytes], *, within: float = 120.0) -> float:
        """Post all alerts; seconds from the first byte until every post is answered. Raises Gone."""
        began = time.perf_counter()
        for batch in batches:
            headers = {"Content-Type": "application/json"}
            async with self.session.post(
                f"{self.url}/api/v2/alerts", data=batch, headers=headers
            ) as response:
                if response.status != 200:
                    raise Gone(f"Alertmanager refused alerts: {await response.text()}")
        while time.perf_counter() < began + within:
            answered, failed = await self._notified()
            if failed:
                raise Gone(f"{failed} of Alertmanager's posts failed; see {self.process.output}")
            if answered >= self.grouping.posts:
                return time.perf_counter() - began
            await asyncio.sleep(POLL)
        raise Gone(f"Alertmanager was not rid of its {self.grouping.posts} posts within {within} s")

    async def _notified(self) -> tuple[int, int]:
        async with self.session.get(f"{self.url}/metrics") as response:
            text = await response.text()
        lines = "\n".join(line for line in text.splitlines() if line.startswith((ANSWERED, FAILED)))
        counts = {ANSWERED: 0, FAILED: 0}
        for family in text_string_to_metric_families(lines + "\n"):
            for sample in family.samples:
                if sample.labels.get("integration") == "webhook" and sample.name in counts:
                    counts[sample.name] = int(sample.value)
        return counts[ANSWERED], counts[FAILED]


def batches() -> list[bytes]:
    """Bodies for Alertmanager's own API: the usual alerts, with a label that tells the hundreds apart."""

    def posted(index: int) -> dict[str, Any]:
        alert = payloads.alert(index)
        labels = alert["labels"] | {"shard": str(index // SHARD)}
        return {"labels": labels, "annotations": alert["annotations"], "generatorURL": alert["generatorURL"]}

    return [
        msgspec.json.encode([posted(index) for index in range(first, first + BATCH)])
        for first in range(0, ALERTS, BATCH)
    ]


@contextlib.asynccontextmanager
async def alertmanager(
    program: Program, folder: Path, receiver: str, grouping: Grouping
) -> AsyncIterator[Alertmanager]:
    """A fresh Alertmanager without peers that posts to `receiver`."""
    port = free_port()
    config = CONFIG.format(url=receiver, group_by=grouping.group_by, group_wait=grouping.group_wait)
    write(folder, {"alertmanager.yml": config})
    argv = (
        program.path,
        "--config.file=alertmanager.yml",
        "--storage.path=alertmanager",
        "--cluster.listen-address=",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    url = f"http://127.0.0.1:{port}"
    async with running("alertmanager", argv, folder=folder, env=program.env) as process:
        await process.answers(f"{url}/-/ready")
        async with aiohttp.ClientSession() as session:
            yield Alertmanager(process, url, session, grouping)
