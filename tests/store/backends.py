"""The backends that the conformance suite runs over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from remediator.core.ports.store import Store
from remediator.store.sqlite import SqliteStore
from tests.store.clock import FakeClock
from tests.store.postgres import PostgresBackend

JUMP_WAIT = timedelta(seconds=15)


class Backend(Protocol):
    """Makes stores, all of the same ledger, on a clock that the test moves."""

    def make(self) -> Store: ...

    def close(self) -> None:
        """Take the ledger away."""
        ...


class SqliteBackend:
    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.path = folder / "ledger.db"
        self._clock = clock

    def make(self) -> SqliteStore:
        return SqliteStore(
            self.path, jump_wait=JUMP_WAIT, clock=self._clock.wall, monotonic=self._clock.monotonic
        )

    def close(self) -> None:
        """Its folder is the test's."""


BACKENDS: dict[str, Callable[[Path, FakeClock], Backend]] = {
    "postgres": PostgresBackend,
    "sqlite": SqliteBackend,
}
