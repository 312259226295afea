"""What the brake counts and keeps: demands, its engagements, and what it kept from running."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from remediator.core.changes import BrakeRow, Brakes
from remediator.core.guards import Marks, Pause, Verdict, stopped_everywhere
from remediator.core.notices import Envelope
from remediator.core.ports.store import Reckon, Topic
from remediator.core.rules import Mode
from remediator.core.runs import Run
from remediator.core.targets import Target
from remediator.store.common.brakes import (
    BRAKE_COLUMNS,
    MOST_TARGETS,
    PAUSE_INSERTED,
    TOLD_OF_END,
    brake_engaged,
    brake_from,
    let_go,
    pause_row,
    space_of,
)
from remediator.store.common.codecs import micros, moment
from remediator.store.common.surroundings import Surroundings, counted_target, mark_from, pause_of
from remediator.store.common.unread import readable
from remediator.store.postgres.outbox import post
from remediator.store.postgres.transaction import Transaction, places

_DEMANDED = "SELECT target, at FROM demands WHERE at > $1 ORDER BY at"
_FAILED = (
    "SELECT target, ended_at FROM runs WHERE state IN ('failed', 'unknown') AND ended_at > $1"
    f" AND mode <> {Mode.OBSERVE.value}"
)
_RELEASED = (
    "SELECT value, max(coalesce(lifted_at, until)) FROM pauses WHERE brake IS NOT NULL"
    " AND (lifted_at IS NOT NULL OR until <= $1) GROUP BY value"
)
_DEMAND = (
    "INSERT INTO demands (target, at) VALUES ($1, $2) ON CONFLICT (target) DO UPDATE SET at = excluded.at"
)
_ENGAGE = f"INSERT INTO pauses ({PAUSE_INSERTED}) VALUES ({places(7)})"
_STOP = (
    "INSERT INTO braked (pause, rule, target, alerts, at) SELECT id, $2, $3, $4::bigint, $1::bigint"
    " FROM pauses"
    " WHERE brake IS NOT NULL AND lifted_at IS NULL AND (until IS NULL OR until > $1)"
    " AND (scope = 'all' OR value = $5) ORDER BY scope, id LIMIT 1"
    " ON CONFLICT (pause, rule, target) DO UPDATE SET alerts = braked.alerts + excluded.alerts"
)
_UNTOLD = (
    f"SELECT {BRAKE_COLUMNS} FROM pauses WHERE brake IS NOT NULL AND told IS DISTINCT FROM $1 ORDER BY id"
)
_STOPPED = (
    "SELECT rule, sum(alerts)::bigint, count(*) FROM braked WHERE pause = $1 GROUP BY rule"
    " ORDER BY 2 DESC, rule"
)
_TARGETS = "SELECT target FROM braked WHERE pause = $1 GROUP BY target ORDER BY min(at), target LIMIT $2"
_DISTINCT = "SELECT count(DISTINCT target) FROM braked WHERE pause = $1"
_TELL = "UPDATE pauses SET told = $1 WHERE id = $2 AND told IS NOT DISTINCT FROM $3"


async def read(transaction: Transaction, around: Surroundings, lookback: timedelta) -> None:
    """What the brake counts; once it is engaged everywhere, nothing more."""
    if stopped_everywhere(around.pauses):
        return
    since = micros(transaction.now - lookback)
    around.demanded = Marks(await transaction.rows(_DEMANDED, since), counted_target)
    around.failed = tuple(map(mark_from, await transaction.rows(_FAILED, since)))
    released = await transaction.rows(_RELEASED, transaction.micros)
    around.released = {value: moment(at) for value, at in released}


async def heed(transaction: Transaction, target: Target, verdict: Verdict) -> None:
    """Write what the guards' verdict on a first intent entails; needs ``Lock.GUARDS`` alone."""
    if verdict.demanded:
        await demand(transaction, [target])
    await engage(transaction, [pause_of(tripped, transaction.now) for tripped in verdict.tripped])


async def demand(transaction: Transaction, targets: Iterable[Target]) -> None:
    rows = [(str(target), transaction.micros) for target in targets]
    await transaction.run_for_each(_DEMAND, rows)


async def engage(transaction: Transaction, pauses: Sequence[Pause]) -> None:
    if pauses:
        await transaction.run_for_each(_ENGAGE, map(pause_row, pauses))
        transaction.append_events(map(brake_engaged, pauses))
        transaction.topics.update({Topic.BRAKE, Topic.RUNS})


async def stop(transaction: Transaction, alerts: Mapping[tuple[str, Target], int]) -> None:
    """Add alerts that the brake has stopped, by rule and target, to its tally."""
    now = transaction.micros
    rows = [(now, rule, str(target), count, space_of(target)) for (rule, target), count in alerts.items()]
    await transaction.run_for_each(_STOP, rows)


async def stop_run(transaction: Transaction, run: Run) -> None:
    """Count the alerts of a run that the brake kept from its first intent."""
    count = await transaction.value("SELECT count(*) FROM run_episodes WHERE run = $1", run.id)
    await stop(transaction, {(run.rule, run.target): int(count)})


async def reckon(
    transaction: Transaction, reckoning: Reckon, lookback: timedelta, around: Surroundings
) -> tuple[Pause, ...]:
    """Engage what ``reckoning`` finds overspent; needs ``Lock.GUARDS`` alone."""
    await read(transaction, around, lookback)
    made = tuple(pause_of(tripped, transaction.now) for tripped in reckoning(around.view("", None)))
    await engage(transaction, made)
    return made


async def brakes(transaction: Transaction, window: timedelta) -> Brakes:
    rows = await transaction.rows(_UNTOLD, TOLD_OF_END)
    tallied = [
        (
            row[0],
            row,
            await transaction.rows(_STOPPED, row[0]),
            await transaction.rows(_TARGETS, row[0], MOST_TARGETS),
            await transaction.value(_DISTINCT, row[0]),
        )
        for row in rows
    ]
    found = readable(
        transaction, "pauses", tallied, lambda each: brake_from(each[1], transaction.now, *each[2:])
    )
    since = micros(transaction.now - window)
    demanded = await transaction.value("SELECT count(*) FROM demands WHERE at > $1", since)
    return Brakes(tuple(found), int(demanded))


async def tell(transaction: Transaction, brake: BrakeRow, envelopes: Sequence[Envelope]) -> bool:
    told = TOLD_OF_END if brake.release else brake.alerts
    if not await transaction.run(_TELL, told, brake.pause.id, brake.told):
        return False
    await post(transaction, envelopes)
    transaction.append_events(let_go(brake))
    return True
