"""Opens the ledger's file and brings its schema up to date."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from remediator.core.ports.store import StoreError, StoreUnavailableError
from remediator.store.common.migrations import migrations, refuse_newer

#: Marks a file as ours (``PRAGMA application_id``): "REMD".
APPLICATION_ID = 0x52454D44
#: How long to wait for another process that is just closing the file.
_BUSY = 0.2

_PRAGMAS = (
    # Set before the file is first read: the WAL index then lives in memory, and nobody else gets in.
    "locking_mode = EXCLUSIVE",
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "temp_store = MEMORY",
    "cache_size = -8000",
    "wal_autocheckpoint = 2000",
    "journal_size_limit = 67108864",
)


def connect(path: Path) -> tuple[sqlite3.Connection, int | None]:
    """Open the ledger for this process alone, with its schema up to date, and read the last time it knew.

    Raises:
        StoreError: the file can't be opened, is in use, is no ledger, or of a newer version.
    """
    _create_private(path)
    sql = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, cached_statements=256)
    try:
        for pragma in _PRAGMAS:
            sql.execute(f"PRAGMA {pragma}").fetchall()
        _check_log(sql, path)
        migrate(sql, path)
        mark = sql.execute("SELECT value FROM meta WHERE key = 'time'").fetchone()
    except sqlite3.Error as error:
        sql.close()
        raise _opening_failed(path, error) from error
    except BaseException:
        sql.close()
        raise
    return sql, None if mark is None else int(mark[0])


def _create_private(path: Path) -> None:
    # It holds what alerts say: for its owner alone, and SQLite gives its side files the same mode.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except FileNotFoundError as error:
        message = f"the ledger's folder {path.parent} does not exist: create it, or set REMEDIATOR_STORE"
        raise StoreError(message) from error
    except OSError as error:
        message = f"the ledger {path} can't be opened: {error.strerror}; make it writable for this user"
        raise StoreError(message) from error


def _opening_failed(path: Path, error: sqlite3.Error) -> StoreError:
    code = primary_code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"the ledger {path} is in use by another process: stop that one first, or give each its own"
            " file with REMEDIATOR_STORE"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(f"{path} is no SQLite database: set REMEDIATOR_STORE to another file")
    return StoreUnavailableError(f"the ledger {path} can't be opened: {error}")


def primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's result code without its extension; ``None`` for errors of Python's module itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _check_log(sql: sqlite3.Connection, path: Path) -> None:
    mode = sql.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        message = (
            f"the file system of {path} allows no write-ahead log (SQLite chose {mode!r}): use a local disk"
        )
        raise StoreError(message)


def migrate(sql: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to date; ``path`` is for errors."""
    scripts = migrations("sqlite")
    version = _checked_version(sql, path, newest=scripts[-1][0])
    for number, script in scripts:
        if number > version:
            sql.execute("BEGIN EXCLUSIVE")
            for statement in _statements(script):
                sql.execute(statement)
            sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            sql.execute(f"PRAGMA user_version = {number}")
            sql.execute("COMMIT")


def _checked_version(sql: sqlite3.Connection, path: Path, *, newest: int) -> int:
    application = int(sql.execute("PRAGMA application_id").fetchone()[0])
    version = int(sql.execute("PRAGMA user_version").fetchone()[0])
    if application != APPLICATION_ID and sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        message = f"{path} is another program's database: set REMEDIATOR_STORE to another file"
        raise StoreError(message)
    refuse_newer(path, version, newest)
    return version


def _statements(script: str) -> Iterator[str]:
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
