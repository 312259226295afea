"""What the ledger's backend costs, and what each replica adds: SQLite, PostgreSQL, and three replicas on it.

The daemons, the database and the load share the same processors, as they do in no installation: what a
replica adds here is bounded by them. How far the database itself would go is measured beside it: its
transactions a second, side by side and one after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.bench import cluster, daemon, loader, payloads, postgres_pace, wrk
from tests.bench.context import Bench
from tests.bench.findings import Finding, percentile
from tests.bench.fleet import Fleet, fleet
from tests.bench.machine import require_disk
from tests.bench.postgres import Postgres, postgres
from tests.bench.processes import Gone
from tests.bench.rows import latency
from tests.bench.rows.burst import ALERTS, FIRST, SETTLE, SIZE
from tests.bench.rows.latency import MEASURED, RATE, WARM, Latency
from tests.bench.tools import Program, debian_program
from tests.bench.wrk import Load

T = TypeVar("T")

ALERTS_A_POST = 10
BODIES = 4_000
BASE = "SQLite, 1 replica"


@dataclass(frozen=True, slots=True)
class Setup:
    """How many replicas share which ledger."""

    name: str
    on_postgres: bool
    replicas: int


SETUPS = (
    Setup(BASE, on_postgres=False, replicas=1),
    Setup("PostgreSQL, 1 replica", on_postgres=True, replicas=1),
    Setup("PostgreSQL, 3 replicas", on_postgres=True, replicas=3),
)


@dataclass(frozen=True, slots=True)
class Drained:
    """A storm: the answers' p99 in ms, and seconds from its first byte to its last decision."""

    answered_p99: float
    last: float


Subject = Callable[[Fleet], Awaitable[T]]


async def measure(bench: Bench) -> Sequence[Finding]:
    """Ingest, a storm and the latency of each setup, and the database's own pace."""
    require_disk(bench.work)
    program = await debian_program("wrk")
    async with postgres(bench.folder("postgres")) as server:
        return [
            *await _ingest(bench, server, program),
            *await _storm(bench, server),
            *await _latency(bench, server),
            *await _database(bench, server),
        ]


def _sides(
    server: Postgres,
    rules: str,
    subject: Subject[T],
    *,
    mode: str = "observe",
    workloads: int = 0,
) -> Mapping[str, Callable[[Path], Awaitable[T]]]:
    """One side per setup: a fresh ledger and fresh daemons, and a cluster if there are workloads."""

    def side(setup: Setup) -> Callable[[Path], Awaitable[T]]:
        async def measured(folder: Path) -> T:
            ledger = await server.database() if setup.on_postgres else daemon.ledger_in(folder)
            if not workloads:
                async with fleet(folder, rules, ledger, replicas=setup.replicas, mode=mode) as replicas:
                    return await subject(replicas)
            async with (
                cluster.cluster(folder, workloads=workloads) as kubeconfig,
                fleet(
                    folder, rules, ledger, replicas=setup.replicas, mode=mode, kubeconfig=kubeconfig
                ) as replicas,
            ):
                return await subject(replicas)

        return measured

    return {setup.name: side(setup) for setup in SETUPS}


async def _ingest(bench: Bench, server: Postgres, program: Program) -> Sequence[Finding]:
    bodies = wrk.write_bodies(bench.work / "bodies", payloads.posts(BODIES * ALERTS_A_POST, ALERTS_A_POST))

    async def loaded(replicas: Fleet) -> float:
        await _posts(program, replicas, bodies, seconds=1)
        loads = await _posts(program, replicas, bodies, seconds=2)
        if any(load.refused for load in loads):
            raise Gone("posts were refused or lost: no rate can be read from that")
        return sum(load.rate for load in loads)

    rules = daemon.rulebook(payloads.RULES, acting=False)
    taken = await bench.interleaved(_sides(server, rules, loaded))
    what = f"durable ingest, {ALERTS_A_POST} alerts a post"
    return list(_beside_base(what, "posts/s", taken))


