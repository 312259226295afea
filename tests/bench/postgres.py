"""A PostgreSQL for the ledgers of a row, from the tests' wheel, with its own defaults: fsync is on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.store.postgres import start_server


@dataclass(slots=True)
class Postgres:
    """A running server."""

    url: str
    _made: int = 0

    async def database(self) -> str:
        """The URL of a new, empty database, after a checkpoint: no side pays for the one before."""
        self._made += 1
        name = f"bench_{self._made}"
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute("CHECKPOINT")
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        finally:
            await connection.close()
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))


@contextlib.asynccontextmanager
async def postgres(folder: Path) -> AsyncIterator[Postgres]:
    """A server with its data below `folder`, which has to be on a disk."""
    server = await asyncio.to_thread(start_server, folder)
    try:
        yield Postgres(server.get_uri())
    finally:
        await asyncio.to_thread(server.cleanup)
