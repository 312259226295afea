"""Brings the ledger's schema up to date, one replica at a time.

Each migration is one transaction, and only adds: the version before goes on working on what it leaves, so
that replicas can be replaced one by one.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
from asyncpg.connection import Connection

from remediator.core.ports.store import StoreError, StoreUnavailableError
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
#: How long one migration may take (seconds).
_LONGEST = 600.0
#: How long another replica that does it is waited for before this one gives up (seconds).
PATIENCE = 30.0
_PAUSE = 0.2
#: How long a migration waits for a table that somebody works on, and so keeps others waiting, at a time.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '3s'"
_TRIES = 3
_TRY_ALONE = f"SELECT pg_try_advisory_lock({Lock.MIGRATE.value})"
_MIGRATING = (
    "SELECT a.pid, a.application_name, a.client_addr, a.backend_start AS since FROM pg_locks l"
    f" JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.objid = {Lock.MIGRATE.value}"
    " AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_WORKING_LONGEST = (
    "SELECT pid, application_name, client_addr, xact_start AS since FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
    " ORDER BY xact_start LIMIT 1"
)


async def migrate(connection: Connection[Any], shown: str, *, patience: float = PATIENCE) -> None:
    """Apply what is missing; another replica that does so is waited for, for ``patience`` seconds.

    Raises:
        StoreError: the ledger is of a newer version, or the database is another program's.
        StoreUnavailableError: another session is in the way; the message says which.
    """
    await _check_database(connection, shown)
    await _check_owner(connection, shown)
    scripts = migrations("postgres")
    if await _version(connection, shown, scripts[-1][0]) == scripts[-1][0]:
        return
    await _be_alone(connection, shown, patience)
    await _check_owner(connection, shown)
    await connection.execute(_VERSIONS)
    version = await _version(connection, shown, scripts[-1][0])
    for number, script in scripts:
        if number > version:
            await _apply(connection, shown, number, script)
    # The connection ends with this, and the lock with it.


async def _version(connection: Connection[Any], shown: str, newest: int) -> int:
    if not await connection.fetchval("SELECT to_regclass('ledger_schema') IS NOT NULL"):
        return 0
    version = int(await connection.fetchval("SELECT coalesce(max(version), 0) FROM ledger_schema"))
    refuse_newer(shown, version, newest)
    return version


async def _be_alone(connection: Connection[Any], shown: str, patience: float) -> None:
    """Replicas that start together do each migration once: the lock is held until the connection ends."""
    over_at = asyncio.get_running_loop().time() + patience
    while not await connection.fetchval(_TRY_ALONE):
        if asyncio.get_running_loop().time() >= over_at:
            by = await _session(connection, _MIGRATING)
            message = (
                f"the ledger {shown} is being brought up to date by another replica: {by}. Start this one"
                " again once that is done, or end that session if its replica is gone"
            )
            raise StoreUnavailableError(message)
        await asyncio.sleep(_PAUSE)


async def _apply(connection: Connection[Any], shown: str, number: int, script: str) -> None:
    """One migration, in a transaction of its own, which keeps others waiting for a few seconds at most."""
    for left in reversed(range(_TRIES)):
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL statement_timeout = 0")
                await connection.execute(_LOCK_TIMEOUT)
                await connection.execute(script, timeout=_LONGEST)
                await connection.execute("INSERT INTO ledger_schema (version) VALUES ($1)", number)
        except asyncpg.LockNotAvailableError as error:
            if not left:
                by = await _session(connection, _WORKING_LONGEST)
                message = (
                    f"the ledger {shown} can't be brought up to schema {number}: a table that it changes is"
                    f" in use. The longest at work is {by}. Start this replica again once that has ended"
                )
                raise StoreUnavailableError(message) from error
        else:
            return


async def _session(connection: Connection[Any], statement: str) -> str:
    """The session that a statement names, for people."""
    row = await connection.fetchrow(statement)
    if row is None:
        return "a session that has ended by now"
    name, where = row["application_name"] or "unnamed", row["client_addr"] or "a socket"
    return f"{name} (pid {row['pid']}, from {where}, since {row['since']:%H:%M:%S} UTC)"


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