async def _posts(program: Program, replicas: Fleet, bodies: Path, *, seconds: int) -> list[Load]:
    """One wrk a replica, with its share of the connections and of the bodies."""
    urls = replicas.alertmanagers
    share = max(wrk.CONNECTIONS // len(urls), 1)
    loads = (
        wrk.load(program, url, bodies, seconds=seconds, offset=turn / len(urls), connections=share)
        for turn, url in enumerate(urls)
    )
    return await asyncio.gather(*loads)


async def _storm(bench: Bench, server: Postgres) -> Sequence[Finding]:
    bodies = list(payloads.posts(ALERTS, SIZE, first=FIRST))
    warm = list(payloads.posts(SIZE, 1))

    async def drained(replicas: Fleet) -> Drained:
        await loader.burst(replicas.alertmanagers, warm)
        await replicas.decided(SIZE, within=SETTLE)
        sent = await loader.burst(replicas.alertmanagers, bodies)
        if loader.refused(sent):
            raise Gone(f"{loader.refused(sent)} of {len(sent)} posts of the storm were refused")
        count = await replicas.decided(SIZE + ALERTS, within=SETTLE)
        if count != SIZE + ALERTS:
            raise Gone(f"{count} decisions on {SIZE + ALERTS} alerts: some were decided twice")
        last = await replicas.first.last_decision()
        answered = percentile([each.milliseconds for each in sent], 0.99)
        return Drained(answered, last - min(each.began for each in sent))

    rules = daemon.rulebook(payloads.RULES, acting=False)
    taken = await bench.interleaved(_sides(server, rules, drained))
    what = "10,000 alerts, rules that page"
    lasts = {name: [each.last for each in storms] for name, storms in taken.items()}
    answers = {name: [each.answered_p99 for each in storms] for name, storms in taken.items()}
    return [
        *_beside_base(f"{what}: last decision after the first byte", "s", lasts),
        *_beside_base(f"{what}: p99 of the 200", "ms", answers),
    ]


async def _latency(bench: Bench, server: Postgres) -> Sequence[Finding]:
    bodies = [payloads.post(index, 1) for index in range(WARM + MEASURED)]

    async def paced(replicas: Fleet) -> Latency:
        sent = await loader.paced(replicas.alertmanagers, bodies, rate=RATE)
        return latency.to_intents(sent, await daemon.intents(replicas.first, len(bodies)))

    rules = daemon.rulebook(payloads.RULES, acting=True)
    taken = await bench.interleaved(_sides(server, rules, paced, mode="live", workloads=WARM + MEASURED))
    what = f"alert to intent, {RATE} posts/s"
    return [
        *_beside_base(f"{what}: p50", "ms", {name: [each.p50 for each in of] for name, of in taken.items()}),
        *_beside_base(f"{what}: p99", "ms", {name: [each.p99 for each in of] for name, of in taken.items()}),
    ]


async def _database(bench: Bench, server: Postgres) -> Sequence[Finding]:
    """What PostgreSQL commits a second with nothing of ours around it."""

    def side(callers: int, *, serial: bool) -> Callable[[Path], Awaitable[float]]:
        async def measured(_folder: Path) -> float:
            return await postgres_pace.commits(await server.database(), callers=callers, serial=serial)

        return measured

    taken = await bench.interleaved(
        {"one": side(1, serial=False), "ten": side(10, serial=False), "locked": side(10, serial=True)}
    )
    return [
        Finding(
            "ledgers",
            "PostgreSQL alone, 10 callers at once",
            "commits/s",
            taken["ten"],
            "1 caller",
            taken["one"],
        ),
        Finding(
            "ledgers",
            "PostgreSQL alone, 10 callers one after another (an advisory lock)",
            "commits/s",
            taken["locked"],
            "10 callers at once",
            taken["ten"],
        ),
    ]


def _beside_base(what: str, unit: str, taken: Mapping[str, Sequence[float]]) -> Sequence[Finding]:
    return [
        Finding("ledgers", f"{what}: {name}", unit, values, BASE, taken[BASE])
        for name, values in taken.items()
        if name != BASE
    ]
