"""Ten rules or ten thousand: the processor time of an alert in the index alone, and through the whole daemon.

Of the alerts one in three matches one rule, the same one in both rulebooks.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench import daemon, loader, payloads
from tests.bench.context import Bench
from tests.bench.findings import Finding, Goal
from tests.bench.peers.bare import ROOT
from tests.bench.processes import output_of

FEW, MANY = 10, 10_000
NAMES = 3 * FEW
ALERTS, SIZE = 10_000, 100


async def measure(bench: Bench) -> Sequence[Finding]:
    """The index, and end to end."""
    bodies = list(payloads.posts(ALERTS, SIZE, first=ALERTS, names=NAMES))
    warm = list(payloads.posts(ALERTS // 10, SIZE, names=NAMES))

    async def index(folder: Path, rules: int) -> float:
        argv = (sys.executable, "-m", "tests.bench.index", *map(str, (rules, FEW, NAMES)))
        return float(await output_of(*argv, cwd=folder, env={"PYTHONPATH": str(ROOT)}))

    async def whole(folder: Path, rules: int) -> float:
        async with daemon.daemon(folder, daemon.rulebook(rules, acting=False, names=FEW)) as subject:
            await loader.burst(subject.alertmanager, warm)
            await subject.decided(len(warm) * SIZE, within=120)
            before = subject.process.cpu()
            await loader.burst(subject.alertmanager, bodies)
            await subject.decided(len(warm) * SIZE + ALERTS, within=120)
            return (subject.process.cpu() - before) / ALERTS * 1e6

    alone = await bench.interleaved({"few": lambda at: index(at, FEW), "many": lambda at: index(at, MANY)})
    through = await bench.interleaved({"few": lambda at: whole(at, FEW), "many": lambda at: whole(at, MANY)})
    return (
        Finding(
            row="matching",
            what="matching an alert, 10,000 rules",
            unit="ns CPU",
            ours=alone["many"],
            beside="10 rules",
            theirs=alone["few"],
            goal=Goal("at most", 1.25),
        ),
        Finding(
            row="matching",
            what="an alert end to end, 10,000 rules",
            unit="µs CPU",
            ours=through["many"],
            beside="10 rules",
            theirs=through["few"],
            goal=Goal("at most", 1.15),
        ),
    )
