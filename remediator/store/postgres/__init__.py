"""The shared ledger: one PostgreSQL database, any number of replicas.

What keeps replicas apart, in one place:

- **Guards** (``Lock.GUARDS``, an advisory lock that a transaction holds to its end). What guards count (runs,
  slots, pauses, quarantines) is read and added to by ``decide`` and ``intend`` under it alone, and changed by
  ``advance`` under it shared. So no two answers are given on the same count, and a run ends either before a
  decision or after it. One key is enough: guards count across rules and targets, so that no finer one would
  keep two decisions apart, and decisions come in batches and are short.
- **Folding** (``Lock.FOLD``): alerts are folded into episodes by one replica at a time, a batch at a time.
- **Events** (``Lock.EVENTS``), taken last in a transaction: ids are in the order of commits, so that who
  reads on from the last id that it saw misses none.
- **Leases** are one statement: contenders queue up for the target's row, and the token is drawn while it is
  held.
- **Claims** are columns, taken with ``FOR UPDATE SKIP LOCKED`` and over by the database's time.

The time is the database's own, read once per transaction after its lock. It needs no guard against running
backwards here: all replicas ask the one clock that the database's host keeps.
"""

from __future__ import annotations

from remediator.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
