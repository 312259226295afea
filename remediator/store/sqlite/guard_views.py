"""What the guards see, read in the very transaction that acts on their answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from remediator.core.guards import NO_LOOKBACK, Lookback, Pause
from remediator.core.ids import RunId
from remediator.core.ports.store import Reckon
from remediator.core.rules import Mode
from remediator.core.runs import Run, RunState
from remediator.store.common.codecs import as_json, micros
from remediator.store.common.surroundings import (
    PAST_COLUMNS,
    SLOT_COLUMNS,
    Asked,
    Surroundings,
    counted_target,
    keys_of,
    longest,
    on_target,
    past_from,
    slot_from,
)
from remediator.store.sqlite import brakes
from remediator.store.sqlite.controls import pauses_in_force, quarantines
from remediator.store.sqlite.transaction import Transaction

#: Each rule and target once per name that the rule has or had: of several rows found, the last counts.
_ASKED = (
    "WITH asked (rule, target, name) AS (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),"
    " json_extract(value, '$[2]') FROM json_each(?1))"
)
_OF_ASKED = (
    f"{_ASKED} SELECT {PAST_COLUMNS} FROM asked a JOIN runs r ON r.seq = (SELECT seq FROM runs"
    " WHERE rule = a.name AND target = a.target AND id <> ?2"
)
_UNFINISHED = f"{_OF_ASKED} AND final = 0 ORDER BY seq LIMIT 1) ORDER BY r.seq DESC"
_LAST = f"{_OF_ASKED} AND final = 1 ORDER BY ended_at DESC, seq DESC LIMIT 1) ORDER BY r.ended_at, r.seq"
_LAST_ACTED = (
    f"{_OF_ASKED} AND final = 1 AND started_at IS NOT NULL ORDER BY ended_at DESC, seq DESC LIMIT 1)"
    " ORDER BY r.ended_at, r.seq"
)
_LAST_ON_TARGET = (
    f"{_ASKED} SELECT {PAST_COLUMNS} FROM (SELECT DISTINCT '' AS rule, target FROM asked) a JOIN runs r"
    " ON r.seq = (SELECT seq FROM runs WHERE target = a.target AND id <> ?2 AND final = 1"
    " AND started_at IS NOT NULL ORDER BY ended_at DESC, seq DESC LIMIT 1)"
)
_SLOTS = (
    f"{_ASKED} SELECT {SLOT_COLUMNS} FROM slots s WHERE s.run <> ?2 AND s.taken_at > ?3"
    " AND (s.rule IN (SELECT name FROM asked) OR s.target IN (SELECT target FROM asked))"
)
_NOT_TAKEN = (
    f"SELECT r.id, r.rule, r.target, ? FROM runs r WHERE r.final = 0"
    f" AND r.mode <> {Mode.OBSERVE.value} AND r.state <> '{RunState.ASKING.value}'"
    " AND NOT EXISTS (SELECT 1 FROM slots s WHERE s.run = r.id)"
)
#: Runs that act, or are about to: who waits for a person takes nobody's place.
_LIVE_UNFINISHED = (
    f"SELECT target FROM runs WHERE final = 0 AND mode <> {Mode.OBSERVE.value}"
    f" AND state <> '{RunState.ASKING.value}' AND id <> ?"
)
_LIVE_WITH_SLOT = (
    "SELECT r.target FROM runs r JOIN slots s ON s.run = r.id"
    f" WHERE r.final = 0 AND r.mode <> {Mode.OBSERVE.value} AND r.id <> ?"
)


def around_decisions(transaction: Transaction, asked: Iterable[Asked]) -> Surroundings:
    """For decisions, live runs that wait for their slot count as well: no more are begun than may act."""
    questions = list(asked)
    around = _around(transaction, questions, _LIVE_UNFINISHED, exclude=RunId(""))
    if longest(lookback.limits for _, _, lookback in questions):
        waiting = transaction.sql.execute(_NOT_TAKEN, (transaction.micros,))
        around.slots += tuple(replace(slot_from(row), taken=False) for row in waiting)
    return around


def around_run(transaction: Transaction, run: Run, lookback: Lookback = NO_LOOKBACK) -> Surroundings:
    """For a run that is about to act: those that took a slot and have not ended, itself left out."""
    return _around(transaction, [(run.rule, run.target, lookback)], _LIVE_WITH_SLOT, exclude=run.id)


def _around(transaction: Transaction, asked: Sequence[Asked], busy: str, *, exclude: RunId) -> Surroundings:
    sql = transaction.sql
    keys = keys_of(asked)
    around = Surroundings(
        transaction.now,
        transaction.acting_from,
        pauses_in_force(transaction),
        tuple(counted_target(row[0]) for row in sql.execute(busy, (exclude,))),
    )
    if not keys:
        return around
    brakes.read(transaction, around, longest(lookback.brake for _, _, lookback in asked))
    bound = (as_json(keys), exclude)
    around.unfinished = dict(map(past_from, sql.execute(_UNFINISHED, bound)))
    around.last = dict(map(past_from, sql.execute(_LAST, bound)))
    around.last_acted = dict(map(past_from, sql.execute(_LAST_ACTED, bound)))
    limits = longest(lookback.limits for _, _, lookback in asked)
    if limits:
        around.last_on_target = dict(map(on_target, sql.execute(_LAST_ON_TARGET, bound)))
        since = micros(transaction.now - limits)
        around.slots = tuple(map(slot_from, sql.execute(_SLOTS, (*bound, since))))
    around.quarantines = quarantines(transaction)
    return around


def engage_brake(transaction: Transaction, reckon: Reckon, lookback: timedelta) -> tuple[Pause, ...]:
    """Engage what ``reckon`` finds overspent."""
    around = Surroundings(transaction.now, transaction.acting_from, pauses_in_force(transaction))
    return brakes.reckon(transaction, reckon, lookback, around)
