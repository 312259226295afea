"""The numbered migrations of a backend."""

from __future__ import annotations

import re
from importlib.resources import files

from remediator.core.ports.store import StoreError


def migrations(backend: str) -> list[tuple[int, str]]:
    """The number and the script of each migration of ``sqlite`` or ``postgres``, in order."""
    found = []
    for entry in (files("remediator.store.sql") / backend).iterdir():
        numbered = re.fullmatch(r"(\d{4})_\w+\.sql", entry.name)
        if numbered is not None:
            found.append((int(numbered[1]), entry.read_text(encoding="utf-8")))
    return sorted(found)


def refuse_newer(ledger: object, version: int, newest: int) -> None:
    """Refuse a ledger whose schema this version does not know.

    Raises:
        StoreError: it is newer than ``newest``.
    """
    if version > newest:
        message = (
            f"the ledger {ledger} has schema {version}, and this version of Remediator knows {newest}"
            " at most: run the newer version, or restore a backup from before"
        )
        raise StoreError(message)
