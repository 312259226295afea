"""Leases and their tokens. Contenders for a target queue up for its row, so each statement decides alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from remediator.core.ids import Owner, RunId, Token
from remediator.core.leases import Held, Lease
from remediator.core.ports.store import StoreError, Topic
from remediator.store.common.codecs import micros, moment, target
from remediator.store.postgres.transaction import Transaction

# The token is drawn a second time once the row is ours: one drawn while waiting for it may be older than that
# of the lease which was there meanwhile.
_TAKE = (
    "INSERT INTO leases (target, run, owner, token, expires_at, shared)"
    " VALUES ($1, $2, $3, nextval('lease_tokens'), $4, false)"
    " ON CONFLICT (target) WHERE NOT shared DO UPDATE SET run = excluded.run, owner = excluded.owner,"
    " token = nextval('lease_tokens'), expires_at = excluded.expires_at"
    " WHERE leases.expires_at <= $5 OR (leases.run = excluded.run AND leases.owner = excluded.owner)"
    " RETURNING token"
)
_HOLDER = "SELECT run, owner, expires_at FROM leases WHERE target = $1 AND NOT shared FOR UPDATE"
_IN_DOUBT = (
    "SELECT a.run FROM attempts a JOIN runs r ON r.id = a.run"
    " WHERE a.outcome IS NULL AND NOT r.final AND r.target = $1 AND r.id <> $2 LIMIT 1"
)
_RENEW = "UPDATE leases SET expires_at = $1 WHERE token = $2 AND run = $3 AND expires_at > $4"
_END = "UPDATE leases SET expires_at = least(expires_at, $1)"
# The row is locked until the commit: nobody takes the lease over between this look and the write behind it.
_LEASED = "SELECT run FROM leases WHERE token = $1 AND expires_at > remediator_now() FOR NO KEY UPDATE"


async def acquire(transaction: Transaction, run: RunId, owner: Owner, ttl: timedelta) -> Lease | Held:
    on = await transaction.value("SELECT target FROM runs WHERE id = $1", run)
    if on is None:
        message = f"no run {run} is in the ledger, so no lease can be taken for it"
        raise StoreError(message)
    # With the row comes the queue: an intent that is being written is seen below, and none follows.
    held = await _holder(transaction, on, run, owner)
    if held is not None:
        return held
    doubt = await transaction.value(_IN_DOUBT, on, run)
    if doubt is not None:
        # Whoever wrote first would wipe out the only trace by which that attempt can be found.
        return Held(RunId(doubt), Owner(""), transaction.now)
    expires_at = transaction.now + ttl
    token = await transaction.value(_TAKE, on, run, owner, micros(expires_at), transaction.micros)
    if token is not None:
        return Lease(target(on), run, owner, Token(token), expires_at)
    # The target's first lease ever went to another, a moment ago.
    return await _holder(transaction, on, run, owner) or Held(run, owner, transaction.now)


async def _holder(transaction: Transaction, on: str, run: RunId, owner: Owner) -> Held | None:
    """The live lease of another run or owner, if any; its row is kept from others until the commit."""
    row = await transaction.row(_HOLDER, on)
    if row is None or row[2] <= transaction.micros or (row[0], row[1]) == (run, owner):
        return None
    return Held(RunId(row[0]), Owner(row[1]), moment(row[2]))


async def renew(transaction: Transaction, lease: Lease, ttl: timedelta) -> Lease | None:
    expires_at = transaction.now + ttl
    renewed = await transaction.run(_RENEW, micros(expires_at), lease.token, lease.run, transaction.micros)
    return replace(lease, expires_at=expires_at) if renewed else None


async def release(transaction: Transaction, lease: Lease) -> None:
    await transaction.run(f"{_END} WHERE token = $2 AND run = $3", transaction.micros, lease.token, lease.run)
    transaction.topics.add(Topic.RUNS)


async def end_leases(transaction: Transaction, run: RunId) -> None:
    await transaction.run(f"{_END} WHERE run = $2", transaction.micros, run)


async def leased_run(transaction: Transaction, token: Token) -> RunId | None:
    """The run whose live lease has this token; ``None`` when no live lease has it."""
    run = await transaction.value(_LEASED, token)
    return None if run is None else RunId(run)
