"""Leases and their tokens. Contenders queue up for each place they want, in one order, and then decide."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from zlib import crc32

from remediator.core.ids import Owner, RunId, Token
from remediator.core.leases import Cover, Demand, Held, Lease, Preempted, contend
from remediator.core.ports.store import StoreError, Topic
from remediator.store.common.codecs import maybe_micros, micros, moment, target
from remediator.store.common.leases import (
    COVER_COLUMNS,
    Leased,
    cover_from,
    occupied_from,
    preempted_events,
    preempted_from,
)
from remediator.store.postgres.transaction import Lock, Transaction

_RUN = (
    "SELECT r.target, c.place, c.shared, c.side FROM runs r LEFT JOIN lease_covers c ON c.run = r.id"
    " WHERE r.id = $1"
)
_QUEUE = f"SELECT pg_advisory_xact_lock({Lock.PLACES.value}, key) FROM unnest($1::integer[]) AS key"
# Whose places these are writes its next move, or renews, either before we look or not before we are done.
_ASIDE = (
    "SELECT run FROM leases WHERE run = $1 OR target = ANY($2::text[])"
    " OR run IN (SELECT run FROM lease_covers WHERE place = ANY($2::text[])) ORDER BY run FOR UPDATE"
)
# A replica of the version before writes no covers: its leases and attempts stand on their own target alone.
_STANDING = (
    "WITH standing AS (SELECT place, shared, side, run, awaited_until FROM lease_covers"
    " UNION ALL SELECT l.target, l.shared, 'whole', l.run, NULL FROM leases l"
    " WHERE NOT EXISTS (SELECT 1 FROM lease_covers c WHERE c.run = l.run)"
    " UNION ALL SELECT r.target, false, 'whole', r.id, NULL FROM attempts a JOIN runs r ON r.id = a.run"
    " WHERE a.outcome IS NULL AND NOT r.final"
    " AND NOT EXISTS (SELECT 1 FROM lease_covers c WHERE c.run = r.id))"
    " SELECT s.place, s.shared, s.side, s.run, l.owner, l.expires_at, s.awaited_until, a.id IS NOT NULL,"
    " CASE WHEN NOT a.fenced THEN a.deadline_at END FROM standing s LEFT JOIN leases l ON l.run = s.run"
    " LEFT JOIN attempts a ON a.run = s.run AND a.outcome IS NULL WHERE s.place = ANY($1::text[])"
)
_GIVE_WAY = (
    "UPDATE leases l SET preempted_by = $1, expires_at = least(l.expires_at, $2) FROM runs r"
    " WHERE l.run = ANY($3::text[]) AND l.preempted_by IS NULL AND r.id = l.run"
    " RETURNING r.id, r.rule, r.target"
)
_TAKE = (
    "INSERT INTO leases (target, run, owner, token, expires_at, shared)"
    " VALUES ($1, $2, $3, nextval('lease_tokens'), $4, $5)"
    " ON CONFLICT (target) WHERE NOT shared DO NOTHING RETURNING token"
)
_COVER = (
    f"INSERT INTO lease_covers (run, awaited_until, {COVER_COLUMNS}) SELECT $1, $2, place, shared, side"
    " FROM unnest($3::text[], $4::boolean[], $5::text[]) AS c (place, shared, side)"
    " ON CONFLICT (place, run) DO UPDATE SET awaited_until = excluded.awaited_until,"
    " shared = excluded.shared, side = excluded.side"
)
_RENEW = (
    "UPDATE leases SET expires_at = greatest(expires_at, $1)"
    " WHERE token = $2 AND run = $3 AND expires_at > $4 AND preempted_by IS NULL RETURNING expires_at"
)
#: The deadline of the run's attempt that may still take effect, whoever looks.
_MAY_ACT_UNTIL = (
    "SELECT a.deadline_at FROM attempts a JOIN leases l ON l.run = a.run"
    " WHERE l.token = $1 AND a.outcome IS NULL AND NOT a.fenced AND NOT l.shared AND a.deadline_at > $2"
)
_UNCOVER = (
    "DELETE FROM lease_covers WHERE run = $1"
    " AND NOT EXISTS (SELECT 1 FROM attempts WHERE run = $1 AND outcome IS NULL)"
)
# The row is locked until the commit: nobody takes the lease over between this look and the write behind it.
_LEASED = (
    "SELECT run, preempted_by, expires_at FROM leases"
    " WHERE token = $1 AND expires_at > remediator_now() FOR NO KEY UPDATE"
)


async def acquire(
    transaction: Transaction, run: RunId, owner: Owner, ttl: timedelta, demand: Demand
) -> Lease | Held:
    rows = await transaction.rows(_RUN, run)
    if not rows:
        message = f"no run {run} is in the ledger, so no lease can be taken for it"
        raise StoreError(message)
    on = rows[0][0]
    earlier = [cover_from(*row[1:]) for row in rows if row[1] is not None]
    covers = demand.covering(target(on), earlier)
    places = [cover.place for cover in covers]
    await transaction.rows(_QUEUE, sorted({_key(place) for place in places}))
    await transaction.rows(_ASIDE, run, places)
    # With the places comes the queue: an intent that was being written is seen here, and none follows.
    standing = [occupied_from(row) for row in await transaction.rows(_STANDING, places)]
    contention = contend(run, owner, covers, standing, transaction.now, preempts=demand.preempts)
    if contention.held is not None:
        if contention.preempted:
            await _preempt(transaction, run, contention.preempted, covers, transaction.now + ttl)
        return contention.held
    expires_at = transaction.now + ttl
    # Whoever of them renews or moves at this very moment finds that its row is gone.
    await transaction.run("DELETE FROM leases WHERE run = ANY($1::text[])", [run, *contention.over])
    shared = all(cover.shared for cover in covers)
    token = await transaction.value(_TAKE, on, run, owner, micros(expires_at), shared)
    if token is None:
        # A replica of the version before, which doesn't queue up here, took it a moment ago.
        return Held(run, owner, transaction.now)
    await _cover(transaction, run, covers, None)
    return Lease(target(on), run, owner, Token(token), expires_at, shared)


def _key(place: str) -> int:
    """A place as one of the integers for which PostgreSQL lets contenders queue up."""
    return crc32(place.encode()) - (1 << 31)


async def _cover(
    transaction: Transaction, run: RunId, covers: Collection[Cover], awaited: datetime | None
) -> None:
    await transaction.run(
        _COVER,
        run,
        maybe_micros(awaited),
        [each.place for each in covers],
        [each.shared for each in covers],
        [each.side.value for each in covers],
    )


async def _preempt(
    transaction: Transaction,
    run: RunId,
    others: Iterable[RunId],
    covers: Collection[Cover],
    until: datetime,
) -> None:
    """Ask others to give way, and keep the places from everybody else meanwhile."""
    asked = await transaction.rows(_GIVE_WAY, run, micros(until), sorted(others))
    transaction.append_events(preempted_events(asked, run, transaction.now))
    await _cover(transaction, run, covers, until)
    if asked:
        transaction.topics.add(Topic.LEASES)


async def renew(transaction: Transaction, lease: Lease, ttl: timedelta) -> Lease | Preempted | None:
    until = micros(transaction.now + ttl)
    expires_at = await transaction.value(_RENEW, until, lease.token, lease.run, transaction.micros)
    if expires_at is not None:
        return replace(lease, expires_at=moment(expires_at))
    row = await transaction.row(_LEASED, lease.token)
    return None if row is None else preempted_from(*row[1:])


async def release(transaction: Transaction, lease: Lease) -> None:
    acting = await transaction.value(_MAY_ACT_UNTIL, lease.token, transaction.micros)
    if acting is not None:
        await transaction.run("UPDATE leases SET expires_at = $1 WHERE token = $2", acting, lease.token)
    elif await transaction.run("DELETE FROM leases WHERE token = $1 AND run = $2", lease.token, lease.run):
        await transaction.run(_UNCOVER, lease.run)
    transaction.topics.add(Topic.RUNS)


async def end_leases(transaction: Transaction, run: RunId) -> None:
    await transaction.run("DELETE FROM leases WHERE run = $1", run)
    await transaction.run("DELETE FROM lease_covers WHERE run = $1", run)


async def outlive(transaction: Transaction, token: Token, deadline: datetime) -> None:
    """Let a lease live until a deadline at least."""
    await transaction.run(
        "UPDATE leases SET expires_at = greatest(expires_at, $1) WHERE token = $2", micros(deadline), token
    )


async def leased(transaction: Transaction, token: Token) -> Leased | None:
    """Whose live lease has this token; ``None`` when no live lease has it."""
    row = await transaction.row(_LEASED, token)
    return None if row is None else Leased(RunId(row[0]), preempted_from(*row[1:]))
