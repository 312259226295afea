"""Alertmanager as the sender: until it has delivered 10,000 alerts, beside a receiver that keeps nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench import daemon, payloads
from tests.bench.context import Bench
from tests.bench.findings import Finding, Goal
from tests.bench.machine import require_disk
from tests.bench.peers.alertmanager import GROUPINGS, Grouping, alertmanager, batches
from tests.bench.peers.bare import bare
from tests.bench.tools import Program, debian_program


async def measure(bench: Bench) -> Sequence[Finding]:
    """One finding per way of grouping."""
    require_disk(bench.work)
    program = await debian_program("prometheus-alertmanager")
    alerts = batches()
    return [await _grouping(bench, program, grouping, alerts) for grouping in GROUPINGS]


async def _grouping(bench: Bench, program: Program, grouping: Grouping, alerts: Sequence[bytes]) -> Finding:
    rules = daemon.rulebook(payloads.RULES, acting=False)

    async def ours(folder: Path) -> float:
        async with (
            daemon.daemon(folder, rules) as subject,
            alertmanager(program, folder, subject.alertmanager, grouping) as sender,
        ):
            return await sender.drained(alerts)

    async def theirs(folder: Path) -> float:
        async with (
            bare(folder) as (_, url),
            alertmanager(program, folder, f"{url}/alertmanager", grouping) as sender,
        ):
            return await sender.drained(alerts)

    taken = await bench.interleaved({"remediator": ours, "bare": theirs}, times=3)
    return Finding(
        row="sender",
        what=f"10,000 alerts drained from Alertmanager, {grouping.name}",
        unit="s",
        ours=taken["remediator"],
        beside="bare receiver",
        theirs=taken["bare"],
        goal=Goal("at most", 1.1),
    )
