"""The main job on real servers: Alertmanager, kube-apiserver with its controllers, and the daemon's process.

What was changed is counted from the API server's audit log, never from our own ledger.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.scene import PAGE, SERVICE, Scene
from tests.support.alertmanager import Alertmanager
from tests.support.clusters import ALSO_GOOD, BROKEN
from tests.support.processes import eventually

pytestmark = pytest.mark.timeout(120)  # the first one also starts the control plane

BROKEN_AGAIN = "shop/cart:1.5.1"


async def test_an_alert_rolls_the_broken_release_back_and_slack_says_so(scene: Scene) -> None:
    """From Alertmanager's API to Slack, with one change and no page."""
    async with scene.alertmanager():
        with scene.daemon() as daemon:
            outage = await scene.outage()
            await scene.repaired()
            await outage.over()
            await scene.told("repaired and verified", BROKEN, ALSO_GOOD)
            (run,) = daemon.runs()
            assert (run["outcome"], run["rule"]) == ("succeeded", "service-down-rollback")
            assert run["target"] == f"deployment/{scene.cluster.namespace}/{SERVICE}"
            await eventually(lambda: daemon.events("episode.resolved"), "the alert's end", within=20)
            health = daemon.get("/health")
            assert {health[part]["status"] for part in ("store", "kubernetes", "alertmanager")} == {"healthy"}
    assert scene.pages() == []
    assert await scene.cluster.marked() == {BROKEN}
    assert len(scene.cluster.template_writes()) == 1


@pytest.mark.parametrize(
    "rolled_out_again", [False, True], ids=["still on the old release", "rolled out again"]
)
async def test_down_again_within_the_cooldown_is_a_persons(scene: Scene, *, rolled_out_again: bool) -> None:
    """The second alert changes nothing and pages, whether or not somebody has rolled out meanwhile."""
    async with scene.alertmanager():
        with scene.daemon() as daemon:
            outage = await scene.outage()
            await scene.repaired()
            await outage.over()
            await scene.told("repaired and verified")
            if rolled_out_again:
                await scene.cluster.roll_out(SERVICE, BROKEN_AGAIN)
            image = await scene.image()
            assert scene.pages() == []

            await scene.outage()
            await scene.told(PAGE, "ServiceDown", "the repair did not last")
            assert len(daemon.runs()) == 1
    assert len(scene.cluster.template_writes()) == 1
    assert await scene.image() == image


async def test_observing_reports_the_change_and_makes_none(scene: Scene) -> None:
    """The lower of two modes holds: with live rules, an observing daemon writes nothing whatever."""
    async with scene.alertmanager():
        with scene.daemon(mode="observe") as daemon:
            await scene.outage()
            report = await scene.told("observed only, nothing was changed")
            assert f"-  - image: {BROKEN}" in str(report.payload)
            assert f"+  - image: {ALSO_GOOD}" in str(report.payload)
            (run,) = daemon.runs()
            assert run["outcome"] == "observed"
            assert f"+  - image: {ALSO_GOOD}" in daemon.cli("explain", run["id"])
    assert scene.cluster.writes() == []
    assert await scene.image() == BROKEN


async def test_two_alertmanagers_that_do_not_know_each_other_are_one_run(scene: Scene) -> None:
    """The worst of an HA pair: a split between them, so that both tell of everything."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(scene.alertmanager())
        with scene.daemon() as daemon:
            outage = await scene.outage()
            await eventually(lambda: daemon.webhooks("stored") >= 2, "a post of each", within=20)
            await scene.repaired()
            await outage.over()
            await scene.told("repaired and verified")
            assert [run["outcome"] for run in daemon.runs()] == ["succeeded"]
            assert len(daemon.events("episode.opened")) == 1
    assert len(scene.cluster.template_writes()) == 1


async def test_an_alert_of_while_the_daemon_was_down_comes_after_all(scene: Scene) -> None:
    async with scene.alertmanager() as alertmanager:
        with scene.daemon():
            pass
        outage = await scene.outage()
        await refused(alertmanager)
        with scene.daemon() as daemon:
            await scene.repaired()
            await outage.over()
            await scene.told("repaired and verified")
            assert [run["outcome"] for run in daemon.runs()] == ["succeeded"]
    assert len(scene.cluster.template_writes()) == 1


async def test_an_alert_that_could_not_be_stored_comes_again(scene: Scene) -> None:
    """A disk that takes no more makes a post a 503, and Alertmanager tries again: nothing is lost."""
    async with scene.alertmanager() as alertmanager:
        with scene.daemon() as daemon:
            with full_disk(daemon):
                outage = await scene.outage()
                await refused(alertmanager)
                await eventually(lambda: not daemon.ready(), "/ready says 503")
                assert daemon.webhooks("stored") == 0
            await scene.repaired()
            await outage.over()
            await scene.told("repaired and verified")
            assert daemon.webhooks("unavailable") >= 1
            assert [run["outcome"] for run in daemon.runs()] == ["succeeded"]
    assert len(scene.cluster.template_writes()) == 1


async def refused(alertmanager: Alertmanager) -> None:
    """Wait until Alertmanager itself has counted a post of its webhook that did not get through."""
    await eventually(alertmanager.webhooks_failed, "a failed post, as Alertmanager counts it", within=30)


@contextmanager
def full_disk(daemon: Daemon) -> Iterator[None]:
    """No file of the process can be written to, as on a full disk: the kernel refuses each write."""
    pid = daemon.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
