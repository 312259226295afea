"""ansible-rulebook as a peer: the same rules as conditions, and `print_event`, read from its stdout."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml

from tests.bench import loader, payloads
from tests.bench.processes import Gone, Running, free_port, running, write

SOURCE = Path(__file__).with_name("alertmanager_posts.py")
INVENTORY = "all: {hosts: {localhost: {ansible_connection: local}}}\n"
PRINTED = re.compile(rb"'fingerprint': '([0-9a-f]{16})'")


@dataclass(slots=True)
class AnsibleRulebook:
    """A running ansible-rulebook and the wall clock at which each alert's event was read from its stdout."""

    process: Running
    url: str
    acted: dict[str, float] = field(default_factory=dict)
    actions: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> None:
        stdout = self.process.process.stdout
        if stdout is None:
            raise Gone("ansible-rulebook was started without a pipe")
        async for line in stdout:
            if found := PRINTED.search(line):
                self.acted.setdefault(found[1].decode(), time.time())
                self.actions += 1
                self.news.set()

    async def acted_on(self, count: int, *, within: float) -> None:
        """Wait until so many actions were seen. Raises Gone."""
        try:
            async with asyncio.timeout(within):
                while self.actions < count:
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            raise Gone(f"ansible-rulebook acted {self.actions} times of {count} within {within} s") from None

    async def first_action(self, *, within: float = 120.0) -> float:
        """Post alert 0 until an action answers it; the seconds since the process was spawned."""
        async with aiohttp.ClientSession() as session:
            await self.process.answers(self.url, within=within)
            await loader.send(session, f"{self.url}/alertmanager", payloads.post(0, 1))
            await self.acted_on(1, within=within)
        took = self.acted[payloads.fingerprint(0)] - time.time() + time.perf_counter() - self.process.spawned
        self.acted.clear()
        self.actions = 0
        return took


def rules(count: int, port: int) -> str:
    """A rulebook of so many rules, one for each alert name."""
    ruleset = {
        "name": "bench",
        "hosts": "all",
        "sources": [{SOURCE.stem: {"port": port}}],
        "rules": [
            {
                "name": f"rule {index}",
                "condition": f'event.alert.labels.alertname == "{payloads.alert_name(index)}"'
                ' and event.alert.labels.severity != "none"'
                ' and event.alert.labels.cluster is match("bench|perf")',
                "action": {"print_event": {}},
            }
            for index in range(count)
        ],
    }
    return yaml.safe_dump([ruleset], sort_keys=False)


@contextlib.asynccontextmanager
async def ansible_rulebook(programs: Path, folder: Path, *, count: int) -> AsyncIterator[AnsibleRulebook]:
    """ansible-rulebook with `count` rules; wait for `first_action` before measuring."""
    port = free_port()
    write(folder, {"rulebook.yml": rules(count, port), "inventory.yml": INVENTORY})
    argv = (
        programs / "ansible-rulebook",
        "--rulebook",
        "rulebook.yml",
        "-i",
        "inventory.yml",
        "-S",
        SOURCE.parent,
    )
    path = {"PATH": f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    pipe = asyncio.subprocess.PIPE
    async with running("ansible-rulebook", argv, folder=folder, env=path, stdout=pipe) as process:
        peer = AnsibleRulebook(process, f"http://127.0.0.1:{port}")
        reader = asyncio.create_task(peer.read())
        try:
            yield peer
        finally:
            reader.cancel()
