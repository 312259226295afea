"""A ledger that was put back is noticed before anything is handed out of it, and waits for a person."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.core.changes import Intended, Refused
from remediator.core.events import EventKind
from remediator.core.guards import PauseScope
from remediator.core.leases import Lease
from remediator.core.notices import Lane
from remediator.core.ports.store import Store
from remediator.core.runs import RunState
from remediator.store.postgres import PostgresStore
from tests.store.backends import Backend, SqliteBackend
from tests.store.clock import FakeClock
from tests.store.postgres import PROGRAMS, PostgresBackend, server
from tests.store.values import (
    CLAIM,
    ME,
    NODE,
    TTL,
    Intending,
    advanced,
    agreeing,
    an_envelope,
    an_intent,
    begin,
    lease,
    readied,
)


@pytest.fixture
async def older(tmp_path: Path, clock: FakeClock, backend: Backend) -> AsyncIterator[Older]:
    one = Older(tmp_path, clock, backend)
    yield one
    if one.store is not None:
        await one.store.close()


class Older:
    """A ledger that can be kept as it is, and put back."""

    def __init__(self, folder: Path, clock: FakeClock, backend: Backend) -> None:
        self._folder, self._clock, self._backend = folder, clock, backend
        self.store: Store | None = None

    async def open(self) -> Store:
        self.store = self._backend.make()
        await self.store.open()
        return self.store

    async def close(self) -> None:
        assert self.store is not None
        await self.store.close()
        self.store = None

    def keep(self) -> None:
        """Copy the closed ledger, as somebody does by hand."""
        if isinstance(self._backend, SqliteBackend):
            shutil.copy(self._backend.path, self._folder / "kept")
        else:
            assert isinstance(self._backend, PostgresBackend)
            self._kept = self._backend.copy()

    def put_back(self) -> None:
        if isinstance(self._backend, SqliteBackend):
            shutil.copy(self._folder / "kept", self._backend.path)
        else:
            assert isinstance(self._backend, PostgresBackend)
            self._backend.move_to(self._kept)


async def restored(store: Store) -> bool:
    return any(event.kind is EventKind.LEDGER_RESTORED for event in await store.events(0, 1000))


async def test_a_ledger_that_only_restarts_is_not_taken_for_another(older: Older, clock: FakeClock) -> None:
    for _ in range(3):
        store = await older.open()
        clock.advance(10)
        await begin(store, f"r-{clock.wall():%S%f}")
        await store.check()
        await store.check()
        assert not await restored(store)
        await older.close()


async def test_one_that_is_put_back_is_paused_and_its_tokens_go_on_above_all_given_since(
    older: Older, clock: FakeClock
) -> None:
    store = await older.open()
    run = await begin(store)
    first = await lease(store, run)
    await store.release(first)
    await older.close()
    older.keep()
    clock.advance(60)
    store = await older.open()
    given = first
    for _ in range(50):
        given = await lease(store, run)
        await store.release(given)
    clock.advance(60)
    await older.close()
    older.put_back()
    clock.advance(60)
    store = await older.open()
    (pause,) = await store.pauses()
    assert (pause.scope, pause.who, pause.until) == (PauseScope.ALL, "remediator", None)
    assert pause.why.startswith("ledger restored: ")
    assert await restored(store)
    taken = await store.acquire(run.id, ME, TTL)
    assert isinstance(taken, Lease)
    assert taken.token > given.token
    await older.close()
    store = await older.open()
    assert len(await store.pauses()) == 1, "once is enough"


async def test_an_attempt_in_doubt_is_still_there_to_be_probed_and_no_lease_keeps_it(
    older: Older, clock: FakeClock
) -> None:
    store = await older.open()
    run = await begin(store)
    held = await lease(store, run, ttl=timedelta(days=1))
    ready = await advanced(store, held.token, run, RunState.READY)
    await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    await older.close()
    older.keep()
    clock.advance(60)
    store = await older.open()
    assert await store.runnable(9) == []
    clock.advance(60)
    await store.check()
    await older.close()
    older.put_back()
    store = await older.open()
    assert await store.runnable(9) == [run.id]
    attempt = await store.attempt_in_doubt(run.id)
    assert attempt is not None
    assert attempt.token == held.token
    assert await store.renew(held, TTL) is None


async def test_people_are_told_once_and_told_again_once_somebody_resumed(
    older: Older, clock: FakeClock
) -> None:
    store = await older.open()
    await begin(store, target=NODE)
    await older.close()
    older.keep()
    clock.advance(60)
    await older.open()
    await older.close()
    older.put_back()
    store = await older.open()
    (found,) = await store.restorations()
    assert (found.told, found.release) == (False, None)
    assert await store.tell_restoration(found, [an_envelope()])
    assert not await store.tell_restoration(found, [an_envelope()])
    assert len(await store.due_envelopes(Lane.REPORTS, 9, CLAIM)) == 1
    (found,) = await store.restorations()
    assert (found.told, found.release) == (True, None)
    await store.resume(PauseScope.ALL, "", "looked", "ann")
    (found,) = await store.restorations()
    assert found.release is not None
    assert (found.release.who, found.release.why) == ("ann", "looked")
    assert await store.tell_restoration(found, [])
    assert await store.restorations() == []


# What only one of them can be.


async def test_a_file_whose_witness_is_gone_is_taken_as_it_is(tmp_path: Path, clock: FakeClock) -> None:
    backend = SqliteBackend(tmp_path, clock)
    for _ in range(2):
        store = backend.make()
        await store.open()
        await begin(store, f"r-{clock.wall():%S%f}")
        clock.advance(10)
        await store.close()
        (tmp_path / "ledger.db-seen").unlink()
    store = backend.make()
    await store.open()
    assert not await restored(store)
    await store.close()


async def test_a_file_without_what_its_log_held_is_noticed(tmp_path: Path, clock: FakeClock) -> None:
    """What somebody gets who copies the file alone while all of it is still in the log."""
    backend = SqliteBackend(tmp_path, clock)
    store = backend.make()
    await store.open()
    await begin(store, "r-lost")
    await store.check()
    shutil.copy(backend.path, tmp_path / "bare")
    await store.close()
    shutil.copy(tmp_path / "bare", backend.path)
    store = backend.make()
    await store.open()
    assert await restored(store)
    assert len(await store.pauses()) == 1
    await store.close()


async def test_a_ledger_that_was_taken_away_is_begun_anew(tmp_path: Path, clock: FakeClock) -> None:
    backend = SqliteBackend(tmp_path, clock)
    store = backend.make()
    await store.open()
    await store.check()
    await store.close()
    backend.path.unlink()
    store = backend.make()
    await store.open()
    assert not await restored(store)
    await store.close()


async def test_a_witness_that_can_not_be_read_or_written_stops_nothing(
    tmp_path: Path, clock: FakeClock
) -> None:
    (tmp_path / "ledger.db-seen").mkdir()
    store = SqliteBackend(tmp_path, clock).make()
    await store.open()
    await store.check()
    assert not await restored(store)
    await store.close()


async def test_a_timeline_that_grew_while_nobody_watched_is_a_restore(
    clock: FakeClock, tmp_path: Path
) -> None:
    backend = PostgresBackend(tmp_path, clock)
    store = backend.make()
    await store.open()
    await backend.execute(store, "UPDATE meta SET value = value + 1 WHERE key = 'is.timeline'")
    await store.close()
    store = backend.make()
    await store.open()
    assert await restored(store)
    await store.close()
    backend.close()


async def test_a_failover_that_lost_nothing_is_vouched_for_by_who_lived_through_it(
    clock: FakeClock, tmp_path: Path
) -> None:
    backend = PostgresBackend(tmp_path, clock)
    store = backend.make()
    await store.open()
    await store.check()
    await backend.execute(store, "UPDATE meta SET value = value + 1 WHERE key = 'is.timeline'")
    await store.check()
    kinds = [event.kind for event in await store.events(0, 100)]
    assert kinds == [EventKind.LEDGER_FAILED_OVER]
    assert await store.pauses() == ()
    await store.check()
    assert len(await store.events(0, 100)) == 1
    await store.close()
    backend.close()


async def test_who_starts_after_a_failover_waits_for_one_that_lived_through_it(
    clock: FakeClock, tmp_path: Path
) -> None:
    backend = PostgresBackend(tmp_path, clock)
    store = backend.make()
    await store.open()
    await backend.execute(store, "UPDATE meta SET value = value + 1 WHERE key = 'is.timeline'")
    late = backend.make()
    starting = asyncio.create_task(late.open())
    await asyncio.sleep(0)
    await store.check()
    await starting
    kinds = [event.kind for event in await store.events(0, 100)]
    assert kinds == [EventKind.LEDGER_FAILED_OVER]
    assert await late.pauses() == ()
    await late.close()
    await store.close()
    backend.close()


async def test_a_failover_that_lost_what_was_written_stops_everything(
    clock: FakeClock, tmp_path: Path
) -> None:
    backend = PostgresBackend(tmp_path, clock)
    store = backend.make()
    await store.open()
    for _ in range(3):
        await store.check()
    await backend.execute(store, "UPDATE meta SET value = value - 1 WHERE key = 'checks'")
    await store.check()
    assert await restored(store)
    assert len(await store.pauses()) == 1
    await store.close()
    backend.close()


async def test_several_that_miss_something_stop_everything_once(clock: FakeClock, tmp_path: Path) -> None:
    backend = PostgresBackend(tmp_path, clock)
    stores = [backend.make() for _ in range(3)]
    for store in stores:
        await store.open()
        await store.check()
    await backend.execute(stores[0], "UPDATE meta SET value = value - 9 WHERE key = 'checks'")
    for store in stores:
        await store.check()
    assert len(await stores[0].pauses()) == 1
    for store in stores:
        await store.close()
    backend.close()


@pytest.mark.parametrize("vouched", [True, False], ids=["after another vouched", "first"])
async def test_a_failover_that_lost_a_commit_stops_everything_though_later_checks_are_there(
    clock: FakeClock, tmp_path: Path, *, vouched: bool
) -> None:
    """All replicas count checks together, every few seconds: a step that is lost lies between two."""
    backend = PostgresBackend(tmp_path, clock)
    store, other = backend.make(), backend.make()
    for each in (store, other):
        await each.open()
        await each.check()
    await store.pause(PauseScope.RULE, "r", "why", "ann", timedelta(hours=9))
    lost = "DELETE FROM ledger_commits WHERE at = (SELECT max(at) FROM ledger_commits)"
    grown = "UPDATE meta SET value = value + 1 WHERE key = 'is.timeline'"
    await backend.execute(store, lost, "DELETE FROM pauses", grown)
    if vouched:
        await other.check()
        assert not await restored(store)
    await asyncio.gather(store.check(), store.check(), store.check())
    assert await restored(store)
    await store.check()
    (pause,) = await store.pauses()
    assert pause.who == "remediator"
    for each in (store, other):
        await each.close()
    backend.close()


async def test_commits_that_the_ledger_forgot_are_not_missed(clock: FakeClock, tmp_path: Path) -> None:
    backend = PostgresBackend(tmp_path, clock)
    store = backend.make()
    await store.open()
    await store.pause(PauseScope.RULE, "r", "why", "ann", None)
    await store.check()
    clock.advance(3601)
    await backend.execute(store, "DELETE FROM ledger_commits WHERE at < remediator_now() - 3600000000")
    await store.check()
    assert not await restored(store)
    await store.close()
    backend.close()


def _run(program: str, *arguments: str) -> None:
    subprocess.run([PROGRAMS / program, *arguments], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("fresh", [True, False], ids=["into a new database", "into the same"])
async def test_a_dump_that_is_put_back_is_noticed(clock: FakeClock, tmp_path: Path, *, fresh: bool) -> None:
    backend = PostgresBackend(tmp_path, clock)
    store = backend.make()
    await store.open()
    run = await begin(store)
    held = await lease(store, run)
    dump = str(tmp_path / "ledger.dump")
    await asyncio.to_thread(_run, "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={backend.url}")
    assert (await store.renew(held, TTL)) is not None
    assert not await restored(store), "a dump is made while the ledger goes on"
    await store.close()
    url = server().make_database() if fresh else backend.url
    how = () if fresh else ("--clean", "--if-exists")
    await asyncio.to_thread(_run, "pg_restore", *how, f"--dbname={url}", dump)
    store = PostgresStore(url)
    await store.open()
    (pause,) = await store.pauses()
    assert pause.why.startswith("ledger restored: ")
    taken = await store.acquire(run.id, ME, TTL)
    assert isinstance(taken, Lease)
    assert taken.token > held.token
    await store.close()
    backend.close()


async def test_no_intent_is_written_into_what_was_put_back_under_a_running_replica(
    clock: FakeClock, tmp_path: Path
) -> None:
    """Nobody looked since: the lease is as live in the dump as it was, and guards see nothing wrong."""
    backend = PostgresBackend(tmp_path, clock)
    store = backend.make()
    await store.open()
    ready, held = await readied(store)
    dump = str(tmp_path / "ledger.dump")
    await asyncio.to_thread(_run, "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={backend.url}")
    answer = await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    assert isinstance(answer, Intended)
    how = ("--clean", "--if-exists", f"--dbname={backend.url}")
    await asyncio.to_thread(_run, "pg_restore", *how, dump)
    again = await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    assert again is Refused.LEASE_LOST
    assert await restored(store)
    assert await store.attempt_in_doubt(ready.id) is None
    assert len(await store.pauses()) == 1
    await store.close()
    backend.close()


async def test_an_intent_goes_on_at_once_through_a_failover_that_lost_nothing(
    clock: FakeClock, tmp_path: Path
) -> None:
    backend = PostgresBackend(tmp_path, clock)
    store = backend.make()
    await store.open()
    ready, held = await readied(store)
    await backend.execute(store, "UPDATE meta SET value = value + 1 WHERE key = 'is.timeline'")
    answer = await store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
    assert isinstance(answer, Intended)
    assert answer.change is not None
    assert EventKind.LEDGER_FAILED_OVER in [event.kind for event in await store.events(0, 100)]
    await store.close()
    backend.close()
