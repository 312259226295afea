"""The backends that the conformance suite runs over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

from remediator.core.ports.store import Store
from remediator.store.sqlite import SqliteStore
from remediator.store.sqlite.transaction import Transaction
from tests.store.clock import FakeClock
from tests.store.postgres import PostgresBackend

JUMP_WAIT = timedelta(seconds=15)


class Backend(Protocol):
    """Makes stores, all of the same ledger, on a clock that the test moves."""

    def make(self) -> Store: ...

    def bytes(self, digits: str) -> str:
        """Bytes as its SQL writes them."""
        ...

    async def damage_time(self, store: Store, table: str, column: str, where: str) -> None:
        """Make a time unreadable, as far as the database lets anybody."""
        ...

    async def execute(self, store: Store, *statements: str) -> None:
        """Change the ledger of an open store past all that the store knows, as damage does."""
        ...

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

    def bytes(self, digits: str) -> str:
        return f"x'{digits}'"

    async def damage_time(self, store: Store, table: str, column: str, where: str) -> None:
        await self.execute(store, f"UPDATE {table} SET {column} = 'never' WHERE {where}")

    async def execute(self, store: Store, *statements: str) -> None:
        # The file is its store's alone, so this goes through it.
        assert isinstance(store, SqliteStore)
        for statement in statements:
            await store._writer.submit(partial(_execute, statement=statement))

    def close(self) -> None:
        """Its folder is the test's."""


def _execute(transaction: Transaction, statement: str) -> None:
    transaction.sql.execute(statement)


BACKENDS: dict[str, Callable[[Path, FakeClock], Backend]] = {
    "postgres": PostgresBackend,
    "sqlite": SqliteBackend,
}
