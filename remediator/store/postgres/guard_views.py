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
from remediator.store.common.codecs import micros
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
from remediator.store.postgres import brakes
from remediator.store.postgres.controls import pauses_in_force, quarantines
from remediator.store.postgres.transaction import Transaction

#: Each rule and target once per name that the rule has or had: of several rows found, the last counts.
_OF_ASKED = (
    f"SELECT {PAST_COLUMNS} FROM unnest($1::text[], $2::text[], $3::text[]) AS a (rule, target, name)"
    " CROSS JOIN LATERAL (SELECT * FROM runs WHERE rule = a.name AND target = a.target AND id <> $4"
)
_UNFINISHED = f"{_OF_ASKED} AND NOT final ORDER BY seq LIMIT 1) r ORDER BY r.seq DESC"
_LAST = f"{_OF_ASKED} AND final ORDER BY ended_at DESC, seq DESC LIMIT 1) r ORDER BY r.ended_at, r.seq"
_LAST_ACTED = (
    f"{_OF_ASKED} AND final AND started_at IS NOT NULL ORDER BY ended_at DESC, seq DESC LIMIT 1) r"
    " ORDER BY r.ended_at, r.seq"
)
_LAST_ON_TARGET = (
    f"SELECT {PAST_COLUMNS} FROM unnest($1::text[]) AS u (target) CROSS JOIN LATERAL (SELECT '' AS rule,"
    " u.target AS target) a CROSS JOIN LATERAL (SELECT * FROM runs WHERE target = a.target AND id <> $2"
    " AND final AND started_at IS NOT NULL ORDER BY ended_at DESC, seq DESC LIMIT 1) r"
)
_SLOTS = (
    f"SELECT {SLOT_COLUMNS} FROM slots s WHERE s.run <> $1 AND s.taken_at > $2"
    " AND (s.rule = ANY($3::text[]) OR s.target = ANY($4::text[]))"
)
_NOT_TAKEN = (
    f"SELECT r.id, r.rule, r.target, $1::bigint FROM runs r WHERE NOT r.final"
    f" AND r.mode <> {Mode.OBSERVE.value} AND r.state <> '{RunState.ASKING.value}'"
    " AND NOT EXISTS (SELECT 1 FROM slots s WHERE s.run = r.id)"
)
#: Runs that act, or are about to: who waits for a person takes nobody's place.
_LIVE_UNFINISHED = (
    f"SELECT target FROM runs WHERE NOT final AND mode <> {Mode.OBSERVE.value}"
    f" AND state <> '{RunState.ASKING.value}' AND id <> $1"
)
_LIVE_WITH_SLOT = (
    "SELECT r.target FROM runs r JOIN slots s ON s.run = r.id"
    f" WHERE NOT r.final AND r.mode <> {Mode.OBSERVE.value} AND r.id <> $1"
)


async def around_decisions(transaction: Transaction, asked: Iterable[Asked]) -> Surroundings:
    """For decisions, live runs that wait for their slot count as well: no more are begun than may act."""
    questions = list(asked)
    around = await _around(transaction, questions, _LIVE_UNFINISHED, exclude=RunId(""))
    if longest(lookback.limits for _, _, lookback in questions):
        waiting = await transaction.rows(_NOT_TAKEN, transaction.micros)
        around.slots += tuple(replace(slot_from(row), taken=False) for row in waiting)
    return around


async def around_run(transaction: Transaction, run: Run, lookback: Lookback = NO_LOOKBACK) -> Surroundings:
    """For a run that is about to act: those that took a slot and have not ended, itself left out."""
    return await _around(transaction, [(run.rule, run.target, lookback)], _LIVE_WITH_SLOT, exclude=run.id)


async def _around(
    transaction: Transaction, asked: Sequence[Asked], busy: str, *, exclude: RunId
) -> Surroundings:
    around = Surroundings(
        now=transaction.now,
        acting_from=None,
        pauses=await pauses_in_force(transaction),
        busy=tuple([counted_target(row[0]) for row in await transaction.rows(busy, exclude)]),
    )
    keys = keys_of(asked)
    if not keys:
        return around
    await brakes.read(transaction, around, longest(lookback.brake for _, _, lookback in asked))
    bound = (*map(list, zip(*keys, strict=True)), exclude)
    around.unfinished = dict(map(past_from, await transaction.rows(_UNFINISHED, *bound)))
    around.last = dict(map(past_from, await transaction.rows(_LAST, *bound)))
    around.last_acted = dict(map(past_from, await transaction.rows(_LAST_ACTED, *bound)))
    targets = sorted({on for _, on, _ in keys})
    limits = longest(lookback.limits for _, _, lookback in asked)
    if limits:
        since, names = micros(transaction.now - limits), sorted({name for _, _, name in keys})
        last = await transaction.rows(_LAST_ON_TARGET, targets, exclude)
        around.last_on_target = dict(map(on_target, last))
        around.slots = tuple(map(slot_from, await transaction.rows(_SLOTS, exclude, since, names, targets)))
    around.quarantines = await quarantines(transaction)
    return around


async def engage_brake(transaction: Transaction, reckon: Reckon, lookback: timedelta) -> tuple[Pause, ...]:
    """Engage what ``reckon`` finds overspent; needs ``Lock.GUARDS`` alone."""
    around = Surroundings(transaction.now, None, await pauses_in_force(transaction))
    return await brakes.reckon(transaction, reckon, lookback, around)
