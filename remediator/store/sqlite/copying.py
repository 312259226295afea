"""Copies the open ledger into another file, while it goes on being written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from glob import escape
from pathlib import Path

from remediator.store.sqlite.restoring import COPY

#: Pages between which others have their turn: a quarter of a MiB, some milliseconds.
_PAGES = 64


def prefix(ledger: Path) -> str:
    """How the names of copies begin that are being made beside the ledger: as nobody calls a copy to keep."""
    return f".{ledger.name}-copying-"


def remove_copies(ledger: Path) -> None:
    """Remove what is left of copies by one who was killed."""
    for left in ledger.parent.glob(f"{escape(prefix(ledger))}*"):
        left.unlink(missing_ok=True)


def copy_into(path: Path, sql: sqlite3.Connection, between: Callable[[int, int, int], None]) -> None:
    """Copy all of it, and mark the copy as one; ``between`` may write to the ledger, and is in the copy.

    Raises:
        sqlite3.Error: the copy can't be written.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
        sql.backup(copy, pages=_PAGES, progress=between)
        # One file that is whole by itself.
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()
        copy.execute(
            "INSERT INTO meta (key, value) SELECT ?, coalesce((SELECT value FROM meta WHERE key = 'time'), 0)"
            " WHERE true ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (COPY,),
        )
