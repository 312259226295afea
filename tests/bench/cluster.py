"""A Kubernetes API for the rows that act: the stand-in, in a process of its own, with a Deployment an alert.

Run as a process: `python -m tests.bench.cluster KUBECONFIG WORKLOADS`; KUBECONFIG is written once all are up,
and `writes.json` beside it after SIGTERM: when each Deployment was first written to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop

from remediator.sandbox.kubernetes import StandIn
from tests.bench import payloads
from tests.bench.peers.bare import ROOT
from tests.bench.processes import Gone, running

IMAGE = "registry.example.org/shop/workload:1.4.2"
ROLLED_OUT_WITHIN = 120.0
WRITES = "writes.json"


@contextlib.asynccontextmanager
async def cluster(folder: Path, *, workloads: int) -> AsyncIterator[Path]:
    """The kubeconfig of a cluster with so many healthy Deployments of one replica each. Raises Gone."""
    kubeconfig = folder / "kubeconfig.yaml"
    argv = (sys.executable, "-m", "tests.bench.cluster", kubeconfig, str(workloads))
    async with running("cluster", argv, folder=folder, env={"PYTHONPATH": str(ROOT)}) as process:
        deadline = time.monotonic() + ROLLED_OUT_WITHIN
        while not kubeconfig.exists():
            process.check()
            if time.monotonic() > deadline:
                raise Gone(f"the cluster was not ready within {ROLLED_OUT_WITHIN} s; see {process.output}")
            await asyncio.sleep(0.05)
        yield kubeconfig


async def serve(kubeconfig: Path, workloads: int) -> None:
    """Serve until cancelled."""
    async with StandIn() as standin:
        for index in range(workloads):
            standin.deploy(payloads.namespace(index), payloads.deployment(index), IMAGE, replicas=1)
        await standin.settled(ROLLED_OUT_WITHIN)
        standin.audit.clear()
        standin.kubeconfig(kubeconfig.with_suffix(".part")).rename(kubeconfig)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        changes = reversed(standin.audit.changes(resource="deployments", verb="patch"))
        seconds = {entry.name: entry.at.timestamp() for entry in changes}
        kubeconfig.with_name(WRITES).write_text(json.dumps(seconds))


def first_writes(folder: Path) -> dict[str, float]:
    """The wall clock of the first write to each Deployment, by its name, of a cluster that has ended."""
    return {name: float(at) for name, at in json.loads((folder / WRITES).read_text()).items()}


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
