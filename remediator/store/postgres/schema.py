"""Brings the ledger's schema up to date, one replica at a time.

Each migration is one transaction, and only adds: the version before goes on working on what it leaves, so
that replicas can be replaced one by one.
"""

from __future__ import annotations

from typing import Any

from asyncpg.connection import Connection

from remediator.core.ports.store import StoreError
from remediator.store.common.migrations import migrations, refuse_newer
from remediator.store.postgres.transaction import Lock

_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS ledger_schema"
    " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
)
_IN_PLACE = (
    "SELECT to_regclass('ledger_schema') IS NOT NULL, current_schema() IS NOT NULL AND EXISTS"
    " (SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p'))"
)
#: How long a migration, or the wait for another replica that does it, may take (seconds).
_LONGEST = 600.0
#: How long a migration waits for a table that somebody works on before it is given up.
_PATIENCE = "SET LOCAL lock_timeout = '3s'"


async def migrate(connection: Connection[Any], shown: str) -> None:
    """Apply what is missing.

    Raises:
        StoreError: the ledger is of a newer version, or the database is another program's.
    """
    await _check_database(connection, shown)
    scripts = migrations("postgres")
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        # Held to the end, so that replicas which start together do each migration once.
        lock = f"SELECT pg_advisory_xact_lock({Lock.MIGRATE.value})"
        await connection.execute(lock, timeout=_LONGEST)
        await _check_owner(connection, shown)
        await connection.execute(_PATIENCE)
        await connection.execute(_VERSIONS)
        version = await connection.fetchval("SELECT coalesce(max(version), 0) FROM ledger_schema")
        refuse_newer(shown, version, scripts[-1][0])
        for number, script in scripts:
            if number > version:
                await connection.execute(script, timeout=_LONGEST)
                await connection.execute("INSERT INTO ledger_schema (version) VALUES ($1)", number)


async def _check_database(connection: Connection[Any], shown: str) -> None:
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        message = f"the database of the ledger {shown} is in {encoding}: make one with ENCODING 'UTF8'"
        raise StoreError(message)


async def _check_owner(connection: Connection[Any], shown: str) -> None:
    row = await connection.fetchrow(_IN_PLACE)
    if row is not None and not row[0] and row[1]:
        message = (
            f"{shown} holds another program's tables: give Remediator a database of its own, or a schema with"
            " ?search_path=NAME"
        )
        raise StoreError(message)
