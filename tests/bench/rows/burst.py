"""A storm: 10,000 alerts in posts of 100 over 8 connections, each on a target of its own, 100 rules.

Ours are taken durably, deduplicated and decided: each alert gets its episode and its recorded decision. Rules
that act do so in mode observe: guards are asked and a run is created, which looks and changes nothing; others
only page. The peer prints each matching event to its stdout and keeps nothing. The same posts a second time,
as the other half of a highly available pair sends them, must change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import cluster, daemon, loader, payloads
from tests.bench.context import Bench
from tests.bench.findings import Finding, Goal, percentile
from tests.bench.loader import Sent
from tests.bench.machine import require_disk
from tests.bench.peers.rulebook import ansible_rulebook
from tests.bench.processes import Gone
from tests.bench.tools import rulebook_peer

ALERTS, SIZE = 10_000, 100
FIRST = 1_000
"""Index of the burst's first alert: those before it warm the subject up."""
LAST_DECISION = 1.3
SETTLE = 120.0


@dataclass(frozen=True, slots=True)
class Storm:
    """What a burst gave: the answers' p99 in ms, seconds to the last effect, effects, peak memory in MiB."""

    answered_p99: float
    last: float
    effects: int
    peak: float


async def measure(bench: Bench) -> Sequence[Finding]:
    """Answers, completeness and the last decision, beside ansible-rulebook."""
    require_disk(bench.work)
    programs = await rulebook_peer()
    bodies = list(payloads.posts(ALERTS, SIZE, first=FIRST))
    warm = list(payloads.posts(SIZE, 1))

    async def observing(folder: Path) -> Storm:
        bench.pace("burst")
        async with cluster.cluster(folder, workloads=1) as kubeconfig:
            return await _ours(folder, warm, bodies, kubeconfig)

    async def paging(folder: Path) -> Storm:
        bench.pace("burst")
        return await _ours(folder, warm, bodies, None)

    async def theirs(folder: Path) -> Storm:
        async with ansible_rulebook(programs, folder, count=payloads.RULES) as peer:
            await peer.first_action()
            await loader.burst(f"{peer.url}/alertmanager", warm)
            await peer.acted_on(SIZE, within=SETTLE)
            before = set(peer.acted)
            sent = await loader.burst(f"{peer.url}/alertmanager", bodies)
            await peer.acted_on(SIZE + ALERTS, within=SETTLE)
            fresh = [at for fingerprint, at in peer.acted.items() if fingerprint not in before]
            return _storm(sent, max(fresh), len(fresh), peer.process.status("VmHWM"))

    taken = await bench.interleaved({"observing": observing, "paging": paging, "ansible-rulebook": theirs})
    peer = taken["ansible-rulebook"]
    return (
        *_findings("rules that act, observed", taken["observing"], peer),
        *_findings("rules that page", taken["paging"], peer),
    )


async def _ours(
    folder: Path, warm: Sequence[bytes], bodies: Sequence[bytes], kubeconfig: Path | None
) -> Storm:
    rules = daemon.rulebook(payloads.RULES, acting=kubeconfig is not None)
    async with daemon.daemon(folder, rules, kubeconfig=kubeconfig) as subject:
        await loader.burst(subject.alertmanager, warm)
        await subject.decided(SIZE, within=SETTLE)
        sent = await loader.burst(subject.alertmanager, bodies)
        await subject.decided(SIZE + ALERTS, within=SETTLE)
        last = await subject.last_decision()
        again = await loader.burst(subject.alertmanager, bodies)
        await loader.burst(subject.alertmanager, [payloads.post(FIRST + ALERTS, 1)])
        await subject.decided(SIZE + ALERTS + 1, within=SETTLE)
        effects = daemon.settled(await subject.decisions()) - SIZE - 1
        if loader.refused(again):
            raise Gone(f"{loader.refused(again)} repeated posts were refused; see {subject.process.output}")
        return _storm(sent, last, effects, subject.process.status("VmHWM"))


def _storm(sent: Sequence[Sent], last: float, effects: int, peak: float) -> Storm:
    if loader.refused(sent):
        raise Gone(f"{loader.refused(sent)} of {len(sent)} posts of the burst were refused")
    answered = percentile([each.milliseconds for each in sent], 0.99)
    return Storm(answered, last - min(each.began for each in sent), effects, peak)


def _findings(rules: str, ours: Sequence[Storm], theirs: Sequence[Storm]) -> Sequence[Finding]:
    peer = "ansible-rulebook"
    return (
        Finding(
            row="burst",
            what=f"10,000 alerts, {rules}: p99 of the 200",
            unit="ms",
            ours=[storm.answered_p99 for storm in ours],
            beside=peer,
            theirs=[storm.answered_p99 for storm in theirs],
            goal=Goal("at most", 0.25),
        ),
        Finding(
            row="burst",
            what=f"10,000 alerts, {rules}: last decision after the first byte",
            unit="s",
            ours=[storm.last for storm in ours],
            beside=f"{peer}, last event printed",
            theirs=[storm.last for storm in theirs],
            goal=Goal("at most", LAST_DECISION, "value"),
        ),
        Finding(
            row="burst",
            what=f"10,000 alerts delivered twice, {rules}: decided once",
            unit="alerts",
            ours=[float(storm.effects) for storm in ours],
            beside=f"{peer}, events after one delivery",
            theirs=[float(storm.effects) for storm in theirs],
            goal=Goal("exactly", ALERTS, "value"),
        ),
    )
