"""Daemons that share one ledger on PostgreSQL: one rulebook for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from remediator.app import running
from remediator.core.ids import RulebookHash
from tests.store.postgres import server
from tests.support.daemon import ADAS, OPERATOR, World, changing
from tests.support.processes import eventually
from tests.support.rulebooks import rule, rules, step

#: Seconds in which one replica follows what another put in force, which the ledger's wire tells it at once.
PROMPTLY = 3.0


@dataclass(slots=True)
class Replicas:
    """Daemons by name, each with rule files of its own."""

    world: World
    store: str
    stack: AsyncExitStack
    urls: dict[str, str]

    async def start(self, name: str, text: str) -> None:
        self.write(name, text)
        settings = self.world._settings({"store": self.store, "rules": self._file(name)})
        daemon = running(settings, kubeconfig=self.world.kubeconfig)
        self.urls[name] = (await self.stack.enter_async_context(daemon)).url

    def write(self, name: str, text: str) -> None:
        self._file(name).parent.mkdir(exist_ok=True)
        self._file(name).write_text(text)

    def _file(self, name: str) -> Path:
        """Its name within its folder is part of the rulebook, and so the same for all."""
        return self.world.folder / name / "rules.yaml"

    async def ask(
        self, name: str, method: str, path: str, body: object = None, *, token: str = OPERATOR
    ) -> tuple[int, Any]:
        headers, url = {"Authorization": f"Bearer {token}"}, f"{self.urls[name]}{path}"
        async with self.world.http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def status(self, name: str) -> Any:
        return (await self.ask(name, "GET", "/api/v1/status"))[1]

    async def metrics(self, name: str) -> dict[str, float]:
        """The gauges about the rulebook: its hash, and whether this replica's files drifted from it."""
        async with self.world.http.get(f"{self.urls[name]}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
            samples = [sample for family in families for sample in family.samples]
        wanted = {"remediator_rulebook_drift": "drift", "remediator_rulebook_info": "hash"}
        return {
            sample.labels.get("hash", wanted[sample.name]): sample.value
            for sample in samples
            if sample.name in wanted
        }


@pytest.fixture
async def replicas(world: World) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        yield Replicas(world, server().make_database(), stack, {})


async def shows(replicas: Replicas, name: str, active: RulebookHash, *, drift: bool) -> None:
    """Wait until a replica has this rulebook in force, and says whether its files are others."""

    async def there() -> bool:
        seen = await replicas.metrics(name)
        assert seen == {active: 1.0, "drift": float(drift)}, seen
        status = await replicas.status(name)
        assert status["rulebook"]["hash"] == active
        assert (status["drift"] is not None, bool(status["rule_files"])) == (drift, drift)
        return True

    await eventually(there, f"{name} has {active[:12]} in force, drift {drift}", within=PROMPTLY)


async def test_a_replica_follows_what_another_puts_in_force_and_shows_its_own_files_as_drift(
    replicas: Replicas,
) -> None:
    await replicas.start("a", rules())
    await replicas.start("b", rules())
    old = (await replicas.status("a"))["rulebook"]["hash"]
    await shows(replicas, "b", old, drift=False)
    replicas.write("a", rules(rule(summary="Newer")))
    status, said = await replicas.ask("a", "POST", "/api/v1/rulebook/reload")
    assert status == 200
    new = said["rulebook"]["hash"]
    await shows(replicas, "b", new, drift=True)
    await shows(replicas, "a", new, drift=False)
    replicas.write("b", rules(rule(summary="Newer")))
    assert (await replicas.ask("b", "POST", "/api/v1/rulebook/reload"))[1]["proposal"] == "unchanged"
    await shows(replicas, "b", new, drift=False)


async def test_a_replica_that_starts_with_other_files_than_ever_seen_takes_over_and_the_rest_drift(
    replicas: Replicas,
) -> None:
    """So does each step of a rolling update; one that starts again with the old files changes nothing."""
    await replicas.start("a", rules())
    await replicas.start("b", rules(rule(summary="Newer")))
    new = (await replicas.status("b"))["rulebook"]["hash"]
    await shows(replicas, "a", new, drift=True)
    await replicas.start("c", rules())
    await shows(replicas, "c", new, drift=True)
    await shows(replicas, "b", new, drift=False)


async def test_a_grant_at_any_replica_is_heard_by_all_and_done_once(replicas: Replicas) -> None:
    """Both are asked at once, of two clicks one is first, and one of the replicas acts."""
    world = replicas.world
    text = rules(rule(approval={"within": "10m"}))
    for name in ("a", "b"):
        await replicas.start(name, text)
    world.url = replicas.urls["a"]
    await world.fire(await world.break_service())
    run = await world.run_in("asking")
    path, body = f"/api/v1/runs/{run['id']}/approve", {"why": "looked"}
    answers = await asyncio.gather(
        *(replicas.ask(name, "POST", path, body, token=ADAS) for name in ("a", "b", "b", "a"))
    )
    assert sorted(status for status, _ in answers) == [200, 409, 409, 409]
    done = await world.run_ended()
    assert (done["outcome"], len(done["approvals"])) == ("succeeded", 1)
    assert len(world.applied()) == 1


async def test_a_pause_at_one_replica_holds_what_any_other_does_before_its_next_step(
    replicas: Replicas,
) -> None:
    world = replicas.world
    text = rules(rule(steps=[step(), step("kubernetes.rollout_restart")]))
    for name in ("a", "b"):
        await replicas.start(name, text)
    world.url = replicas.urls["a"]
    firing = await world.break_service()
    held = world.hold(changing)
    await world.fire(firing)
    await held.struck()
    made = [
        (await replicas.ask(name, "POST", "/api/v1/pauses", {"why": f"at {name}"}))[1]["id"] for name in "ab"
    ]
    held.release()
    await world.told("waiting for", "paused by operator: at a")
    # One of two is lifted, at the other replica: the run waits on.
    lifted = {"id": made[0], "why": "done"}
    assert (await replicas.ask("b", "POST", "/api/v1/resume", lifted))[0] == 200
    await world.told("waiting for", "paused by operator: at b")
    assert len(world.applied()) == 1
    assert (await replicas.ask("a", "POST", "/api/v1/resume", {"id": made[1], "why": "done"}))[0] == 200
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 2
