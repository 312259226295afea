"""The daemon dies between its intent and the outcome: its successor asks the target, and never acts twice."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.e2e.admission import AdmissionGate, Write
from tests.e2e.daemon import Daemon
from tests.e2e.scene import Scene
from tests.support.clusters import ALSO_GOOD
from tests.support.processes import eventually

pytestmark = pytest.mark.timeout(120)  # the first one also starts the control plane


def any_write(_: Write) -> bool:
    return True


def the_change(write: Write) -> bool:
    return write.changes_template


@pytest.mark.parametrize("moment", [any_write, the_change], ids=["its first write", "the change itself"])
async def test_killed_before_a_write_is_made_the_change_is_made_once(
    scene: Scene, moment: Callable[[Write], bool]
) -> None:
    """The write never reaches the store: the successor sees that it did not happen, and makes it."""
    victims: list[Daemon] = []

    async def kill(write: Write) -> bool:
        if victims and moment(write):
            victims.pop().process.kill()
            return False
        return True

    async with scene.alertmanager(), AdmissionGate(scene.cluster, kill):
        with scene.daemon() as daemon:
            victims.append(daemon)
            outage = await scene.outage()
            await eventually(lambda: not daemon.process.running, "the daemon killed", within=20)
        assert scene.cluster.template_writes() == []

        with scene.daemon() as successor:
            await scene.repaired()
            await outage.over()
            await scene.told("repaired and verified")
            proven_once(successor)
            assert "it did not happen" in str(successor.events("attempt.failed"))
    assert len(scene.cluster.template_writes()) == 1


async def test_killed_before_the_reply_the_change_is_not_made_again(scene: Scene) -> None:
    """The change was made and nobody heard: the successor finds it on the target, and goes on to prove."""
    victims: list[Daemon] = []

    async def stop(write: Write) -> bool:
        if victims and write.changes_template:
            # stopped, not killed: a connection that closes would take its request with it
            victims.pop().process.send(signal.SIGSTOP)
        return True

    async with scene.alertmanager(), AdmissionGate(scene.cluster, stop):
        with scene.daemon() as daemon:
            victims.append(daemon)
            outage = await scene.outage()
            await eventually(scene.cluster.template_writes, "the change made", within=20)
            daemon.process.kill()
        assert await scene.image() == ALSO_GOOD

        with scene.daemon() as successor:
            await scene.repaired()
            await outage.over()
            await scene.told("repaired and verified")
            assert len(scene.cluster.template_writes()) == 1
            proven_once(successor)
            assert "it did happen" in str(successor.events("attempt.succeeded"))


def proven_once(successor: Daemon) -> None:
    """One run, taken over once, and proven."""
    (run,) = successor.runs()
    assert run["outcome"] == "succeeded"
    (taken,) = successor.events("attempt.taken_over")
    assert taken["run"] == run["id"]
