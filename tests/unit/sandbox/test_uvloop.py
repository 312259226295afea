"""The daemon runs on uvloop, and so do the stand-ins beside it."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
import uvloop

from remediator.sandbox.alertmanager import AlertmanagerStandIn
from remediator.sandbox.faults import DropReply, Fault, Refuse
from remediator.sandbox.kubernetes import Matching, StandIn
from remediator.sandbox.scenario import BETTER, NAMESPACE, SERVICE, BrokenRollout


def test_the_scenario_runs_on_uvloop() -> None:
    async def heal() -> None:
        async with (
            StandIn(ready_after=0.01) as cluster,
            AlertmanagerStandIn() as alertmanager,
            BrokenRollout(cluster, alertmanager, resolves_after=0.01) as broken,
        ):
            cluster.set_image(NAMESPACE, SERVICE, BETTER)
            async with asyncio.timeout(10):
                await broken.over.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(heal())


@pytest.mark.parametrize("fault", [Refuse(), DropReply()])
def test_connections_are_cut_on_uvloop_too(fault: Fault) -> None:
    async def call() -> None:
        async with StandIn() as cluster, aiohttp.ClientSession() as session:
            cluster.faults.add(Matching(), fault)
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.post(f"{cluster.url}/api/v1/namespaces", json={"metadata": {"name": "new"}})
            names = [each["metadata"]["name"] for each in cluster.list("namespaces")]
            assert ("new" in names) == (fault == DropReply())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(call())
