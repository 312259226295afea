"""Clocks jump by an hour under daemons that repair: nothing is done twice, and everything is told.

On SQLite the ledger's time is the daemon's wall clock: no intent is written before the time of a lease has
passed since the jump, as one that was taken before it may hold for as long. On PostgreSQL it is that of the
database: what the clock of a replica says is nothing to it, and when the database's jumps the fences hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.faults.arena import Arena, an_arena
from tests.faults.scenarios import REPAIR, ROLLED_OUT
from tests.faults.test_servers import goes_on, unharmed
from tests.store.postgres import aside, execute, server
from tests.support.daemon import World, a_world, changing
from tests.support.processes import eventually, free_port
from tests.support.rulebooks import rules

pytestmark = pytest.mark.timeout(400)
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
#: The wall clock alone is another's, and looked up anew each second: each time would cost more than the work.
FAKED = {"DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1"}
AN_HOUR_ON = (
    "CREATE OR REPLACE FUNCTION remediator_now() RETURNS bigint LANGUAGE sql VOLATILE AS"
    " 'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 3600000000'"
)
TTL = timedelta(seconds=3)
HOUR = timedelta(hours=1)
#: Nothing of it is over when an hour has passed at once.
PATIENT = replace(REPAIR, name="patient", fields={"deadline": "3h", "verify": {**ROLLED_OUT, "within": "2h"}})


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def events(arena: Arena, *kinds: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = await arena.fleet.get("/events?limit=1000")
    return [each for each in found if each["kind"] in kinds]


async def jumps(arena: Arena) -> list[Mapping[str, Any]]:
    return await events(arena, "clock.jumped")


@pytest.mark.parametrize("by", [-HOUR, HOUR], ids=["back", "forth"])
async def test_an_hour(tmp_path: Path, by: timedelta) -> None:
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    async with an_arena(tmp_path, ledger, f"{TTL.seconds}s", (PATIENT,), size=1) as arena:
        playing = asyncio.create_task(arena.play(PATIENT, [unharmed] * 8, 3))
        await goes_on(arena, playing)
        arena.strikes.shift_clock(by)
        (jump,) = await eventually(lambda: jumps(arena), "the jump is told")
        await playing
        jumped, waited = moment(jump["at"]), moment(jump["data"]["acting_from"])
        begun = [moment(each["at"]) for each in await events(arena, "attempt.intended")]
        assert waited - jumped == TTL
        assert [at for at in begun if jumped < at < waited] == []
        assert [at for at in begun if at >= waited], "and then it goes on"


async def test_an_hour_forth_on_the_clock_of_the_database(tmp_path: Path) -> None:
    """All leases and claims are over at once: who holds one loses it, and is refused wherever it comes late.

    Set back, what was leased or claimed at that moment would be for an hour: nothing could be done twice.
    """
    url = server().make_database()
    async with an_arena(tmp_path, url, f"{TTL.seconds}s", (PATIENT,)) as arena:
        playing = asyncio.create_task(arena.play(PATIENT, [unharmed] * 8, 3))
        await goes_on(arena, playing)
        await asyncio.to_thread(lambda: aside().do(execute(url, AN_HOUR_ON)))
        await playing


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed: apt-get install faketime")
async def test_an_hour_on_the_clock_of_the_replicas_is_nothing_to_a_ledger_on_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, url = tmp_path / "clock", server().make_database()
    clock.write_text("+0s")
    faked = {**FAKED, "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock)}
    for name, value in faked.items():
        monkeypatch.setenv(name, value)
    async with a_world(tmp_path) as world, AsyncExitStack() as running:
        await world.spawn(rules(), STORE=url)
        second = world.launch("second", STORE=url, LISTEN=f"127.0.0.1:{free_port()}")
        running.callback(second.stop)
        held = world.hold(changing)
        await world.fire(await world.break_service())
        await held.struck(60)
        for by in (HOUR, -HOUR):
            clock.write_text(f"{int(by.total_seconds()):+d}s")
            await says(world, by)
            for _ in range(3):
                await renewed(url)
        second.require_running()
        held.release()
        run = await world.run_ended(within=60)
        assert run["outcome"] == "succeeded"
        assert len(run["attempts"]) == len(world.applied()) == 1
        assert await world.events("lease.lost", "attempt.taken_over", "clock.jumped") == []


async def says(world: World, by: timedelta) -> None:
    """Return once the daemon's own clock is this far from ours."""

    async def so_far() -> bool:
        told = moment((await world.ask("GET", "/health"))[1]["timestamp"])
        return abs(told - datetime.now(UTC) - by) < timedelta(minutes=1)

    await eventually(so_far, f"its clock is {by} away", within=30)


async def renewed(url: str) -> None:
    """Return once a lease holds for longer than it does now."""
    connection = await asyncpg.connect(url)

    async def until() -> int:
        return int(await connection.fetchval("SELECT max(expires_at) FROM leases"))

    async def longer() -> bool:
        return await until() > now

    try:
        now = await until()
        await eventually(longer, "the lease is renewed", within=30)
    finally:
        await connection.close()
