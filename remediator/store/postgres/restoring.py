"""Notices that the database is not the one last written to, and stops everything until a person resumes it.

Which one it is, is told by what a dump, another server and a point in time brought back each change: the
system's identifier, the database's and the table's numbers, and the timeline. That grows with a failover too,
so a replica that lived through one, and finds what it wrote last, vouches for the new timeline. Each looks
for the latest commits of its own besides: what others wrote may be there, and a step of its runs missing. An
intent looks for itself, within its transaction: between two looks nobody begins anything in an older ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from remediator.core.changes import Restoration
from remediator.core.events import Event, EventKind
from remediator.core.notices import Envelope
from remediator.core.ports.store import Topic
from remediator.store.common.restoring import (
    RESTORATION_COLUMNS,
    TOLD,
    TOLD_OF_END,
    pause_for,
    restoration_from,
    restored,
    token_floor,
)
from remediator.store.postgres import controls
from remediator.store.postgres.outbox import post
from remediator.store.postgres.transaction import Transaction

#: Everybody is told. The table by its name: a prepared statement would keep a constant.
_PLACE = {
    "database": "SELECT oid::bigint FROM pg_database WHERE datname = current_database()",
    "table": "SELECT to_regclass('meta')::oid::bigint",
}
#: Each of its own, since not every server answers it to everybody.
_MORE = {
    "system": "SELECT system_identifier::bigint FROM pg_control_system()",
    "timeline": "SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint",
}
_UNANSWERED = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedFunctionError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.FeatureNotSupportedError,
)
_WORDS = {
    "system": "it is in another system",
    "database": "it is in another database",
    "table": "its tables were made anew",
    "timeline": "its server has gone back in time, or failed over while nobody watched",
}
#: How long commits are looked for: a part of the hour for which the ledger keeps their ids.
_LOOKED_FOR = timedelta(minutes=30)
_THERE = "SELECT count(*) FROM ledger_commits WHERE happened AND id = ANY($1::uuid[])"
_SAME = "coalesce((SELECT value FROM meta WHERE key = 'is.{}') = ({}), true)"
_LOST = "what was last written to it is not there"
_KNOWN = "SELECT key, value FROM meta WHERE key LIKE 'is.%'"
_KEEP = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_OPEN = f"SELECT {RESTORATION_COLUMNS} FROM pauses WHERE restored AND told IS DISTINCT FROM $1 ORDER BY id"
_STANDS = "SELECT EXISTS (SELECT 1 FROM pauses WHERE restored AND lifted_at IS NULL)"
_TELL = "UPDATE pauses SET told = $1 WHERE id = $2 AND restored AND told IS DISTINCT FROM $1"


Kept = Sequence[tuple[UUID, datetime]]
"""Commits that were answered, and when: what has to be there."""


class ElsewhereError(Exception):
    """The ledger is not what it was when it was last looked at; nothing was written."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That a write was kept: how many such writes there had been, and whether the ledger has moved.

    ``whole`` says that all is there that was to be; ``told`` are the parts of its place that
    the server tells.
    """

    before: int
    moved: bool
    whole: bool
    told: frozenset[str]


async def require(transaction: Transaction, kept: Kept, told: Collection[str]) -> None:
    """See in one exchange that the ledger is where it was, as far as ``told``, with all that is ``kept``.

    Raises:
        ElsewhereError: it may have been put back, or have failed over: somebody has to :func:`look` first.
    """
    commits = _looked_for(transaction, kept)
    same = (_SAME.format(part, statement) for part, statement in (_PLACE | _MORE).items() if part in told)
    statement = f"SELECT {' AND '.join((f'({_THERE}) = $2', *same))}"
    if not await transaction.value(statement, commits, len(commits)):
        raise ElsewhereError


async def prove_durable(transaction: Transaction, kept: Kept) -> Proof:
    """Write, and look for the commits that are ``kept``, with their times, as far as who asks knows."""
    written = await transaction.value(
        "INSERT INTO meta (key, value) VALUES ('checks', 1)"
        " ON CONFLICT (key) DO UPDATE SET value = meta.value + 1 RETURNING value"
    )
    commits = _looked_for(transaction, kept)
    whole = await transaction.value(_THERE, commits) == len(commits)
    known, here = await _known(transaction), await _here(transaction)
    moved = any(known.get(part) != value for part, value in here.items())
    return Proof(written - 1, moved, whole, frozenset(here))


def _looked_for(transaction: Transaction, kept: Kept) -> list[UUID]:
    return [commit for commit, at in kept if at >= transaction.now - _LOOKED_FOR]


async def look(transaction: Transaction, *, has_last: bool | None = None, waits: bool = False) -> bool:
    """Compare where the ledger stands with where it stood; ``False`` if that is for another to say.

    ``has_last`` says whether what was last written by who asks is there, ``None`` that it wrote nothing yet:
    then it ``waits``, for a while, for one that lived through what may be a failover.
    """
    known, here = await _known(transaction), await _here(transaction)
    moved = [part for part, value in here.items() if known.get(part, value) != value]
    if moved == ["timeline"] and has_last is None and waits:
        return False
    if moved == ["timeline"] and has_last:
        data = {"from": known["timeline"], "to": here["timeline"]}
        transaction.append_events([Event(EventKind.LEDGER_FAILED_OVER, transaction.now, data)])
    elif moved or has_last is False:
        await _stop(transaction, _WORDS[moved[0]] if moved else _LOST)
    await transaction.run_for_each(_KEEP, [(f"is.{part}", value) for part, value in here.items()])
    return True


async def _known(transaction: Transaction) -> Mapping[str, int]:
    return {key.removeprefix("is."): value for key, value in await transaction.rows(_KNOWN)}


async def _here(transaction: Transaction) -> dict[str, int]:
    here = {part: await transaction.value(statement) for part, statement in _PLACE.items()}
    for part, statement in _MORE.items():
        await transaction.connection.execute("SAVEPOINT asking")
        try:
            here[part] = await transaction.value(statement)
        except _UNANSWERED:
            await transaction.connection.execute("ROLLBACK TO asking")
    return here


async def _stop(transaction: Transaction, how: str) -> None:
    last = await transaction.value("SELECT nextval('lease_tokens')")
    floor = token_floor(last, transaction.now)
    await transaction.value("SELECT setval('lease_tokens', $1)", floor)
    await transaction.run("DELETE FROM leases")
    # Each of several replicas may find that something of its own is missing: one pause stands for all.
    if not await transaction.value(_STANDS):
        wanted = pause_for(how, transaction.now)
        made = await controls.pause(transaction, wanted.scope, wanted.value, wanted.why, wanted.who, None, "")
        await transaction.run("UPDATE pauses SET restored = true WHERE id = $1", made.id)
    transaction.append_events([restored(how, floor, transaction.now)])


async def restorations(transaction: Transaction) -> list[Restoration]:
    return [restoration_from(row) for row in await transaction.rows(_OPEN, TOLD_OF_END)]


async def tell(transaction: Transaction, restoration: Restoration, envelopes: Sequence[Envelope]) -> bool:
    told = TOLD if restoration.release is None else TOLD_OF_END
    if not await transaction.run(_TELL, told, restoration.pause):
        return False
    await post(transaction, envelopes)
    transaction.topics.add(Topic.BRAKE)
    return True
