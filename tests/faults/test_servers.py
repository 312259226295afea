"""The ledger's database is restarted, cut off, swallowed by the network and failed over, under load.

Whatever happens to it: each alert that was taken leads to one run with one change of its service, counted in
the cluster's audit log; each run is reported; while the ledger is away nothing is begun and nothing taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from tests.faults.arena import Arena, an_arena
from tests.faults.boundaries import Boundary, Fault, Side
from tests.faults.fleet import HOOK
from tests.faults.pair import a_pair
from tests.faults.scenarios import REPAIR
from tests.faults.strikes import Strike
from tests.store.postgres import execute, server, start_server
from tests.store.wires import Wire
from tests.support.processes import eventually

pytestmark = pytest.mark.timeout(400)

SERVICES, AT_ONCE = 10, 4
#: What is struck here is nobody's lease: it only has to be over soon.
TTL = "3s"
CUTS = 60
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = '{}' AND application_name = 'remediator'"
)


def unharmed(service: str) -> Strike:
    """No strike at all: what is struck here is the database."""
    return Strike(service, Boundary("nowhere", Side.BEFORE), Fault.LOST)


@asynccontextmanager
async def under_load(arena: Arena, services: int = SERVICES) -> AsyncIterator[asyncio.Task[Any]]:
    """Services break and are repaired meanwhile; on leaving all that must come of it is looked at."""
    playing = asyncio.create_task(arena.play(REPAIR, [unharmed] * services, AT_ONCE))
    try:
        await goes_on(arena, playing)
        yield playing
        await playing
    finally:
        playing.cancel()
    twice = arena.duplicate_reports()
    assert len(twice) <= arena.strikes.sends_unrecorded(), twice


async def goes_on(arena: Arena, playing: asyncio.Task[Any]) -> None:
    """Return once one more service was changed, or none is left."""
    before = len(arena.changed())
    await eventually(lambda: len(arena.changed()) > before or playing.done(), "repairs go on", within=60)


async def statuses(arena: Arena, path: str, *, body: bytes | None = None) -> list[int]:
    """What each replica answers, however long it takes."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:

        async def status(url: str) -> int:
            headers = {"Authorization": f"Bearer {HOOK}", "Content-Type": "application/json"}
            method = "GET" if body is None else "POST"
            async with http.request(method, f"{url}{path}", data=body, headers=headers) as answer:
                return answer.status

        return list(await asyncio.gather(*(status(each.url) for each in arena.fleet.replicas)))


async def turned_away(arena: Arena) -> None:
    """Every replica says that it can't keep anything, and takes nothing."""

    async def not_ready() -> bool:
        return await statuses(arena, "/ready") == [503] * 3

    await eventually(not_ready, "no replica is ready", within=60)
    assert await statuses(arena, "/alertmanager", body=b"{}") == [503] * 3


async def taken_again(arena: Arena) -> None:
    async def ready() -> bool:
        return await statuses(arena, "/ready") == [200] * 3

    await eventually(ready, "every replica is ready", within=60)


async def test_connections_that_are_cut_under_load(tmp_path: Path) -> None:
    url = server().make_database()
    name = url.partition("?")[0].rpartition("/")[2]
    other = await asyncpg.connect(server().url)
    cut = 0
    async with an_arena(tmp_path, url, TTL) as arena, under_load(arena) as playing:
        while cut < CUTS and not playing.done():
            cut += len(await other.fetch(CUT.format(name)))
            await asyncio.sleep(1)
    await other.close()
    assert cut >= CUTS


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Any]:
    """A server that may be stopped."""
    made = start_server(tmp_path / "postgres")
    yield made
    made.ensure_postgres_running()
    made.cleanup()


async def test_a_database_that_is_restarted_under_load(own_server: Any, tmp_path: Path) -> None:
    async with an_arena(tmp_path, own_server.get_uri(), TTL) as arena, under_load(arena) as playing:
        for _ in range(2):
            await asyncio.to_thread(own_server.stop)
            await asyncio.to_thread(own_server.ensure_postgres_running)
            await goes_on(arena, playing)


async def test_a_network_that_swallows_everything_and_comes_back(tmp_path: Path) -> None:
    """Law 6: while the ledger can't be had nothing is begun, and Alertmanager is told to come again."""
    wire = Wire(server().make_database())
    async with an_arena(tmp_path, await wire.open(), TTL) as arena, under_load(arena):
        wire.flows.clear()
        await turned_away(arena)
        # By now every lease that was held is over, and so is the work below it.
        begun = len(arena.changed())
        await turned_away(arena)
        assert len(arena.changed()) == begun
        wire.flows.set()
        await taken_again(arena)
    await wire.close()


async def told_of_itself(url: str) -> list[str]:
    """What the ledger's events say of the ledger: that it moved, or was put back."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT kind FROM events WHERE kind LIKE 'ledger.%' ORDER BY id")
    finally:
        await connection.close()
    return [row["kind"] for row in rows]


async def test_a_failover_of_the_ledgers_own_database(tmp_path: Path) -> None:
    """What was acknowledged is on the standby: nothing is lost, decided twice or done twice."""
    async with a_pair() as pair:
        await execute(pair.first_url, "CREATE DATABASE ledger ENCODING 'UTF8' TEMPLATE template0")
        async with an_arena(tmp_path, pair.url("ledger"), TTL, lenient=True) as arena:
            async with under_load(arena):
                await asyncio.to_thread(pair.lose_primary)
                await turned_away(arena)
                begun = len(arena.changed())
                await asyncio.to_thread(pair.promote)
                await taken_again(arena)
                assert begun < SERVICES, "there was work left for after the failover"
            async with under_load(arena, 3):
                """And it goes on as before."""
            assert await told_of_itself(pair.url("ledger")) == ["ledger.failed_over"]
