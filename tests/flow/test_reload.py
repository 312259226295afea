"""Rules that change while alerts pour in: no webhook is lost, and no run mixes two rulebooks."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from remediator.rulebook.source import rulebook_hash
from remediator.sandbox.alertmanager import Alert
from remediator.sandbox.kubernetes.api import ApiRequest
from tests.support.daemon import Story, World, changing
from tests.support.processes import ManagedProcess, eventually
from tests.support.rulebooks import NAMESPACE, alert, image, rule, rules, step

SERVICES = tuple(f"service-{number}" for number in range(4))
#: Versions of the rules, each put in force in the next of the three ways.
VERSIONS = 6
SETTINGS = {"LEASE_TTL": "4s"}


def version(number: int) -> str:
    """Rules whose steps bear the version in their names and in what they do."""
    steps = [
        step("kubernetes.rollout_restart", id=f"restart_{number}"),
        step("kubernetes.scale", id=f"scale_{number}", with_={"replicas": number}),
    ]
    grow = rule("grow", steps=steps, limits={"cooldown": 0}, deadline="1m", report=["log"])
    return rules(
        grow, brake={"targets": "1000/1m", "failures": "1000/1m", "parallel": 9}, defaults={"report": ["log"]}
    )


def restarting(request: ApiRequest) -> bool:
    """Whether a request is the write of the first step, after which the second is still to come."""
    return changing(request) and b"/spec/template" in request.body


class Volume:
    """A mounted ConfigMap: links to files in a folder that is swapped as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._versions = itertools.count()
        folder.mkdir()

    def swap(self, text: str) -> None:
        name = f"..{next(self._versions)}"
        (self.folder / name).mkdir()
        (self.folder / name / "rules.yaml").write_text(text)
        (self.folder / "..tmp").symlink_to(name)
        (self.folder / "..tmp").replace(self.folder / "..data")
        if not (self.folder / "rules.yaml").is_symlink():
            (self.folder / "rules.yaml").symlink_to("..data/rules.yaml")

    def write(self, text: str) -> None:
        """Write the file where it lies, in two halves."""
        with (self.folder / "rules.yaml").open("w") as file:
            for half in (text[: len(text) // 2], text[len(text) // 2 :]):
                file.write(half)
                file.flush()


def hash_of(text: str) -> str:
    return rulebook_hash({"rules.yaml": text})


async def taken(world: World, firing: Alert) -> None:
    """Post an alert, as Alertmanager does until it is taken: nobody listens while the daemon starts again."""
    while True:
        try:
            return await world.fire(firing)
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)


@asynccontextmanager
async def pouring(world: World) -> AsyncIterator[list[str]]:
    """Posts one new alert after the other, each of which has to be taken; gives their instances."""
    posted: list[str] = []
    enough = asyncio.Event()

    async def post() -> None:
        for number in itertools.takewhile(lambda _: not enough.is_set(), itertools.count()):
            instance = f"10.0.{number // 250}.{number % 250}:80"
            await taken(world, alert(SERVICES[number % len(SERVICES)], instance=instance))
            posted.append(instance)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(post())
    try:
        yield posted
    finally:
        enough.set()
        await task


async def put_in_force(world: World, volume: Volume, process: ManagedProcess, number: int) -> None:
    """Change the rules, one way or another, while a run is in the midst of the steps of those before.

    At the last change the daemon is killed, too, and goes on with that run once it is up again.
    """
    held = world.hold(restarting)
    await held.struck()
    way = (volume.swap, volume.write)[number % 2]
    way(version(number))
    if number % 3 == 0:
        process.send(signal.SIGHUP)

    async def there() -> bool:
        found = (await world.get("/status"))["rulebook"]["hash"]
        assert found == hash_of(version(number))
        return True

    await eventually(there, f"version {number} is in force", within=20)
    if number == VERSIONS:
        process.kill()
    held.release()
    if number == VERSIONS:
        await world.spawn(**SETTINGS, RULES=str(volume.folder))


async def is_refused(world: World) -> None:
    async def there() -> bool:
        status, said = await world.ask("GET", "/ready")
        assert (status, said["status"]) == (200, "ready")
        assert "rules.yaml:1:" in said["detail"], said
        return True

    await eventually(there, "the broken file is refused", within=20)


async def everything(world: World, path: str) -> list[Story]:
    """All of a list that comes in pages, newest first."""
    found: list[Any] = []
    while page := await world.get(f"{path}?limit=100" + (f"&before={found[-1]['id']}" if found else "")):
        found += page
    return found


@pytest.mark.timeout(180)
async def test_rules_that_change_under_load_lose_no_webhook_and_mix_no_two_rulebooks_in_a_run(
    world: World,
) -> None:
    for name in SERVICES:
        world.cluster.deploy(NAMESPACE, name, image(name, 1), replicas=2)
    await world.cluster.settled()
    volume = Volume(world.folder / "mounted")
    volume.swap(version(1))
    process = await world.spawn(**SETTINGS, RULES=str(volume.folder))
    async with pouring(world) as posted:
        for number in range(2, VERSIONS + 1):
            await put_in_force(world, volume, process, number)
            if number == VERSIONS // 2:
                volume.swap("rules: nonsense")
                await is_refused(world)
                assert (await world.get("/status"))["rulebook"]["hash"] == hash_of(version(number))
    await world.idle()

    decisions = await everything(world, "/decisions")
    assert len({each["episode"] for each in decisions}) == len(posted)
    numbers = {hash_of(version(number)): number for number in range(1, VERSIONS + 1)}
    assert {numbers[each["rulebook"]] for each in decisions} == set(numbers.values())
    assert not await world.events("alarm.raised")
    runs = {run["id"]: run for run in await everything(world, "/runs")}
    assert all(
        runs[each["run"]]["rulebook"] == each["rulebook"] for each in decisions if each["kind"] == "run"
    )
    for run in runs.values():
        number, story = numbers[run["rulebook"]], await world.story(run)
        assert run["outcome"] == "succeeded", story
        steps = [(attempt["step"], attempt["with"].get("replicas")) for attempt in story["attempts"]]
        assert list(dict.fromkeys(steps)) == [(f"restart_{number}", None), (f"scale_{number}", number)], story
