"""What people and rule files steer: pauses, quarantines, the active rulebook."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from remediator.core.changes import Proposal, RulebookRow
from remediator.core.guards import Pause, PauseScope, Quarantine
from remediator.core.ids import RulebookHash
from remediator.core.notices import Envelope
from remediator.core.ports.channels import RuleFiles
from remediator.core.ports.store import Topic
from remediator.core.targets import Target
from remediator.store.common.codecs import as_json, maybe_micros
from remediator.store.common.controls import (
    RULEBOOK_COLUMNS,
    cleared,
    judge_proposal,
    paused,
    proposed_events,
    resumed,
    rulebook_from,
)
from remediator.store.common.surroundings import (
    PAUSE_COLUMNS,
    QUARANTINE_COLUMNS,
    standing_pause,
    standing_quarantine,
)
from remediator.store.common.unread import readable
from remediator.store.postgres.outbox import post
from remediator.store.postgres.transaction import Transaction

_PAUSE = (
    "INSERT INTO pauses (scope, value, why, who, at, until, name) VALUES ($1, $2, $3, $4, $5, $6, $7)"
    " RETURNING id"
)
_PAUSES = (
    f"SELECT {PAUSE_COLUMNS} FROM pauses"
    " WHERE lifted_at IS NULL AND (until IS NULL OR until > $1) ORDER BY id"
)
_LIFT = "UPDATE pauses SET lifted_at = $1, lifted_why = $2, lifted_who = $3 WHERE id = $4"
_REMIND = "UPDATE pauses SET reminded = $1 WHERE id = $2 AND lifted_at IS NULL AND coalesce(reminded, 0) = $3"
_KEEP_RULEBOOK = (
    "INSERT INTO rulebooks (hash, first_seen, activated_at, active, files) VALUES ($1, $2, $2, $3, $4)"
    " ON CONFLICT (hash) DO UPDATE SET files = excluded.files, active = excluded.active, activated_at ="
    " CASE WHEN rulebooks.active = excluded.active THEN rulebooks.activated_at ELSE excluded.activated_at END"
)


async def pause(
    transaction: Transaction,
    scope: PauseScope,
    value: str,
    why: str,
    who: str,
    length: timedelta | None,
    name: str,
) -> Pause:
    until = None if length is None else transaction.now + length
    id_ = await transaction.value(
        _PAUSE, scope.value, value, why, who, transaction.micros, maybe_micros(until), name
    )
    begun = Pause(id_, scope, value, why, who, transaction.now, until, name=name)
    transaction.append_events([paused(begun)])
    transaction.topics.add(Topic.BRAKE)
    return begun


async def pauses_in_force(transaction: Transaction) -> tuple[Pause, ...]:
    found = await transaction.rows(_PAUSES, transaction.micros)
    return tuple(standing_pause(transaction, row) for row in found)


async def resume(transaction: Transaction, scope: PauseScope, value: str, why: str, who: str) -> int:
    """Needs ``Lock.GUARDS`` alone, as whatever makes a pause does."""
    found = await pauses_in_force(transaction)
    lifted = [each for each in found if (each.scope, each.value) == (scope, value)]
    return len(await _lift(transaction, lifted, why, who))


async def lift(transaction: Transaction, pause: int, why: str, who: str) -> Pause | None:
    """Needs ``Lock.GUARDS`` alone."""
    found = await pauses_in_force(transaction)
    lifted = await _lift(transaction, [each for each in found if each.id == pause], why, who)
    return lifted[0] if lifted else None


async def _lift(transaction: Transaction, lifted: list[Pause], why: str, who: str) -> list[Pause]:
    await transaction.run_for_each(_LIFT, [(transaction.micros, why, who, each.id) for each in lifted])
    if lifted:
        transaction.append_events(resumed(lifted, why, who, transaction.now))
        transaction.topics.update({Topic.RUNS, Topic.BRAKE})
    return lifted


async def remind(
    transaction: Transaction, pause: Pause, reminded: int, envelopes: Sequence[Envelope]
) -> bool:
    if not await transaction.run(_REMIND, reminded, pause.id, pause.reminded):
        return False
    await post(transaction, envelopes)
    return True


async def quarantines(transaction: Transaction) -> tuple[Quarantine, ...]:
    found = await transaction.rows(f"SELECT {QUARANTINE_COLUMNS} FROM quarantines ORDER BY at, target")
    return tuple(readable(transaction, "quarantines", found, standing_quarantine))


async def clear_quarantine(transaction: Transaction, target: Target, why: str, who: str) -> bool:
    row = await transaction.row(
        f"DELETE FROM quarantines WHERE target = $1 RETURNING {QUARANTINE_COLUMNS}", str(target)
    )
    if row is None:
        return False
    transaction.append_events([cleared(standing_quarantine(row), why, who, transaction.now)])
    return True


async def propose_rulebook(
    transaction: Transaction, proposed: RuleFiles, expected: RulebookHash | None, *, forced: bool
) -> Proposal:
    """Needs ``Lock.GUARDS`` alone: two replicas that boot with different files must not both win."""
    active = await active_hash(transaction)
    seen = await transaction.value("SELECT 1 FROM rulebooks WHERE hash = $1", proposed.hash) is not None
    proposal = judge_proposal(active, proposed.hash, expected, seen=seen, forced=forced)
    if proposal is Proposal.ACTIVATED:
        await transaction.run("UPDATE rulebooks SET active = false WHERE active")
    if proposal is not Proposal.DRIFTED:
        is_active, files = proposal is not Proposal.OVERTAKEN, as_json(proposed.texts)
        await transaction.run(_KEEP_RULEBOOK, proposed.hash, transaction.micros, is_active, files)
    told = proposed_events(proposal, active, proposed.hash, forced=forced, now=transaction.now)
    transaction.append_events(told)
    transaction.topics.add(Topic.RULEBOOK)
    return proposal


async def active_hash(transaction: Transaction) -> RulebookHash | None:
    found = await transaction.value("SELECT hash FROM rulebooks WHERE active")
    return None if found is None else RulebookHash(found)


async def active_rulebook(transaction: Transaction) -> RulebookRow | None:
    return rulebook_from(
        transaction, await transaction.row(f"SELECT {RULEBOOK_COLUMNS} FROM rulebooks WHERE active")
    )


async def rulebook(transaction: Transaction, hash_: RulebookHash) -> RulebookRow | None:
    found = await transaction.row(f"SELECT {RULEBOOK_COLUMNS} FROM rulebooks WHERE hash = $1", hash_)
    return rulebook_from(transaction, found)
