"""Remediator as users run it: `remediator serve` in a process, rules in files, everything else over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.bench import payloads
from tests.bench.processes import Gone, Running, free_port, running, write

PROGRAM = Path(sys.prefix) / "bin/remediator"
TOKEN = "bench-viewer"
DECISIONS = "remediator_decisions"
POLL = 0.25
"""Seconds between two looks at /metrics, which cost the daemon a little."""


@dataclass(slots=True)
class Daemon:
    """A serving daemon; `listening` is the seconds from its start to its first answer."""

    process: Running
    url: str
    session: aiohttp.ClientSession
    listening: float

    @property
    def alertmanager(self) -> str:
        """Where alerts are posted."""
        return f"{self.url}/alertmanager"

    async def decisions(self) -> dict[tuple[str, str], int]:
        """How many decisions of each (kind, reason) the daemon counted so far."""
        async with self.session.get(f"{self.url}/metrics") as response:
            text = await response.text()
        lines = "\n".join(line for line in text.splitlines() if DECISIONS in line)
        return {
            (sample.labels["kind"], sample.labels["reason"]): int(sample.value)
            for family in text_string_to_metric_families(lines + "\n")
            for sample in family.samples
            if sample.name == f"{DECISIONS}_total"
        }

    async def decided(self, count: int, *, within: float) -> None:
        """Wait until so many episodes have a final decision. Raises Gone."""
        deadline, seen = time.monotonic() + within, 0
        while time.monotonic() < deadline:
            self.process.check()
            seen = settled(await self.decisions())
            if seen >= count:
                return
            await asyncio.sleep(POLL)
        raise Gone(f"{seen} of {count} alerts decided within {within} s; see {self.process.output}")

    async def last_decision(self) -> float:
        """The wall clock of the latest decision, as the ledger has it."""
        (latest,) = await self.get("/decisions", limit="1")
        return instant(latest["at"])

    async def get(self, path: str, **query: str) -> Any:
        """A document of /api/v1. Raises Gone on anything but 200."""
        async with self.session.get(f"{self.url}/api/v1{path}", params=query) as response:
            if response.status != 200:
                raise Gone(f"GET /api/v1{path} answered {response.status}: {await response.text()}")
            return await response.json()


async def intents(subject: Daemon, count: int, *, within: float = 60.0) -> dict[str, float]:
    """Wait until so many runs have an intent; the wall clock of their first, by Deployment. Raises Gone."""
    deadline, seen = time.monotonic() + within, dict[str, float]()
    while time.monotonic() < deadline:
        runs = await subject.get("/runs", limit="1000")
        seen = {run["target"].rpartition("/")[2]: instant(run["acted"]) for run in runs if run["acted"]}
        if len(seen) >= count:
            return seen
        await asyncio.sleep(0.5)
    raise Gone(
        f"{len(seen)} of {count} runs reached an intent within {within} s; see {subject.process.output}"
    )


def settled(decisions: Mapping[tuple[str, str], int]) -> int:
    """How many decisions are more than a promise to look again."""
    return sum(count for (kind, _), count in decisions.items() if kind != "defer")


def instant(text: str) -> float:
    """An RFC 3339 instant as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def rulebook(count: int, *, acting: bool, names: int | None = None) -> str:
    """A rule file of `count` rules; those beyond `names` match no alert of the bench.

    `acting` rules scale the alert's own Deployment up, proven by its roll-out; others only page.
    """
    return HEAD + "".join(_rules(count, acting=acting, names=names or count))


HEAD = """version: 1
brake: {targets: 10000/10m, parallel: 10000, failures: 10000/1h}
rules:
"""
RULE = """  - name: bench-{index:05d}
    summary: Give a workload that answers with errors a second pod
    when: {{matchers: ['alertname="{name}"', 'severity!="none"', 'cluster=~"bench|perf"']}}
    target: deployment/{{{{ labels.namespace }}}}/{{{{ labels.deployment }}}}
    mode: live
"""
PAGES = "    steps: []\n"
ACTS = """    steps: [{action: kubernetes.scale, with: {replicas: 2}}]
    verify: {within: 10s, checks: [{check: kubernetes.rolled_out}]}
"""


def _rules(count: int, *, acting: bool, names: int) -> Iterator[str]:
    for index in range(count):
        name = payloads.alert_name(index) if index < names else f"Unheard{index:05d}"
        yield RULE.format(index=index, name=name) + (ACTS if acting else PAGES)


def ledger_in(folder: Path) -> str:
    """The URL of a ledger on SQLite in that folder."""
    return f"sqlite:///{folder.resolve() / 'ledger.db'}"


@contextlib.asynccontextmanager
async def daemon(
    folder: Path,
    rules: str,
    *,
    mode: str = "observe",
    ledger: str | None = None,
    kubeconfig: Path | None = None,
    extra: Mapping[str, str] | None = None,
) -> AsyncIterator[Daemon]:
    """A daemon on the ledger of that URL (default: a fresh file in `folder`), ready to take posts."""
    port = free_port()
    write(folder, {"rules.yaml": rules})
    env = {
        "REMEDIATOR_LISTEN": f"127.0.0.1:{port}",
        "REMEDIATOR_STORE": ledger or ledger_in(folder),
        "REMEDIATOR_RULES": str(folder / "rules.yaml"),
        "REMEDIATOR_MODE": mode,
        "REMEDIATOR_VIEWER_TOKEN": TOKEN,
        "REMEDIATOR_LOG_FORMAT": "json",
        "KUBECONFIG": str(kubeconfig or folder / "no-cluster.yaml"),
        **(extra or {}),
    }
    async with running("remediator", (PROGRAM, "serve"), folder=folder, env=env) as process:
        url = f"http://127.0.0.1:{port}"
        listening = await process.answers(f"{url}/health")
        await process.answers(f"{url}/ready")
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            yield Daemon(process, url, session, listening)
