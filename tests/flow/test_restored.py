"""A ledger that is put back from a copy: the daemon starts paused, pages, probes, and goes on when told."""

from __future__ import annotations

import asyncio
import shutil
from urllib.parse import urlsplit

import pytest

from remediator.sandbox.faults import DropReply
from tests.store.postgres import server
from tests.support.daemon import ADAS, World, changing, reading
from tests.support.processes import eventually
from tests.support.rulebooks import NAMESPACE, SERVICE, rule, rules

QUICK = {"limits": {"cooldown": "1s"}}
TOKEN = "remediator.dev/fencing-token"


def token_on(world: World, name: str = SERVICE) -> int:
    return int(world.cluster.get("deployments", NAMESPACE, name)["metadata"]["annotations"][TOKEN])


class Ledger:
    """Where the daemon's ledger is, which is kept and put back while no daemon runs."""

    def __init__(self, world: World, kind: str) -> None:
        self._world, self._kind = world, kind
        self.url = server().make_database() if kind == "postgres" else f"sqlite:///{world.ledger}"
        self._kept = ""

    def keep(self) -> None:
        if self._kind == "postgres":
            self._kept = server().make_database(urlsplit(self.url).path[1:])
        else:
            self._kept = str(shutil.copy(self._world.ledger, self._world.folder / "kept.db"))

    def put_back(self) -> None:
        if self._kind == "postgres":
            self.url = self._kept
        else:
            shutil.copy(self._kept, self._world.ledger)

    async def spawn(self, text: str | None = None) -> None:
        await self._world.spawn(text, STORE=self.url, **self._world.pager_environment)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_it_waits_for_a_person_and_then_acts_with_a_greater_token(world: World, kind: str) -> None:
    ledger = await asyncio.to_thread(Ledger, world, kind)
    await ledger.spawn(rules(rule(**QUICK)))
    await world.fire(await world.break_service("first"))
    assert (await world.run_ended())["outcome"] == "succeeded"
    await world.stop()
    await asyncio.to_thread(ledger.keep)
    await ledger.spawn()
    later = [f"later-{number}" for number in range(3)]
    for name in later:
        await world.fire(await world.break_service(name))
    await world.run_ended(4)
    token = max(token_on(world, name) for name in later)
    await world.stop()
    ledger.put_back()
    await ledger.spawn()
    (pause,) = (await world.get("/status"))["pauses"]
    assert (pause["scope"], pause["who"]) == ("all", "remediator")
    assert pause["why"].startswith("ledger restored: ")
    incident = await world.incident("triggered")
    assert "put back" in incident.summary
    firing = await world.break_service("third")
    await world.fire(firing)
    await world.decided("paused")
    assert world.applied("third") == []
    code, _, errors = await world.cli("resume", "--why", "looked at everything", token=ADAS)
    assert code == 0, errors
    await world.incident("resolved")
    await world.resolve(firing)
    await world.fire(await world.break_service("fourth"))
    await eventually(lambda: len(world.applied("fourth")) == 1, "it acts again", within=20)
    assert token_on(world, "fourth") > token


async def test_a_copy_of_the_running_ledger_is_put_back_by_hand(world: World) -> None:
    """What the command line wrote is a whole ledger, and knows that it is a copy."""
    await world.spawn(rules(rule(**QUICK)))
    await world.fire(await world.break_service("first"))
    await world.run_ended()
    copy = world.folder / "copy.db"
    assert (await world.cli("backup", "--ledger", str(copy)))[0] == 0
    code, _, errors = await world.cli("backup", "--ledger", str(copy))
    assert (code, "is there already" in errors) == (2, True)
    await world.stop()
    for path in (world.ledger, *world.folder.glob("ledger.db-*")):
        path.unlink()
    shutil.copy(copy, world.ledger)
    await world.spawn()
    assert len(await world.runs()) == 1
    (pause,) = (await world.get("/status"))["pauses"]
    assert "it is a copy of " in pause["why"]


async def test_an_attempt_that_was_under_way_is_probed_and_not_done_again(world: World) -> None:
    process = await world.spawn(rules())
    firing = await world.break_service()
    planned = world.cluster.faults.add(changing, DropReply())
    await world.fire(firing)
    await planned.struck()
    process.kill()
    await asyncio.to_thread(process.stop)
    for suffix in ("", "-wal"):
        shutil.copy(f"{world.ledger}{suffix}", world.folder / f"kept.db{suffix}")
    await world.spawn()
    await world.run_ended()
    await world.stop()
    assert len(world.applied()) == 1
    for suffix in ("", "-wal"):
        shutil.copy(world.folder / f"kept.db{suffix}", f"{world.ledger}{suffix}")
    await world.spawn()
    assert len((await world.get("/status"))["pauses"]) == 1

    async def probed() -> bool:
        (run,) = await world.runs()
        kinds = [event["kind"] for event in (await world.story(run))["events"]]
        return "attempt.taken_over" in kinds and "attempt.succeeded" in kinds

    await eventually(probed, "the attempt is probed", within=20)
    assert len(world.applied()) == 1


async def test_a_run_that_was_done_after_the_copy_is_not_done_again(world: World) -> None:
    await world.spawn(rules(rule(deadline="10m")))
    held = world.hold(reading)
    await world.fire(await world.break_service())
    await held.struck()
    assert (await world.cli("pause", "--rule", "rollback", "--why", "a copy is made"))[0] == 0
    held.release()
    copy = world.folder / "copy.db"
    assert (await world.cli("backup", "--ledger", str(copy)))[0] == 0
    assert (await world.cli("resume", "--rule", "rollback"))[0] == 0
    assert (await world.run_ended())["outcome"] == "succeeded"
    await world.stop()
    for path in (world.ledger, *world.folder.glob("ledger.db-*")):
        path.unlink()
    shutil.copy(copy, world.ledger)
    await world.spawn()
    for lifted in ([], ["--rule", "rollback"]):
        assert (await world.cli("resume", *lifted, "--why", "looked at everything", token=ADAS))[0] == 0
    done = await world.run_ended()
    assert (done["outcome"], done["reason"]) == ("refused", "forgotten")
    await world.paged("bears attempt")
    assert len(world.applied()) == 1
