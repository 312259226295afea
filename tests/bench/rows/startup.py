"""From the process's start with 1,000 rules to listening, and to the first alert's decision."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import cluster, daemon, loader, payloads
from tests.bench.context import Bench
from tests.bench.findings import Finding, Goal
from tests.bench.peers.rulebook import ansible_rulebook
from tests.bench.tools import rulebook_peer

RULES = 1_000
LISTENING = 2.0


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the process's start to listening, and to the first decision or printed event."""

    listening: float
    effect: float


async def measure(bench: Bench) -> Sequence[Finding]:
    """Both instants, beside ansible-rulebook's."""
    programs = await rulebook_peer()
    rules = daemon.rulebook(RULES, acting=True)

    async with cluster.cluster(bench.folder("cluster"), workloads=1) as kubeconfig:

        async def ours(folder: Path) -> Start:
            async with daemon.daemon(folder, rules, kubeconfig=kubeconfig) as subject:
                await loader.send(subject.session, subject.alertmanager, payloads.post(0, 1))
                await subject.decided(1, within=30)
                since = time.time() - await subject.last_decision()
                return Start(subject.listening, time.perf_counter() - since - subject.process.spawned)

        async def theirs(folder: Path) -> Start:
            async with ansible_rulebook(programs, folder, count=RULES) as peer:
                listening = await peer.process.answers(peer.url, within=120)
                return Start(listening, await peer.first_action())

        await ours(bench.folder("compiled"))
        taken = await bench.interleaved({"remediator": ours, "ansible-rulebook": theirs})
    return (
        Finding(
            row="startup",
            what="listening with 1,000 rules",
            unit="s",
            ours=[start.listening for start in taken["remediator"]],
            beside="ansible-rulebook",
            theirs=[start.listening for start in taken["ansible-rulebook"]],
            goal=Goal("at most", LISTENING, "value"),
        ),
        Finding(
            row="startup",
            what="first decision with 1,000 rules",
            unit="s",
            ours=[start.effect for start in taken["remediator"]],
            beside="ansible-rulebook, first event printed",
            theirs=[start.effect for start in taken["ansible-rulebook"]],
        ),
    )
