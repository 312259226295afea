"""The ledger's file: one process, private, recognised, and durable to the last answer."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from remediator.core.changes import Intake
from remediator.core.episodes import observe
from remediator.core.ports.store import StoreError, StoreUnavailableError
from remediator.store.sqlite import SqliteStore
from remediator.store.sqlite.transaction import Transaction
from tests.store.senders import acknowledged_until_killed

FILLER = """
import asyncio, os, resource, signal, sys
from remediator.core.ports.store import StoreUnavailableError
from remediator.store.sqlite import SqliteStore

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = SqliteStore(sys.argv[1])
    await store.open()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    kept = 0
    try:
        while True:
            await store.save_webhook("default", os.urandom(50_000))
            kept += 1
    except StoreUnavailableError as error:
        print(kept, error, sep="|", flush=True)
    results = await asyncio.gather(
        *(store.save_webhook("default", os.urandom(50_000)) for _ in range(4)),
        return_exceptions=True,
    )
    print(*(type(result).__name__ for result in results), flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store.check()
    await store.save_webhook("default", b"after")
    webhooks = await store.untaken_webhooks(1 << 30)
    print(len(webhooks), webhooks[-1].body.decode(), flush=True)
    await store.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("count", [1, 50, 700])
async def test_every_acknowledged_webhook_survives_kill_9(tmp_path: Path, count: int) -> None:
    path = tmp_path / "ledger.db"
    acknowledged = await asyncio.to_thread(acknowledged_until_killed, f"sqlite:///{path}", count)
    assert len(acknowledged) >= count
    store = SqliteStore(path)
    await store.open()
    kept: list[bytes] = []
    while webhooks := await store.untaken_webhooks(1 << 30):
        kept.extend(webhook.body for webhook in webhooks)
        await store.take_webhooks([Intake(webhook.id) for webhook in webhooks], observe)
    await store.close()
    assert {body * 50 for body in acknowledged} <= set(kept)
    assert len(kept) == len(set(kept))


async def test_a_full_disk_is_said_to_everybody_and_gets_over_it(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stops the files from growing, as a full disk does."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", FILLER, str(tmp_path / "ledger.db")],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, third = done.stdout.splitlines()
    kept, error = first.split("|")
    assert int(kept) > 0
    assert "can't be written" in error
    assert set(second.split()) == {"StoreUnavailableError"}
    assert third == f"{int(kept) + 1} after"


async def test_a_statement_that_finds_no_room_is_unavailability_and_not_the_callers_fault(
    tmp_path: Path,
) -> None:
    store = SqliteStore(tmp_path / "ledger.db")
    await store.open()
    await store._writer.submit(partial(limit_pages, 1))
    with pytest.raises(StoreUnavailableError, match="full"):
        await store.save_webhook("default", os.urandom(100_000))
    await store._writer.submit(partial(limit_pages, 1 << 30))
    await store.save_webhook("default", b"after")
    assert [webhook.body for webhook in await store.untaken_webhooks(1 << 20)] == [b"after"]
    await store.close()


def limit_pages(most: int, transaction: Transaction) -> None:
    """SQLite takes the present size for any smaller limit: from then on the file can't grow."""
    transaction.sql.execute(f"PRAGMA max_page_count = {most}").fetchall()


async def test_a_second_process_is_refused_with_the_file_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    store = SqliteStore(path)
    await store.open()
    script = (
        "import asyncio, sys; from remediator.store.sqlite import SqliteStore;"
        "asyncio.run(SqliteStore(sys.argv[1]).open())"
    )
    refused = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    assert "StoreError" in last
    assert str(path) in last
    assert "REMEDIATOR_STORE" in last
    await store.check()
    await store.close()


async def test_a_second_store_in_the_same_process_is_refused_too(tmp_path: Path) -> None:
    first, second = SqliteStore(tmp_path / "ledger.db"), SqliteStore(tmp_path / "ledger.db")
    await first.open()
    with pytest.raises(StoreError, match="in use"):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


async def test_each_commit_is_flushed_to_the_disk(tmp_path: Path) -> None:
    """No kill shows what a power cut would: FULL (2) flushes the log at every commit, NORMAL (1) does not."""
    store = SqliteStore(tmp_path / "ledger.db")
    await store.open()
    assert await store._writer.submit(partial(setting, "synchronous")) == 2
    assert await store._writer.submit(partial(setting, "journal_mode")) == "wal"
    await store.close()


def setting(name: str, transaction: Transaction) -> object:
    value: object = transaction.sql.execute(f"PRAGMA {name}").fetchone()[0]
    return value


async def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.db")
    await store.open()
    await store.check()
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in os.scandir(tmp_path)}
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-seen": 0o600}
    await store.close()


async def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    store = SqliteStore(path)
    await store.open()
    await store.close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 9999")
    other.close()
    with pytest.raises(StoreError, match="9999"):
        await store.open()


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(StoreError, match="another program"):
        await SqliteStore(path).open()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    other.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be looked at as if it were one\n" * 20)
    with pytest.raises(StoreError, match="no SQLite database"):
        await SqliteStore(path).open()


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere does not exist"):
        await SqliteStore(tmp_path / "nowhere" / "ledger.db").open()


async def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can't be opened"):
        await SqliteStore(tmp_path).open()
