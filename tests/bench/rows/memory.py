"""Resident memory: idle with 1,000 rules, and the most that it ever was after 100,000 alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import cluster, daemon, loader, payloads
from tests.bench.context import Bench
from tests.bench.findings import Finding, Goal
from tests.bench.peers.rulebook import ansible_rulebook
from tests.bench.processes import Running
from tests.bench.tools import rulebook_peer

RULES = 1_000
ALERTS, THEIR_ALERTS, SIZE = 100_000, 10_000, 100
"""ansible-rulebook is given a tenth: it takes 2,000 a second, and its peak is reached by then."""
IDLE = 3.0
"""Seconds without work before idle memory is read."""


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB resident when idle, and at the most."""

    idle: float
    peak: float

    @property
    def grown(self) -> float:
        return self.peak - self.idle


async def measure(bench: Bench) -> Sequence[Finding]:
    """Rules that only page, rules that act on Kubernetes, and the peer."""
    programs = await rulebook_peer()
    bodies = list(payloads.posts(ALERTS, SIZE, names=RULES))

    async with cluster.cluster(bench.folder("cluster"), workloads=1) as kubeconfig:

        async def paging(folder: Path) -> Memory:
            async with daemon.daemon(folder, daemon.rulebook(RULES, acting=False)) as subject:
                idle = await _idle(subject.process)
                await loader.burst(subject.alertmanager, bodies)
                await subject.decided(ALERTS, within=600)
                return Memory(idle, subject.process.status("VmHWM"))

        async def acting(folder: Path) -> Memory:
            rules = daemon.rulebook(RULES, acting=True)
            async with daemon.daemon(folder, rules, kubeconfig=kubeconfig) as subject:
                idle = await _idle(subject.process)
                return Memory(idle, subject.process.status("VmHWM"))

        async def theirs(folder: Path) -> Memory:
            async with ansible_rulebook(programs, folder, count=RULES) as peer:
                await peer.first_action()
                idle = await _idle(peer.process)
                await loader.burst(f"{peer.url}/alertmanager", bodies[: THEIR_ALERTS // SIZE])
                await peer.acted_on(THEIR_ALERTS, within=600)
                return Memory(idle, peer.process.status("VmHWM"))

        sides = {"rules that page": paging, "rules that act": acting, "ansible-rulebook": theirs}
        taken = await bench.interleaved(sides)
    peer = [memory.idle for memory in taken["ansible-rulebook"]]
    return (
        _finding("idle with 1,000 rules that page", [m.idle for m in taken["rules that page"]], peer, 90),
        _finding(
            "idle with 1,000 rules that act on Kubernetes",
            [m.idle for m in taken["rules that act"]],
            peer,
            125,
        ),
        _finding(
            "peak above idle, 100,000 alerts in posts of 100",
            [m.grown for m in taken["rules that page"]],
            [m.grown for m in taken["ansible-rulebook"]],
            40,
            beside="ansible-rulebook, 10,000 alerts",
        ),
    )


async def _idle(process: Running) -> float:
    await asyncio.sleep(IDLE)
    return process.status("VmRSS")


def _finding(
    what: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    bound: float,
    *,
    beside: str = "ansible-rulebook",
) -> Finding:
    return Finding(
        row="memory",
        what=what,
        unit="MiB",
        ours=ours,
        beside=beside,
        theirs=theirs,
        goal=Goal("at most", bound, "value"),
    )
