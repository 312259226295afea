"""From a post's first byte to the intent, durably written, at a calm 50 posts a second, an alert each.

Ours reads a Deployment, asks every guard, takes a lease and writes the intent, and goes on to apply and
verify while the next alerts come in. The ledger is on the disk, and on a tmpfs. Beside it: the same matching
with nothing behind it, a task that notes the clock; and ansible-rulebook, which prints an event.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.bench import cluster, daemon, loader, payloads
from tests.bench.context import Bench
from tests.bench.findings import Finding, Goal, percentile
from tests.bench.loader import Sent
from tests.bench.machine import MEMORY, require_disk
from tests.bench.peers.bare import bare
from tests.bench.peers.rulebook import ansible_rulebook
from tests.bench.processes import Gone
from tests.bench.tools import rulebook_peer

RATE, WARM, MEASURED = 50, 50, 400


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the first byte to the effect; `written`: to the first write at the API server."""

    p50: float
    p99: float
    written_p50: float = math.nan
    written_p99: float = math.nan


async def measure(bench: Bench) -> Sequence[Finding]:
    """p50 and p99, on the disk and in memory."""
    require_disk(bench.work)
    programs = await rulebook_peer()
    bodies = [payloads.post(index, 1) for index in range(WARM + MEASURED)]
    rules = daemon.rulebook(payloads.RULES, acting=True)

    async def ours(folder: Path, ledger: str) -> Latency:
        async with (
            cluster.cluster(folder, workloads=WARM + MEASURED) as kubeconfig,
            daemon.daemon(folder, rules, mode="live", ledger=ledger, kubeconfig=kubeconfig) as subject,
        ):
            sent = await loader.paced(subject.alertmanager, bodies, rate=RATE)
            intended = await daemon.intents(subject, len(bodies))
        told = to_intents(sent, intended)
        written = _latency(sent, _by_fingerprint(cluster.first_writes(folder)))
        return dataclasses.replace(told, written_p50=written.p50, written_p99=written.p99)

    async def on_disk(folder: Path) -> Latency:
        bench.pace("latency")
        return await ours(folder, daemon.ledger_in(folder))

    async def in_memory(folder: Path) -> Latency:
        store = Path(tempfile.mkdtemp(dir=MEMORY, prefix="remediator-bench-"))
        try:
            return await ours(folder, daemon.ledger_in(store))
        finally:
            shutil.rmtree(store)

    async def storeless(folder: Path) -> Latency:
        async with bare(folder, rules=payloads.RULES) as (_, url):
            sent = await loader.paced(f"{url}/alertmanager", bodies, rate=RATE)
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return _latency(sent, await response.json())

    async def printed(folder: Path) -> Latency:
        async with ansible_rulebook(programs, folder, count=payloads.RULES) as peer:
            await peer.first_action()
            sent = await loader.paced(f"{peer.url}/alertmanager", bodies, rate=RATE)
            await peer.acted_on(len(bodies), within=60)
            return _latency(sent, peer.acted)

    sides = {"disk": on_disk, "tmpfs": in_memory, "without a store": storeless, "ansible-rulebook": printed}
    return list(_findings(await bench.interleaved(sides)))


def to_intents(sent: Sequence[Sent], intended: Mapping[str, float]) -> Latency:
    """From each post's first byte to its intent; `intended` is by Deployment, in wall-clock seconds."""
    return _latency(sent, _by_fingerprint(intended))


def _by_fingerprint(effects: Mapping[str, float]) -> dict[str, float]:
    """The same, by the fingerprint of the alert that each Deployment is about."""
    return {payloads.fingerprint(i): effects[payloads.deployment(i)] for i in range(WARM + MEASURED)}


def _latency(sent: Sequence[Sent], effects: Mapping[str, float]) -> Latency:
    """`effects`: the wall clock of each alert's effect, by its fingerprint; the first alerts only warm up."""
    if loader.refused(sent):
        raise Gone(f"{loader.refused(sent)} of {len(sent)} posts were refused")
    took = [
        (effects[payloads.fingerprint(index)] - sent[index].began) * 1000
        for index in range(WARM, WARM + MEASURED)
    ]
    return Latency(percentile(took, 0.5), percentile(took, 0.99))


def _findings(taken: Mapping[str, Sequence[Latency]]) -> Sequence[Finding]:
    def p50(side: str) -> Sequence[float]:
        return [latency.p50 for latency in taken[side]]

    def p99(side: str) -> Sequence[float]:
        return [latency.p99 for latency in taken[side]]

    written = {
        "p50": [latency.written_p50 for latency in taken["disk"]],
        "p99": [latency.written_p99 for latency in taken["disk"]],
    }
    return (
        *(
            Finding("latency", f"alert to the first write at the cluster, 50 posts/s: {name}", "ms", values)
            for name, values in written.items()
        ),
        Finding(
            row="latency",
            what="alert to intent, 50 posts/s: p50, ledger on the disk",
            unit="ms",
            ours=p50("disk"),
            beside="ansible-rulebook, to print an event",
            theirs=p50("ansible-rulebook"),
            goal=Goal("at most", 10, "value"),
        ),
        Finding(
            row="latency",
            what="alert to intent, 50 posts/s: p99, ledger on the disk",
            unit="ms",
            ours=p99("disk"),
            beside="ansible-rulebook, to print an event",
            theirs=p99("ansible-rulebook"),
        ),
        Finding(
            row="latency",
            what="alert to intent, 50 posts/s: p50, ledger on a tmpfs",
            unit="ms",
            ours=p50("tmpfs"),
            beside="matching without a store",
            theirs=p50("without a store"),
        ),
        Finding(
            row="latency",
            what="alert to intent, 50 posts/s: p99, ledger on a tmpfs",
            unit="ms",
            ours=p99("tmpfs"),
            beside="matching without a store",
            theirs=p99("without a store"),
            goal=Goal("at most", 2),
        ),
        Finding(
            row="latency",
            what="alert to intent, 50 posts/s: p99, ledger on the disk",
            unit="ms",
            ours=p99("disk"),
            beside="ledger on a tmpfs",
            theirs=p99("tmpfs"),
        ),
    )
