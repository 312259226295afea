"""Picks the ledger's backend by its URL."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from remediator.core.ports.store import Store, StoreError
from remediator.store.sqlite import SqliteStore


def store_from_url(url: str, *, jump_wait: timedelta = timedelta(seconds=15)) -> Store:
    """Make the store for ``sqlite:///relative/path`` or ``sqlite:////absolute/path``; it is not opened yet.

    ``jump_wait`` is how long nothing is begun after the wall clock jumped: a lease's time to live.

    Raises:
        StoreError: the URL names no ledger that this version can keep.
    """
    parts = urlsplit(url)
    if parts.scheme in ("postgresql", "postgres"):
        message = "PostgreSQL ledgers are not built in this version: use sqlite:///remediator.db"
        raise StoreError(message)
    if parts.scheme != "sqlite":
        message = (
            f"{parts.scheme or 'no scheme'} is no kind of ledger: write sqlite:///relative/path"
            " or sqlite:////absolute/path"
        )
        raise StoreError(message)
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or parts.query or parts.fragment or not path or path.endswith("/"):
        message = (
            "a SQLite ledger is written sqlite:///relative/path or sqlite:////absolute/path, nothing more"
        )
        raise StoreError(message)
    return SqliteStore(Path(path), jump_wait=jump_wait)
