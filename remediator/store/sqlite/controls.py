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
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.outbox import post
from remediator.store.sqlite.transaction import Transaction

_PAUSES = (
    f"SELECT {PAUSE_COLUMNS} FROM pauses WHERE lifted_at IS NULL AND (until IS NULL OR until > ?) ORDER BY id"
)
_LIFT = "UPDATE pauses SET lifted_at = ?, lifted_why = ?, lifted_who = ? WHERE id = ?"
_REMIND = "UPDATE pauses SET reminded = ? WHERE id = ? AND lifted_at IS NULL AND coalesce(reminded, 0) = ?"
_KEEP_RULEBOOK = (
    "INSERT INTO rulebooks (hash, first_seen, activated_at, active, files) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (hash) DO UPDATE SET files = excluded.files, active = excluded.active, activated_at ="
    " CASE WHEN rulebooks.active = excluded.active THEN rulebooks.activated_at ELSE excluded.activated_at END"
)


def pause(
    transaction: Transaction,
    scope: PauseScope,
    value: str,
    why: str,
    who: str,
    length: timedelta | None,
    name: str,
) -> Pause:
    until = None if length is None else transaction.now + length
    added = transaction.sql.execute(
        "INSERT INTO pauses (scope, value, why, who, at, until, name) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (scope.value, value, why, who, transaction.micros, maybe_micros(until), name),
    )
    begun = Pause(added.lastrowid or 0, scope, value, why, who, transaction.now, until, name=name)
    append_events(transaction, [paused(begun)])
    transaction.topics.add(Topic.BRAKE)
    return begun


def pauses_in_force(transaction: Transaction) -> tuple[Pause, ...]:
    found = transaction.sql.execute(_PAUSES, (transaction.micros,))
    return tuple(standing_pause(transaction, row) for row in found)


def resume(transaction: Transaction, scope: PauseScope, value: str, why: str, who: str) -> int:
    found = pauses_in_force(transaction)
    return len(
        _lift(transaction, [each for each in found if (each.scope, each.value) == (scope, value)], why, who)
    )


def lift(transaction: Transaction, pause: int, why: str, who: str) -> Pause | None:
    found = pauses_in_force(transaction)
    lifted = _lift(transaction, [each for each in found if each.id == pause], why, who)
    return lifted[0] if lifted else None


def _lift(transaction: Transaction, lifted: list[Pause], why: str, who: str) -> list[Pause]:
    rows = [(transaction.micros, why, who, each.id) for each in lifted]
    transaction.sql.executemany(_LIFT, rows)
    if lifted:
        append_events(transaction, resumed(lifted, why, who, transaction.now))
        transaction.topics.update({Topic.RUNS, Topic.BRAKE})
    return lifted


def remind(transaction: Transaction, pause: Pause, reminded: int, envelopes: Sequence[Envelope]) -> bool:
    if not transaction.sql.execute(_REMIND, (reminded, pause.id, pause.reminded)).rowcount:
        return False
    post(transaction, envelopes)
    return True


def quarantines(transaction: Transaction) -> tuple[Quarantine, ...]:
    found = transaction.sql.execute(f"SELECT {QUARANTINE_COLUMNS} FROM quarantines ORDER BY at, target")
    return tuple(readable(transaction, "quarantines", found, standing_quarantine))


def clear_quarantine(transaction: Transaction, target: Target, why: str, who: str) -> bool:
    row = transaction.sql.execute(
        f"SELECT {QUARANTINE_COLUMNS} FROM quarantines WHERE target = ?", (str(target),)
    ).fetchone()
    if row is None:
        return False
    held = standing_quarantine(row)
    transaction.sql.execute("DELETE FROM quarantines WHERE target = ?", (str(target),))
    append_events(transaction, [cleared(held, why, who, transaction.now)])
    return True


def propose_rulebook(
    transaction: Transaction, proposed: RuleFiles, expected: RulebookHash | None, *, forced: bool
) -> Proposal:
    sql = transaction.sql
    active = active_hash(transaction)
    seen = sql.execute("SELECT 1 FROM rulebooks WHERE hash = ?", (proposed.hash,)).fetchone() is not None
    proposal = judge_proposal(active, proposed.hash, expected, seen=seen, forced=forced)
    if proposal is Proposal.ACTIVATED:
        sql.execute("UPDATE rulebooks SET active = 0 WHERE active = 1")
    if proposal is not Proposal.DRIFTED:
        now, is_active = transaction.micros, proposal is not Proposal.OVERTAKEN
        sql.execute(_KEEP_RULEBOOK, (proposed.hash, now, now, is_active, as_json(proposed.texts)))
    told = proposed_events(proposal, active, proposed.hash, forced=forced, now=transaction.now)
    append_events(transaction, told)
    transaction.topics.add(Topic.RULEBOOK)
    return proposal


def active_hash(transaction: Transaction) -> RulebookHash | None:
    row = transaction.sql.execute("SELECT hash FROM rulebooks WHERE active = 1").fetchone()
    return None if row is None else RulebookHash(row[0])


def active_rulebook(transaction: Transaction) -> RulebookRow | None:
    found = transaction.sql.execute(f"SELECT {RULEBOOK_COLUMNS} FROM rulebooks WHERE active = 1")
    return rulebook_from(transaction, found.fetchone())


def rulebook(transaction: Transaction, hash_: RulebookHash) -> RulebookRow | None:
    found = transaction.sql.execute(f"SELECT {RULEBOOK_COLUMNS} FROM rulebooks WHERE hash = ?", (hash_,))
    return rulebook_from(transaction, found.fetchone())
