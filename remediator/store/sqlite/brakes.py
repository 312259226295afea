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
from remediator.store.common.codecs import Row, micros, moment
from remediator.store.common.surroundings import Surroundings, counted_target, mark_from, pause_of
from remediator.store.common.unread import readable
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.outbox import post
from remediator.store.sqlite.transaction import Transaction

_DEMANDED = "SELECT target, at FROM demands WHERE at > ? ORDER BY at"
_FAILED = (
    "SELECT target, ended_at FROM runs WHERE state IN ('failed', 'unknown') AND ended_at > ?"
    f" AND mode <> {Mode.OBSERVE.value}"
)
_RELEASED = (
    "SELECT value, max(coalesce(lifted_at, until)) FROM pauses WHERE brake IS NOT NULL"
    " AND (lifted_at IS NOT NULL OR until <= ?) GROUP BY value"
)
_DEMAND = "INSERT INTO demands (target, at) VALUES (?, ?) ON CONFLICT (target) DO UPDATE SET at = excluded.at"
_ENGAGE = f"INSERT INTO pauses ({PAUSE_INSERTED}) VALUES (?, ?, ?, ?, ?, ?, ?)"
_STOP = (
    "INSERT INTO braked (pause, rule, target, alerts, at) SELECT id, ?2, ?3, ?4, ?1 FROM pauses"
    " WHERE brake IS NOT NULL AND lifted_at IS NULL AND (until IS NULL OR until > ?1)"
    " AND (scope = 'all' OR value = ?5) ORDER BY scope, id LIMIT 1"
    " ON CONFLICT (pause, rule, target) DO UPDATE SET alerts = braked.alerts + excluded.alerts"
)
_UNTOLD = f"SELECT {BRAKE_COLUMNS} FROM pauses WHERE brake IS NOT NULL AND told IS NOT ? ORDER BY id"
_STOPPED = (
    "SELECT rule, sum(alerts), count(*) FROM braked WHERE pause = ? GROUP BY rule ORDER BY 2 DESC, rule"
)
_TARGETS = "SELECT target FROM braked WHERE pause = ? GROUP BY target ORDER BY min(at), target LIMIT ?"
_DISTINCT = "SELECT count(DISTINCT target) FROM braked WHERE pause = ?"
_TELL = "UPDATE pauses SET told = ? WHERE id = ? AND told IS ?"


def read(transaction: Transaction, around: Surroundings, lookback: timedelta) -> None:
    """What the brake counts; once it is engaged everywhere, nothing more."""
    sql = transaction.sql
    if stopped_everywhere(around.pauses):
        return
    since = micros(transaction.now - lookback)
    around.demanded = Marks(sql.execute(_DEMANDED, (since,)), counted_target)
    around.failed = tuple(map(mark_from, sql.execute(_FAILED, (since,))))
    released = sql.execute(_RELEASED, (transaction.micros,))
    around.released = {value: moment(at) for value, at in released}


def heed(transaction: Transaction, target: Target, verdict: Verdict) -> None:
    """Write what the guards' verdict on a first intent entails."""
    if verdict.demanded:
        demand(transaction, [target])
    engage(transaction, [pause_of(tripped, transaction.now) for tripped in verdict.tripped])


def demand(transaction: Transaction, targets: Iterable[Target]) -> None:
    transaction.sql.executemany(_DEMAND, [(str(target), transaction.micros) for target in targets])


def engage(transaction: Transaction, pauses: Sequence[Pause]) -> None:
    if pauses:
        transaction.sql.executemany(_ENGAGE, [pause_row(pause) for pause in pauses])
        append_events(transaction, map(brake_engaged, pauses))
        transaction.topics.update({Topic.BRAKE, Topic.RUNS})


def stop(transaction: Transaction, alerts: Mapping[tuple[str, Target], int]) -> None:
    """Add alerts that the brake has stopped, by rule and target, to its tally."""
    now = transaction.micros
    rows = [(now, rule, str(target), count, space_of(target)) for (rule, target), count in alerts.items()]
    transaction.sql.executemany(_STOP, rows)


def stop_run(transaction: Transaction, run: Run) -> None:
    """Count the alerts of a run that the brake kept from its first intent."""
    counted = transaction.sql.execute("SELECT count(*) FROM run_episodes WHERE run = ?", (run.id,))
    stop(transaction, {(run.rule, run.target): int(counted.fetchone()[0])})


def reckon(
    transaction: Transaction, reckoning: Reckon, lookback: timedelta, around: Surroundings
) -> tuple[Pause, ...]:
    """Engage what ``reckoning`` finds overspent."""
    read(transaction, around, lookback)
    made = tuple(pause_of(tripped, transaction.now) for tripped in reckoning(around.view("", None)))
    engage(transaction, made)
    return made


def brakes(transaction: Transaction, window: timedelta) -> Brakes:
    sql = transaction.sql
    rows = sql.execute(_UNTOLD, (TOLD_OF_END,)).fetchall()
    since = micros(transaction.now - window)

    def read_one(row: Row) -> BrakeRow:
        return brake_from(
            row,
            transaction.now,
            sql.execute(_STOPPED, (row[0],)).fetchall(),
            sql.execute(_TARGETS, (row[0], MOST_TARGETS)).fetchall(),
            sql.execute(_DISTINCT, (row[0],)).fetchone()[0],
        )

    return Brakes(
        tuple(readable(transaction, "pauses", rows, read_one)),
        int(sql.execute("SELECT count(*) FROM demands WHERE at > ?", (since,)).fetchone()[0]),
    )


def tell(transaction: Transaction, brake: BrakeRow, envelopes: Sequence[Envelope]) -> bool:
    told = TOLD_OF_END if brake.release else brake.alerts
    if not transaction.sql.execute(_TELL, (told, brake.pause.id, brake.told)).rowcount:
        return False
    post(transaction, envelopes)
    append_events(transaction, let_go(brake))
    return True
