"""Leases and their tokens. A transaction has the whole ledger for itself, so reading first is safe."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.core.ids import Owner, RunId, Token
from remediator.core.leases import Cover, Demand, Held, Lease, Preempted, contend
from remediator.core.ports.store import StoreError, Topic
from remediator.store.common.codecs import as_json, micros, moment, target
from remediator.store.common.leases import (
    COVER_COLUMNS,
    Leased,
    cover_from,
    occupied_from,
    preempted_events,
    preempted_from,
)
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.transaction import Transaction

_STANDING = (
    "SELECT c.place, c.shared, c.side, c.run, l.owner, l.expires_at, c.awaited_until, a.id IS NOT NULL,"
    " CASE WHEN a.fenced = 0 THEN a.deadline_at END FROM lease_covers c LEFT JOIN leases l ON l.run = c.run"
    " LEFT JOIN attempts a ON a.run = c.run AND a.outcome IS NULL"
    " WHERE c.place IN (SELECT value FROM json_each(?))"
)
_GIVE_WAY = (
    "UPDATE leases SET preempted_by = ?, expires_at = min(expires_at, ?)"
    " WHERE run = ? AND preempted_by IS NULL"
)
_END = "DELETE FROM leases WHERE run = ?"
_TAKE = "INSERT INTO leases (target, run, owner, token, expires_at, shared) VALUES (?, ?, ?, ?, ?, ?)"
_COVER = (
    f"INSERT INTO lease_covers (run, awaited_until, {COVER_COLUMNS}) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (place, run) DO UPDATE SET awaited_until = excluded.awaited_until,"
    " shared = excluded.shared, side = excluded.side"
)
_RENEW = (
    "UPDATE leases SET expires_at = max(expires_at, ?) WHERE token = ? AND run = ? AND expires_at > ?"
    " AND preempted_by IS NULL RETURNING expires_at"
)
_LEASED = "SELECT run, preempted_by, expires_at FROM leases WHERE token = ? AND expires_at > ?"
#: The deadline of the run's attempt that may still take effect, whoever looks.
_MAY_ACT_UNTIL = (
    "SELECT a.deadline_at FROM attempts a JOIN leases l ON l.run = a.run"
    " WHERE l.token = ? AND a.outcome IS NULL AND a.fenced = 0 AND l.shared = 0 AND a.deadline_at > ?"
)
_UNCOVER = (
    "DELETE FROM lease_covers WHERE run = ?1"
    " AND NOT EXISTS (SELECT 1 FROM attempts WHERE run = ?1 AND outcome IS NULL)"
)


def acquire(
    transaction: Transaction, run: RunId, owner: Owner, ttl: timedelta, demand: Demand
) -> Lease | Held:
    sql, now = transaction.sql, transaction.now
    row = sql.execute("SELECT target FROM runs WHERE id = ?", (run,)).fetchone()
    if row is None:
        message = f"no run {run} is in the ledger, so no lease can be taken for it"
        raise StoreError(message)
    covers = demand.covering(target(row[0]), _covered(transaction, run))
    found = sql.execute(_STANDING, (as_json([cover.place for cover in covers]),))
    standing = [occupied_from(each) for each in found]
    contention = contend(run, owner, covers, standing, now, preempts=demand.preempts)
    if contention.held is not None:
        if contention.preempted:
            _preempt(transaction, run, contention.preempted, covers, now + ttl)
        return contention.held
    sql.executemany(_END, [(each,) for each in (run, *contention.over)])
    token, expires_at, shared = _next_token(transaction), now + ttl, all(each.shared for each in covers)
    sql.execute(_TAKE, (row[0], run, owner, token, micros(expires_at), shared))
    _cover(transaction, run, covers, None)
    return Lease(target(row[0]), run, owner, token, expires_at, shared)


def _covered(transaction: Transaction, run: RunId) -> list[Cover]:
    found = transaction.sql.execute(f"SELECT {COVER_COLUMNS} FROM lease_covers WHERE run = ?", (run,))
    return [cover_from(*row) for row in found]


def _cover(transaction: Transaction, run: RunId, covers: Iterable[Cover], awaited: datetime | None) -> None:
    until = None if awaited is None else micros(awaited)
    rows = [(run, until, each.place, each.shared, each.side.value) for each in covers]
    transaction.sql.executemany(_COVER, rows)


def _preempt(
    transaction: Transaction,
    run: RunId,
    others: Collection[RunId],
    covers: Iterable[Cover],
    until: datetime,
) -> None:
    """Ask others to give way, and keep the places from everybody else meanwhile."""
    sql = transaction.sql
    asked = [each for each in sorted(others) if sql.execute(_GIVE_WAY, (run, micros(until), each)).rowcount]
    told = sql.execute(
        "SELECT id, rule, target FROM runs WHERE id IN (SELECT value FROM json_each(?))", (as_json(asked),)
    )
    append_events(transaction, preempted_events(told.fetchall(), run, transaction.now))
    _cover(transaction, run, covers, until)
    if asked:
        transaction.topics.add(Topic.LEASES)


def _next_token(transaction: Transaction) -> Token:
    transaction.sql.execute("UPDATE token_sequence SET last = last + 1")
    return Token(transaction.sql.execute("SELECT last FROM token_sequence").fetchone()[0])


def renew(transaction: Transaction, lease: Lease, ttl: timedelta) -> Lease | Preempted | None:
    sql, now = transaction.sql, transaction.micros
    until = micros(transaction.now + ttl)
    # Read to its end: a statement that returns rows is done with only then.
    renewed = sql.execute(_RENEW, (until, lease.token, lease.run, now)).fetchall()
    if renewed:
        return replace(lease, expires_at=moment(renewed[0][0]))
    row = sql.execute(_LEASED, (lease.token, now)).fetchone()
    return None if row is None else preempted_from(*row[1:])


def release(transaction: Transaction, lease: Lease) -> None:
    sql, now = transaction.sql, transaction.micros
    held = sql.execute("SELECT 1 FROM leases WHERE token = ? AND run = ?", (lease.token, lease.run))
    if held.fetchone() is None:
        return
    acting = sql.execute(_MAY_ACT_UNTIL, (lease.token, now)).fetchone()
    if acting is not None:
        sql.execute("UPDATE leases SET expires_at = ? WHERE token = ?", (acting[0], lease.token))
    else:
        sql.execute(_END, (lease.run,))
        sql.execute(_UNCOVER, (lease.run,))
    transaction.topics.add(Topic.RUNS)


def end_leases(transaction: Transaction, run: RunId) -> None:
    transaction.sql.execute(_END, (run,))
    transaction.sql.execute("DELETE FROM lease_covers WHERE run = ?", (run,))


def outlive(transaction: Transaction, token: Token, deadline: datetime) -> None:
    """Let a lease live until a deadline at least."""
    transaction.sql.execute(
        "UPDATE leases SET expires_at = max(expires_at, ?) WHERE token = ?", (micros(deadline), token)
    )


def leased(transaction: Transaction, token: Token) -> Leased | None:
    """Whose live lease has this token; ``None`` when no live lease has it."""
    row = transaction.sql.execute(_LEASED, (token, transaction.micros)).fetchone()
    return None if row is None else Leased(RunId(row[0]), preempted_from(*row[1:]))
