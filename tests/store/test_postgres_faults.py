"""What happens to a ledger on PostgreSQL when connections, answers and servers are lost."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from remediator.core.changes import Intake, Intended
from remediator.core.episodes import observe
from remediator.core.guards import PauseScope
from remediator.core.notices import Lane
from remediator.core.ports.store import Store, StoreError, StoreUnavailableError
from remediator.core.runs import RunState
from remediator.store.postgres import PostgresStore
from remediator.store.postgres.transaction import Lock
from tests.store.postgres import execute, server, start_server, with_database
from tests.store.senders import acknowledged_until_killed
from tests.store.values import TTL, Intending, advanced, agreeing, an_envelope, an_intent, begin, lease
from tests.store.wires import At, Wire
from tests.support.processes import eventually

CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = '{}' AND application_name = 'remediator'"
)
QUICK = timedelta(seconds=2)


@pytest.fixture
def url() -> Iterator[str]:
    """An empty database on the real clock."""
    url = server().make_database()
    yield url
    server().drop(url)


@pytest.fixture
async def wire(url: str) -> AsyncIterator[Wire]:
    if "host" not in url:
        pytest.skip("REMEDIATOR_TEST_POSTGRES has no socket to lay a wire to")
    wire = Wire(url)
    yield wire
    await wire.close()


@pytest.fixture
async def store(wire: Wire) -> AsyncIterator[PostgresStore]:
    """A store at the far end of the wire."""
    store = PostgresStore(await wire.open())
    await store.open()
    yield store
    wire.flows.set()
    await store.close()


async def bodies(store: Store) -> list[bytes]:
    """All webhooks of the ledger, which are then taken."""
    kept: list[bytes] = []
    while webhooks := await store.untaken_webhooks(1 << 30):
        kept.extend(webhook.body for webhook in webhooks)
        await store.take_webhooks([Intake(webhook.id) for webhook in webhooks], observe)
    return kept


@pytest.mark.parametrize("at", At)
async def test_a_commit_around_which_the_connection_breaks_is_done_once(
    wire: Wire, store: PostgresStore, at: At
) -> None:
    """Lost before it arrived, done without an answer, or arriving after the question: once each."""
    for number in range(5):
        wire.strike(at)
        await store.save_webhook("default", b"%d" % number)
    assert wire.struck == [at] * 5
    wire.release.set()
    assert await bodies(store) == [b"%d" % number for number in range(5)]


@pytest.mark.parametrize("at", At)
async def test_what_a_broken_commit_answered_is_what_the_ledger_holds(
    wire: Wire, store: PostgresStore, at: At
) -> None:
    """Leases, slots and intents: the answer is that of the transaction that was kept, and no other."""
    run = await begin(store)
    wire.strike(at)
    held = await lease(store, run)
    wire.release.set()
    ready = await advanced(store, held.token, run, RunState.READY)
    wire.strike(at)
    answer = await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    assert wire.struck == [at] * 2
    assert isinstance(answer, Intended)
    assert answer.change is not None
    assert await store.run(run.id) == answer.change.run
    assert await store.attempt_in_doubt(run.id) == answer.change.attempt
    assert await store.renew(held, TTL) is not None


async def test_connections_cut_under_load_lose_and_double_nothing(url: str) -> None:
    store = PostgresStore(url)
    await store.open()
    done = asyncio.Event()
    sent: list[bytes] = []

    async def send(worker: int) -> None:
        while not done.is_set():
            body = b"%d/%d" % (worker, len(sent))
            await store.save_webhook("default", body)
            await store.post([an_envelope(key="counted")])
            sent.append(body)

    sending = [asyncio.create_task(send(worker)) for worker in range(4)]
    cut = 0
    name = url.partition("?")[0].rpartition("/")[2]
    other = await asyncpg.connect(server().url)
    while cut < 60:
        cut += len(await other.fetch(CUT.format(name)))
        await asyncio.sleep(0.05)
    await other.close()
    done.set()
    await asyncio.gather(*sending)
    counted = Counter(await bodies(store))
    assert set(counted) == set(sent)
    assert set(counted.values()) == {1}
    (item,) = await store.due_envelopes(Lane.REPORTS, 9, TTL)
    assert item.envelope.notice.count == len(sent)
    await store.close()


async def test_a_black_hole_is_unavailability_within_the_deadline_and_passes(wire: Wire) -> None:
    store = PostgresStore(await wire.open(), deadline=QUICK)
    await store.open()
    await store.save_webhook("default", b"before")
    wire.flows.clear()
    loop = asyncio.get_running_loop()
    for call in (store.check, store.now, lambda: store.save_webhook("default", b"lost")):
        began = loop.time()
        with pytest.raises(StoreUnavailableError, match="did not answer within 2 s"):
            await call()
        assert loop.time() - began < 2 * QUICK.total_seconds()
    wire.flows.set()
    await store.check()
    await store.save_webhook("default", b"after")
    kept = await bodies(store)
    assert kept.count(b"before") == kept.count(b"after") == 1
    assert kept.count(b"lost") <= 1
    await store.close()


async def test_a_stopped_replica_keeps_its_locks_from_the_others_for_a_while_only(url: str) -> None:
    """Its transaction is ended by the server, and can write no more when it wakes up."""
    stopped, alive = PostgresStore(url, deadline=QUICK), PostgresStore(url, deadline=3 * QUICK)
    await stopped.open()
    await alive.open()
    run = await begin(alive)
    connection = await stopped._db.connect()
    await connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock({Lock.GUARDS.value})")
    async with asyncio.timeout(10):
        await alive.pause(**_ALL)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.execute("UPDATE runs SET final = true")
    connection.terminate()
    assert await alive.run(run.id) == run
    await stopped.close()
    await alive.close()


_ALL: Any = {"scope": PauseScope.ALL, "value": "", "why": "why", "who": "ann", "length": None}


async def test_a_caller_that_gives_up_leaves_nothing_open(url: str) -> None:
    store = PostgresStore(url)
    await store.open()
    await begin(store)
    for _ in range(30):
        task = asyncio.create_task(store.pause(**_ALL))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(10):
        await store.pause(**_ALL)
    await store.close()


async def test_a_lease_is_renewed_whoever_waits_for_the_guards(url: str) -> None:
    """However many wait for their turn to write, no holder loses its target for want of a connection."""
    store = PostgresStore(url)
    await store.open()
    held = await lease(store, await begin(store))
    connection = await store._db.connect()
    await connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock({Lock.GUARDS.value})")
    waiting = [asyncio.create_task(store.pause(**_ALL)) for _ in range(40)]
    async with asyncio.timeout(2):
        await eventually(lambda: queue(connection), "they wait")
        assert await store.renew(held, TTL) is not None
    await connection.execute("COMMIT")
    await asyncio.gather(*waiting)
    connection.terminate()
    await store.close()


async def queue(connection: Any) -> int:
    """How many statements wait for an advisory lock."""
    statement = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return int(await connection.fetchval(statement))


@pytest.fixture
def own_server() -> Iterator[Any]:
    """A server that may be killed."""
    made = start_server(Path(tempfile.mkdtemp(prefix="remediator-pg-")))
    yield made
    made.ensure_postgres_running()
    made.cleanup()


@pytest.mark.parametrize("how", ["restart", "kill -9"])
async def test_a_server_that_dies_and_comes_back_is_not_noticed(own_server: Any, how: str) -> None:
    """Calls wait for it within their deadline; what was acknowledged is there, and nothing twice."""
    store = PostgresStore(own_server.get_uri(), deadline=timedelta(seconds=30))
    await store.open()
    done = asyncio.Event()
    sent: list[bytes] = []
    ticks: asyncio.Queue[None] = asyncio.Queue()

    async def send(worker: int) -> None:
        while not done.is_set():
            body = b"%d/%d" % (worker, len(sent))
            await store.save_webhook("default", body)
            sent.append(body)
            ticks.put_nowait(None)

    sending = [asyncio.create_task(send(worker)) for worker in range(4)]
    for _ in range(2):
        await progress(ticks)
        if how == "restart":
            await asyncio.to_thread(own_server.stop)
        else:
            os.kill(own_server.get_pid(), signal.SIGKILL)
            await asyncio.to_thread(own_server.get_postmaster_info().process.wait, 10)
        await asyncio.to_thread(_start_again, own_server)
    await progress(ticks)
    done.set()
    await asyncio.gather(*sending)
    counted = Counter(await bodies(store))
    assert set(counted) == set(sent)
    assert set(counted.values()) == {1}
    await store.close()


async def progress(ticks: asyncio.Queue[None]) -> None:
    """Return once 50 more were acknowledged."""
    while not ticks.empty():
        ticks.get_nowait()
    for _ in range(50):
        await ticks.get()


def _start_again(own_server: Any) -> None:
    own_server.ensure_postgres_running()


async def test_a_server_that_is_away_is_unavailability_and_comes_back(own_server: Any) -> None:
    store = PostgresStore(own_server.get_uri(), deadline=QUICK)
    await store.open()
    await asyncio.to_thread(own_server.stop)
    with pytest.raises(StoreUnavailableError, match="did not answer within 2 s: "):
        await store.check()
    other = PostgresStore(own_server.get_uri(), deadline=QUICK)
    with pytest.raises(StoreUnavailableError, match="can't be reached"):
        await other.open()
    await asyncio.to_thread(_start_again, own_server)
    await store.check()
    await store.close()


async def test_a_ledger_whose_server_is_away_is_closed_soon_and_says_what_was_not_saved(
    own_server: Any,
) -> None:
    """A daemon ends within 10 s of SIGTERM, whatever its database does."""
    store = PostgresStore(own_server.get_uri(), deadline=timedelta(minutes=1))
    await store.open()
    await asyncio.to_thread(own_server.stop)
    saving = [asyncio.create_task(store.save_webhook("default", b"x" * (5 << 20))) for _ in range(4)]
    await asyncio.sleep(0)
    async with asyncio.timeout(8):
        await store.close()
    answers = await asyncio.gather(*saving, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailableError] * 4


@pytest.mark.parametrize("count", [1, 50, 700])
async def test_every_acknowledged_webhook_survives_kill_9(url: str, count: int) -> None:
    acknowledged = await asyncio.to_thread(acknowledged_until_killed, url, count)
    assert len(acknowledged) >= count
    store = PostgresStore(url)
    await store.open()
    kept = await bodies(store)
    await store.close()
    assert {body * 50 for body in acknowledged} <= set(kept)
    assert len(kept) == len(set(kept))


async def test_a_database_that_is_not_there_and_a_user_that_may_not_are_said_with_the_remedy() -> None:
    with pytest.raises(StoreError, match="REMEDIATOR_STORE"):
        await PostgresStore(with_database(server().url, "nowhere")).open()


async def test_each_commit_is_flushed_whatever_the_database_says(url: str) -> None:
    """2xx means that it is on the disk."""
    name = url.partition("?")[0].rpartition("/")[2]
    await execute(server().url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    store = PostgresStore(url)
    await store.open()
    connection = await store._db.connect()
    assert await connection.fetchval("SHOW synchronous_commit") == "on"
    await connection.close()
    await store.close()


async def test_a_host_that_swallows_everything_keeps_nobody_from_the_next(wire: Wire) -> None:
    """So ends a primary whose machine is gone: nothing refuses, and nothing answers."""
    held: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    gone = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    store = PostgresStore((await wire.open()).replace("@", f"@{gone},"), deadline=2 * QUICK)
    await store.open()
    await store.save_webhook("default", b"kept")
    assert await bodies(store) == [b"kept"]
    await store.close()
    assert held
    for each in held:
        each.transport.abort()
    silent.close()
