"""The least that could take a post: aiohttp, uvloop and msgspec, and nothing kept.

Run as a process: `python -m tests.bench.peers.bare PORT [RULES]`. With RULES it also looks each alert up in
an index of so many rules and starts a task for each match, which notes the wall clock: our path without a
store. `GET /` tells the notes as `{fingerprint: seconds}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import uvloop
from aiohttp import web

from tests.bench.payloads import alert_name
from tests.bench.processes import Running, free_port, running

ROOT = Path(__file__).parents[3]


class Alert(msgspec.Struct, rename="camel"):
    """An alert as the wire has it; undecoded keys are skipped."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str
    fingerprint: str
    generator_url: str = msgspec.field(name="generatorURL")


class Post(msgspec.Struct, rename="camel"):
    """A v4 post."""

    version: str
    group_key: str
    status: str
    receiver: str
    group_labels: dict[str, str]
    common_labels: dict[str, str]
    common_annotations: dict[str, str]
    alerts: list[Alert]
    external_url: str = msgspec.field(name="externalURL")
    truncated_alerts: int = 0


@dataclass(slots=True)
class Matching:
    """An index over `alertname`, an inequality and a regular expression per rule, and a task per match."""

    rules: int
    acted: dict[str, float] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    index: dict[str, list[tuple[str, re.Pattern[str]]]] = field(init=False)

    def __post_init__(self) -> None:
        self.index = {alert_name(i): [("none", re.compile("(?:bench|perf)"))] for i in range(self.rules)}

    def take(self, post: Post) -> None:
        for alert in post.alerts:
            for severity, cluster in self.index.get(alert.labels["alertname"], ()):
                if alert.labels["severity"] != severity and cluster.fullmatch(alert.labels["cluster"]):
                    task = asyncio.create_task(self.act(alert.fingerprint))
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)

    async def act(self, fingerprint: str) -> None:
        self.acted[fingerprint] = time.time()


def application(rules: int) -> web.Application:
    """The handler as an aiohttp application."""
    decoder, matching = msgspec.json.Decoder(Post), Matching(rules)

    async def take(request: web.Request) -> web.Response:
        matching.take(decoder.decode(await request.read()))
        return web.Response()

    async def told(_: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(matching.acted), content_type="application/json")

    app = web.Application(client_max_size=2**25)
    app.router.add_post("/alertmanager", take)
    app.router.add_get("/", told)
    return app


@contextlib.asynccontextmanager
async def bare(folder: Path, *, rules: int = 0) -> AsyncIterator[tuple[Running, str]]:
    """A bare handler in its own process, and its base URL."""
    port = free_port()
    argv = (sys.executable, "-m", "tests.bench.peers.bare", str(port), str(rules))
    async with running("bare", argv, folder=folder, env={"PYTHONPATH": str(ROOT)}) as process:
        await process.answers(f"http://127.0.0.1:{port}/")
        yield process, f"http://127.0.0.1:{port}"


def main(port: str, rules: str = "0") -> None:
    """Serve until SIGTERM."""
    uvloop.install()
    app = application(int(rules))
    gc.freeze()
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
