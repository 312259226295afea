"""What people and rule files steer: pauses, quarantines, the active rulebook."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from remediator.core.changes import Proposal, RulebookRow
from remediator.core.events import Event, EventKind
from remediator.core.guards import Pause, PauseScope, Quarantine
from remediator.core.ids import RulebookHash
from remediator.core.ports.channels import RuleFiles
from remediator.core.ports.store import Topic
from remediator.core.targets import Target
from remediator.store.sqlite.codecs import Row, as_json, maybe_micros, moment, strings
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.guard_views import quarantine_from
from remediator.store.sqlite.transaction import Transaction

_RULEBOOK = "hash, first_seen, active, files"


def pause(
    transaction: Transaction, scope: PauseScope, value: str, why: str, who: str, length: timedelta | None
) -> Pause:
    until = None if length is None else transaction.now + length
    added = transaction.sql.execute(
        "INSERT INTO pauses (scope, value, why, who, at, until) VALUES (?, ?, ?, ?, ?, ?)",
        (scope.value, value, why, who, transaction.micros, maybe_micros(until)),
    )
    data = {"scope": scope.value, "value": value, "why": why, "who": who, "until": until}
    _tell(transaction, EventKind.AUTOMATION_PAUSED, scope, value, data)
    return Pause(added.lastrowid or 0, scope, value, why, who, transaction.now, until)


def resume(transaction: Transaction, scope: PauseScope, value: str, why: str, who: str) -> int:
    now = transaction.micros
    lifted = transaction.sql.execute(
        "UPDATE pauses SET lifted_at = ?, lifted_why = ?, lifted_who = ? WHERE scope = ? AND value = ?"
        " AND lifted_at IS NULL AND (until IS NULL OR until > ?)",
        (now, why, who, scope.value, value, now),
    ).rowcount
    if lifted:
        data = {"scope": scope.value, "value": value, "why": why, "who": who, "lifted": lifted}
        _tell(transaction, EventKind.AUTOMATION_RESUMED, scope, value, data)
        transaction.topics.add(Topic.RUNS)
    return lifted


def _tell(
    transaction: Transaction, kind: EventKind, scope: PauseScope, value: str, data: Mapping[str, object]
) -> None:
    rule = value if scope is PauseScope.RULE else None
    target = value if scope is PauseScope.TARGET else None
    append_events(transaction, [Event(kind, transaction.now, data, rule=rule, target=target)])


def quarantines(transaction: Transaction) -> tuple[Quarantine, ...]:
    found = transaction.sql.execute(
        "SELECT target, run, attempt, why, at FROM quarantines ORDER BY at, target"
    )
    return tuple(quarantine_from(row) for row in found)


def clear_quarantine(transaction: Transaction, target: Target, why: str, who: str) -> bool:
    row = transaction.sql.execute(
        "SELECT target, run, attempt, why, at FROM quarantines WHERE target = ?", (str(target),)
    ).fetchone()
    if row is None:
        return False
    held = quarantine_from(row)
    transaction.sql.execute("DELETE FROM quarantines WHERE target = ?", (str(target),))
    data = {"why": why, "who": who, "quarantined_for": held.why, "since": held.at, "attempt": held.attempt}
    event = Event(EventKind.TARGET_CLEARED, transaction.now, data, run=held.run, target=str(target))
    append_events(transaction, [event])
    return True


def propose_rulebook(transaction: Transaction, proposed: RuleFiles, *, forced: bool) -> Proposal:
    active = active_rulebook(transaction)
    if active is not None and active.hash == proposed.hash:
        return Proposal.UNCHANGED
    data: dict[str, object] = {
        "hash": proposed.hash,
        "before": None if active is None else active.hash,
        "forced": forced,
    }
    if not forced and rulebook(transaction, proposed.hash) is not None:
        append_events(transaction, [Event(EventKind.RULEBOOK_DRIFTED, transaction.now, data)])
        return Proposal.DRIFTED
    _activate(transaction, proposed)
    append_events(transaction, [Event(EventKind.RULEBOOK_ACTIVATED, transaction.now, data)])
    return Proposal.ACTIVATED


def _activate(transaction: Transaction, proposed: RuleFiles) -> None:
    now = transaction.micros
    transaction.sql.execute("UPDATE rulebooks SET active = 0 WHERE active = 1")
    transaction.sql.execute(
        "INSERT INTO rulebooks (hash, first_seen, activated_at, active, files) VALUES (?, ?, ?, 1, ?)"
        " ON CONFLICT (hash) DO UPDATE SET active = 1, activated_at = excluded.activated_at",
        (proposed.hash, now, now, as_json(proposed.texts)),
    )


def active_rulebook(transaction: Transaction) -> RulebookRow | None:
    found = transaction.sql.execute(f"SELECT {_RULEBOOK} FROM rulebooks WHERE active = 1")
    return _rulebook_from(found.fetchone())


def rulebook(transaction: Transaction, hash_: RulebookHash) -> RulebookRow | None:
    found = transaction.sql.execute(f"SELECT {_RULEBOOK} FROM rulebooks WHERE hash = ?", (hash_,))
    return _rulebook_from(found.fetchone())


def _rulebook_from(row: Row | None) -> RulebookRow | None:
    if row is None:
        return None
    hash_, first_seen, active, texts = row
    return RulebookRow(RulebookHash(hash_), moment(first_seen), bool(active), strings(texts))
