"""A copy of a ledger that is being written: whole, as of one moment, and known for a copy."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from remediator.core.events import Event, EventKind
from remediator.core.ports.store import NotCopiedError, StoreUnavailableError
from remediator.store.postgres import PostgresStore
from remediator.store.sqlite import SqliteStore
from tests.store.values import begin


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def filled(path: Path, rows: int = 3000) -> SqliteStore:
    store = SqliteStore(path)
    await store.open()
    now = await store.now()
    await store.record(
        [Event(EventKind.ALARM_RAISED, now, {"detail": "x" * 900, "n": n}) for n in range(rows)]
    )
    return store


async def test_it_is_whole_and_made_while_others_write(tmp_path: Path) -> None:
    store = await filled(tmp_path / "ledger.db")
    written: list[int] = []
    done = asyncio.Event()

    async def write() -> None:
        while not done.is_set():
            await store.save_webhook("default", b"{}")
            written.append(1)

    writing = asyncio.create_task(write())
    async with store.copy() as file:
        during = len(written)
        done.set()
        with (tmp_path / "copy.db").open("wb") as out:
            shutil.copyfileobj(file, out)
    await writing
    await store.close()
    assert during > 0, "nobody waits for the copy to be made"
    assert names(tmp_path) == ["copy.db", "ledger.db", "ledger.db-seen"]
    with sqlite3.connect(tmp_path / "copy.db") as sql:
        assert sql.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert sql.execute("SELECT count(*) FROM events").fetchone() == (3000,)
        assert 0 < sql.execute("SELECT count(*) FROM webhooks").fetchone()[0] <= len(written)
    sql.close()


async def test_a_store_on_a_copy_starts_paused_wherever_it_lies_and_only_once(tmp_path: Path) -> None:
    store = await filled(tmp_path / "ledger.db", rows=10)
    run = await begin(store)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with store.copy() as file:
        (elsewhere / "ledger.db").write_bytes(file.read())
    assert await store.pauses() == (), "the ledger that was copied goes on"
    await store.close()
    for _ in range(2):
        copy = SqliteStore(elsewhere / "ledger.db")
        await copy.open()
        (pause,) = await copy.pauses()
        assert pause.why.startswith("ledger restored: it is a copy of ")
        assert (await copy.run(run.id)) == run
        await copy.close()


async def test_closing_ends_a_copy_that_is_under_way(tmp_path: Path) -> None:
    store = await filled(tmp_path / "ledger.db")

    async def copy() -> None:
        async with store.copy():
            pass

    copying = asyncio.create_task(copy())
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(StoreUnavailableError, match="could not be copied"):
        await copying
    assert names(tmp_path) == ["ledger.db", "ledger.db-seen"]


async def test_what_a_killed_copy_left_is_removed_at_the_next_start_and_nobodys_own_copy(
    tmp_path: Path,
) -> None:
    kept = ["ledger.db-copy-2026-01-31", "ledger.db.before"]
    for name in (".ledger.db-copying-abc", ".ledger.db-copying-abc-journal", *kept):
        (tmp_path / name).touch()
    store = SqliteStore(tmp_path / "ledger.db")
    await store.open()
    await store.close()
    assert names(tmp_path) == sorted(["ledger.db", "ledger.db-seen", *kept])


async def test_one_at_a_time_is_kept_beside_the_ledger(tmp_path: Path) -> None:
    store = await filled(tmp_path / "ledger.db", rows=10)
    made = asyncio.Event()

    async def copy() -> None:
        async with store.copy():
            made.set()

    async with store.copy():
        copying = asyncio.create_task(copy())
        # Whatever the second does with the ledger is done before this.
        await store.check()
        await store.check()
        assert len([name for name in names(tmp_path) if "copying" in name]) == 1
        assert not made.is_set()
    await copying
    await store.close()


async def test_a_copy_under_way_is_called_what_the_next_start_removes(tmp_path: Path) -> None:
    store = await filled(tmp_path / "ledger.db")
    async with store.copy() as file:
        assert Path(file.name).name.startswith(".ledger.db-copying-")
    await store.close()


async def test_postgres_is_copied_by_its_own_means() -> None:
    with pytest.raises(NotCopiedError, match="pg_dump"):
        PostgresStore("postgresql://127.0.0.1/x").copy()
