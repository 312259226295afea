"""Leases and their tokens. A transaction has the whole ledger for itself, so reading first is safe."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from remediator.core.ids import Owner, RunId, Token
from remediator.core.leases import Held, Lease
from remediator.core.ports.store import StoreError, Topic
from remediator.store.common.codecs import micros, moment, target
from remediator.store.sqlite.transaction import Transaction

_OTHER = (
    "SELECT run, owner, expires_at FROM leases"
    " WHERE target = ? AND expires_at > ? AND (run <> ? OR owner <> ?) ORDER BY expires_at DESC LIMIT 1"
)
_IN_DOUBT = (
    "SELECT a.run FROM attempts a JOIN runs r ON r.id = a.run"
    " WHERE a.outcome IS NULL AND r.final = 0 AND r.target = ? AND r.id <> ? LIMIT 1"
)
_TAKE = (
    "INSERT INTO leases (target, run, owner, token, expires_at, shared) VALUES (?, ?, ?, ?, ?, 0)"
    " ON CONFLICT (target, run) DO UPDATE SET owner = excluded.owner, token = excluded.token,"
    " expires_at = excluded.expires_at"
)


def acquire(transaction: Transaction, run: RunId, owner: Owner, ttl: timedelta) -> Lease | Held:
    sql, now = transaction.sql, transaction.micros
    row = sql.execute("SELECT target FROM runs WHERE id = ?", (run,)).fetchone()
    if row is None:
        message = f"no run {run} is in the ledger, so no lease can be taken for it"
        raise StoreError(message)
    held = sql.execute(_OTHER, (row[0], now, run, owner)).fetchone()
    if held is not None:
        return Held(RunId(held[0]), Owner(held[1]), moment(held[2]))
    doubt = sql.execute(_IN_DOUBT, (row[0], run)).fetchone()
    if doubt is not None:
        # Whoever wrote first would wipe out the only trace by which that attempt can be found.
        return Held(RunId(doubt[0]), Owner(""), transaction.now)
    token = _next_token(transaction)
    expires_at = transaction.now + ttl
    sql.execute("DELETE FROM leases WHERE target = ? AND expires_at <= ?", (row[0], now))
    sql.execute(_TAKE, (row[0], run, owner, token, micros(expires_at)))
    return Lease(target(row[0]), run, owner, token, expires_at)


def _next_token(transaction: Transaction) -> Token:
    transaction.sql.execute("UPDATE token_sequence SET last = last + 1")
    return Token(transaction.sql.execute("SELECT last FROM token_sequence").fetchone()[0])


def renew(transaction: Transaction, lease: Lease, ttl: timedelta) -> Lease | None:
    expires_at = transaction.now + ttl
    renewed = transaction.sql.execute(
        "UPDATE leases SET expires_at = ? WHERE token = ? AND run = ? AND expires_at > ?",
        (micros(expires_at), lease.token, lease.run, transaction.micros),
    )
    return replace(lease, expires_at=expires_at) if renewed.rowcount else None


def release(transaction: Transaction, lease: Lease) -> None:
    transaction.sql.execute("DELETE FROM leases WHERE token = ? AND run = ?", (lease.token, lease.run))
    transaction.topics.add(Topic.RUNS)


def end_leases(transaction: Transaction, run: RunId) -> None:
    transaction.sql.execute("DELETE FROM leases WHERE run = ?", (run,))


def leased_run(transaction: Transaction, token: Token) -> RunId | None:
    """The run whose live lease has this token; ``None`` when no live lease has it."""
    row = transaction.sql.execute(
        "SELECT run FROM leases WHERE token = ? AND expires_at > ?", (token, transaction.micros)
    ).fetchone()
    return None if row is None else RunId(row[0])
