"""Durable ingest: posts a second that are answered after a commit, beside a handler that keeps nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench import daemon, payloads, wrk
from tests.bench.context import Bench
from tests.bench.findings import Finding, Goal
from tests.bench.machine import require_disk
from tests.bench.peers.bare import bare
from tests.bench.processes import Gone
from tests.bench.tools import Program, debian_program
from tests.bench.wrk import Load

GOALS = {1: 0.55, 10: 0.45, 100: 0.35}
BODIES = {1: 20_000, 10: 4_000, 100: 800}
"""How many distinct posts of each size wrk goes round."""
WARM_UP, MEASURED = 1, 2
"""Seconds."""


async def measure(bench: Bench) -> Sequence[Finding]:
    """One finding per size of post."""
    require_disk(bench.work)
    program = await debian_program("wrk")
    return [await _size(bench, program, size) for size in GOALS]


async def _size(bench: Bench, program: Program, size: int) -> Finding:
    bodies = wrk.write_bodies(bench.work / f"bodies-{size}", payloads.posts(BODIES[size] * size, size))
    rules = daemon.rulebook(payloads.RULES, acting=False)

    async def ours(folder: Path) -> Load:
        bench.pace("ingest")
        async with daemon.daemon(folder, rules) as subject:
            return await _loaded(program, subject.alertmanager, bodies)

    async def theirs(folder: Path) -> Load:
        async with bare(folder) as (_, url):
            return await _loaded(program, f"{url}/alertmanager", bodies)

    taken = await bench.interleaved({"remediator": ours, "bare": theirs})
    return Finding(
        row="ingest",
        what=f"durable ingest, {size} alert{'s' if size > 1 else ''} a post",
        unit="posts/s",
        ours=[load.rate for load in taken["remediator"]],
        beside="bare handler",
        theirs=[load.rate for load in taken["bare"]],
        goal=Goal("at least", GOALS[size]),
    )


async def _loaded(program: Program, url: str, bodies: Path) -> Load:
    await wrk.load(program, url, bodies, seconds=WARM_UP, offset=0.5)
    load = await wrk.load(program, url, bodies, seconds=MEASURED)
    if load.refused:
        raise Gone(f"{load.refused} posts to {url} were refused or lost: no rate can be read from that")
    return load
