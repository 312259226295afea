"""A Kubernetes API for the rows that act, in a process of its own: a Deployment an alert, rolled out at once.

It serves only what scaling a Deployment and proving it takes, and next to nothing happens behind it: what a
cluster does belongs to the cluster, and on a machine of two CPUs it would be measured as ours. JSON Patches
are applied as the stand-in of `remediator.sandbox` applies them, `test` included.

Run as a process: `python -m tests.bench.cluster KUBECONFIG WORKLOADS`; KUBECONFIG is written once it listens,
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
from typing import Any

import msgspec
import uvloop
import yaml
from aiohttp import web

from remediator.sandbox.kubernetes.patches import PatchRejectedError, json_patch
from tests.bench import payloads
from tests.bench.peers.bare import ROOT
from tests.bench.processes import Gone, free_port, running

LISTENING_WITHIN = 30.0
WRITES = "writes.json"
IMAGE = "registry.example.org/shop/workload:1.4.2"
DEPLOYMENT = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"


@contextlib.asynccontextmanager
async def cluster(folder: Path, *, workloads: int) -> AsyncIterator[Path]:
    """The kubeconfig of a cluster with so many Deployments of one replica each. Raises Gone."""
    kubeconfig = folder / "kubeconfig.yaml"
    argv = (sys.executable, "-m", "tests.bench.cluster", kubeconfig, str(workloads))
    async with running("cluster", argv, folder=folder, env={"PYTHONPATH": str(ROOT)}) as process:
        deadline = time.monotonic() + LISTENING_WITHIN
        while not kubeconfig.exists():
            process.check()
            if time.monotonic() > deadline:
                raise Gone(f"the cluster did not listen within {LISTENING_WITHIN} s; see {process.output}")
            await asyncio.sleep(0.05)
        yield kubeconfig


def first_writes(folder: Path) -> dict[str, float]:
    """The wall clock of the first write to each Deployment, by its name, of a cluster that has ended."""
    return {name: float(at) for name, at in json.loads((folder / WRITES).read_text()).items()}


class Deployments:
    """The Deployments, each of them rolled out as soon as it is written."""

    def __init__(self, count: int) -> None:
        self._held = {payloads.deployment(i): _rolled_out(_deployment(i)) for i in range(count)}
        self._version = count
        self.first_writes: dict[str, float] = {}

    def get(self, name: str) -> dict[str, Any] | None:
        return self._held.get(name)

    def patch(self, name: str, operations: Any) -> dict[str, Any]:
        """Apply a JSON Patch. Raises KeyError, and PatchRejectedError when a `test` in it does not hold."""
        held = self._held[name]
        patched: dict[str, Any] = json_patch(held, operations)
        self._version += 1
        patched["metadata"]["resourceVersion"] = str(self._version)
        patched["metadata"]["generation"] += patched["spec"] != held["spec"]
        self._held[name] = _rolled_out(patched)
        self.first_writes.setdefault(name, time.time())
        return patched


def _deployment(index: int) -> dict[str, Any]:
    name, labels = payloads.deployment(index), {"app": payloads.deployment(index)}
    ports = [{"containerPort": 8080, "protocol": "TCP"}]
    containers = [{"name": name, "image": IMAGE, "ports": ports, "resources": {}}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": payloads.namespace(index),
            "uid": f"00000000-0000-4000-8000-{index:012d}",
            "resourceVersion": str(index),
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": "1"},
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            },
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        },
    }


def _rolled_out(found: dict[str, Any]) -> dict[str, Any]:
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    status = dict.fromkeys(counts, found["spec"]["replicas"])
    found["status"] = status | {"observedGeneration": found["metadata"]["generation"]}
    return found


def application(deployments: Deployments) -> web.Application:
    """The API as an aiohttp application."""

    def answered(found: Any, code: int = 200) -> web.Response:
        return web.Response(body=msgspec.json.encode(found), status=code, content_type="application/json")

    def refused(code: int, reason: str) -> web.Response:
        return answered({"kind": "Status", "status": "Failure", "reason": reason, "code": code}, code)

    async def get(request: web.Request) -> web.Response:
        found = deployments.get(request.match_info["name"])
        return refused(404, "NotFound") if found is None else answered(found)

    async def patch(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if deployments.get(name) is None:
            return refused(404, "NotFound")
        try:
            return answered(deployments.patch(name, msgspec.json.decode(await request.read())))
        except PatchRejectedError:
            return refused(422, "Invalid")

    async def version(_: web.Request) -> web.Response:
        return answered({"major": "1", "minor": "33", "gitVersion": "v1.33.0"})

    app = web.Application()
    app.router.add_get(DEPLOYMENT, get)
    app.router.add_patch(DEPLOYMENT, patch)
    app.router.add_get("/version", version)
    app.router.add_get("/version/", version)
    return app


async def serve(kubeconfig: Path, workloads: int) -> None:
    """Serve until SIGTERM."""
    deployments, port, stop = Deployments(workloads), free_port(), asyncio.Event()
    runner = web.AppRunner(application(deployments), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    part = kubeconfig.with_suffix(".part")
    part.write_text(yaml.safe_dump(_kubeconfig(f"http://127.0.0.1:{port}")))
    part.rename(kubeconfig)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    kubeconfig.with_name(WRITES).write_text(json.dumps(deployments.first_writes))
    await runner.cleanup()


def _kubeconfig(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {"server": server}}],
        "users": [{"name": "bench", "user": {}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    }


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
