"""What retention drops from the ledger, kept beside it for the laws: they judge by all that ever was.

For a table `runs` there is `dropped_runs`, whose rows are `fresh` until the commit that dropped them has been
judged, and `all_runs`, which has those that are there and those that were.
"""

from __future__ import annotations

import sqlite3

_TABLES = (
    "webhooks",
    "episodes",
    "decisions",
    "facts",
    "runs",
    "run_episodes",
    "attempts",
    "approvals",
    "slots",
    "events",
    "outbox",
    "pages",
    "page_episodes",
    "pauses",
)


def keep_what_is_dropped(sql: sqlite3.Connection) -> None:
    """Begin to keep it, for as long as this connection is open."""
    for table in _TABLES:
        columns = [row[1] for row in sql.execute(f"PRAGMA table_info({table})")]
        listed, old = ", ".join(columns), ", ".join(f"old.{column}" for column in columns)
        sql.execute(f"CREATE TEMP TABLE dropped_{table} AS SELECT 1 AS fresh, {listed} FROM {table} LIMIT 0")
        sql.execute(
            f"CREATE TEMP TRIGGER keep_{table} AFTER DELETE ON main.{table} BEGIN"
            f" INSERT INTO dropped_{table} (fresh, {listed}) VALUES (1, {old}); END"
        )
        sql.execute(
            f"CREATE TEMP VIEW all_{table} AS SELECT {listed} FROM main.{table}"
            f" UNION ALL SELECT {listed} FROM dropped_{table}"
        )


def judged(sql: sqlite3.Connection) -> None:
    """What has been dropped so far is fresh no more."""
    for table in _TABLES:
        sql.execute(f"UPDATE dropped_{table} SET fresh = 0 WHERE fresh")
