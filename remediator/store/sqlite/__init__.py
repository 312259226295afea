"""The embedded ledger: one SQLite file, one process, durable to the last answer given."""

from __future__ import annotations

from remediator.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
