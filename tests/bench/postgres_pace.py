"""PostgreSQL's own pace: how many transactions of the ledger's shape it commits a second, without a ledger.

Run as a process: `python -m tests.bench.postgres_pace URL CALLERS SERIAL SECONDS`. A transaction is as many
round trips as a move of a run: BEGIN, the time, four statements, COMMIT. It prints the rate.
"""

from __future__ import annotations

import asyncio
import sys
import time

import asyncpg
import uvloop

from tests.bench.peers.bare import ROOT
from tests.bench.processes import output_of

SECONDS = 2.0
BODY = b"x" * 500
STATEMENTS = 4
_TABLE = "CREATE TABLE IF NOT EXISTS pace (id bigserial PRIMARY KEY, body bytea NOT NULL)"
_LOCK = "SELECT pg_advisory_xact_lock(1)"


async def commits(url: str, *, callers: int, serial: bool) -> float:
    """Transactions a second, with so many callers; `serial` ones take a lock that all of them want."""
    argv = (sys.executable, "-m", "tests.bench.postgres_pace", url, str(callers), str(int(serial)))
    return float(await output_of(*argv, env={"PYTHONPATH": str(ROOT)}))


async def _measured(url: str, callers: int, *, serial: bool) -> float:
    connections = [await asyncpg.connect(url) for _ in range(callers)]
    await connections[0].execute(_TABLE)
    until = time.perf_counter() + SECONDS
    done = await asyncio.gather(*(_commit(each, until, serial=serial) for each in connections))
    for connection in connections:
        await connection.close()
    return sum(done) / SECONDS


async def _commit(connection: asyncpg.Connection, until: float, *, serial: bool) -> int:
    done = 0
    while time.perf_counter() < until:
        await connection.execute(f"BEGIN; {_LOCK}" if serial else "BEGIN")
        await connection.fetchval("SELECT clock_timestamp()")
        for _ in range(STATEMENTS):
            await connection.execute("INSERT INTO pace (body) VALUES ($1)", BODY)
        await connection.execute("COMMIT")
        done += 1
    return done


def main() -> None:
    """Measure, and print the rate."""
    url, callers, serial = sys.argv[1:4]
    print(uvloop.run(_measured(url, int(callers), serial=bool(int(serial)))))


if __name__ == "__main__":
    main()
