"""What the guards see, read in the very transaction that acts on their answer."""

from __future__ import annotations

from collections.abc import Iterable

from remediator.core.guards import Pause
from remediator.core.ids import RunId
from remediator.core.rules import Mode
from remediator.core.runs import Run
from remediator.core.targets import Target
from remediator.store.common.surroundings import (
    PAST_COLUMNS,
    PAUSE_COLUMNS,
    QUARANTINE_COLUMNS,
    Surroundings,
    keys_of,
    past_from,
    pause_from,
    quarantine_from,
)
from remediator.store.postgres.transaction import Transaction

_OF_ASKED = (
    f"SELECT {PAST_COLUMNS} FROM unnest($1::text[], $2::text[]) AS a (rule, target) CROSS JOIN LATERAL"
    " (SELECT * FROM runs WHERE rule = a.rule AND target = a.target AND id <> $3"
)
_UNFINISHED = f"{_OF_ASKED} AND NOT final ORDER BY seq LIMIT 1) r"
_LAST = f"{_OF_ASKED} AND final ORDER BY ended_at DESC, seq DESC LIMIT 1) r"
_LAST_ACTED = f"{_OF_ASKED} AND final AND started_at IS NOT NULL ORDER BY ended_at DESC, seq DESC LIMIT 1) r"
_QUARANTINED = f"SELECT {QUARANTINE_COLUMNS} FROM quarantines WHERE target = ANY($1::text[])"
_LIVE_UNFINISHED = f"SELECT count(*) FROM runs WHERE NOT final AND mode = {Mode.LIVE.value} AND id <> $1"
_LIVE_WITH_SLOT = (
    "SELECT count(*) FROM runs r JOIN slots s ON s.run = r.id"
    f" WHERE NOT r.final AND r.mode = {Mode.LIVE.value} AND r.id <> $1"
)
_PAUSES = (
    f"SELECT {PAUSE_COLUMNS} FROM pauses"
    " WHERE lifted_at IS NULL AND (until IS NULL OR until > $1) ORDER BY id"
)


async def pauses_in_force(transaction: Transaction) -> tuple[Pause, ...]:
    return tuple(map(pause_from, await transaction.rows(_PAUSES, transaction.micros)))


async def around_decisions(
    transaction: Transaction, asked: Iterable[tuple[str, Target | None]]
) -> Surroundings:
    """For decisions, live runs that wait for their slot count as well: no more are begun than may act."""
    return await _around(transaction, asked, _LIVE_UNFINISHED, exclude=RunId(""))


async def around_run(transaction: Transaction, run: Run) -> Surroundings:
    """For a run that is about to act: those that took a slot and have not ended, itself left out."""
    return await _around(transaction, [(run.rule, run.target)], _LIVE_WITH_SLOT, exclude=run.id)


async def _around(
    transaction: Transaction, asked: Iterable[tuple[str, Target | None]], count: str, *, exclude: RunId
) -> Surroundings:
    around = Surroundings(
        now=transaction.now,
        acting_from=None,
        pauses=await pauses_in_force(transaction),
        parallel=int(await transaction.value(count, exclude)),
    )
    keys = keys_of(asked)
    if not keys:
        return around
    bound = ([rule for rule, _ in keys], [on for _, on in keys], exclude)
    around.unfinished = dict(map(past_from, await transaction.rows(_UNFINISHED, *bound)))
    around.last = dict(map(past_from, await transaction.rows(_LAST, *bound)))
    around.last_acted = dict(map(past_from, await transaction.rows(_LAST_ACTED, *bound)))
    targets = sorted({on for _, on in keys})
    held = await transaction.rows(_QUARANTINED, targets)
    around.quarantines = {row[0]: quarantine_from(row) for row in held}
    return around
