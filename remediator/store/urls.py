"""Picks the ledger's backend by its URL."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from remediator.core.ports.store import Store, StoreError
from remediator.store.sqlite import SqliteStore


def store_from_url(url: str, *, jump_wait: timedelta = timedelta(seconds=15)) -> Store:
    """Make the store for a SQLite file or a PostgreSQL database; it is not opened yet.

    ``url`` is ``sqlite:///relative/path``, ``sqlite:////absolute/path`` or a ``postgresql://`` URI, which
    goes to asyncpg as it is. ``jump_wait``, for SQLite, is how long nothing is begun after the wall clock
    jumped: a lease's time to live.

    Raises:
        StoreError: the URL names no ledger that this version can keep.
    """
    scheme = url.partition(":")[0] if "://" in url else ""
    if scheme in ("postgresql", "postgres"):
        # Who keeps the ledger in a file does without asyncpg.
        from remediator.store.postgres import PostgresStore

        return PostgresStore(url)
    parts = urlsplit(url)
    if parts.scheme != "sqlite":
        message = (
            f"{parts.scheme or 'no scheme'} is no kind of ledger: write sqlite:///relative/path,"
            " sqlite:////absolute/path or postgresql://user@host/database"
        )
        raise StoreError(message)
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or parts.query or parts.fragment or not path or path.endswith("/"):
        message = (
            "a SQLite ledger is written sqlite:///relative/path or sqlite:////absolute/path, nothing more"
        )
        raise StoreError(message)
    return SqliteStore(Path(path), jump_wait=jump_wait)
