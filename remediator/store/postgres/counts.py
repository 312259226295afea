"""What rules that ask for several alerts have counted; read and written under ``Lock.GUARDS`` alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from remediator.core.counts import Place
from remediator.core.ids import EpisodeId
from remediator.core.ports.store import Topic
from remediator.store.common.codecs import Row
from remediator.store.common.counts import COLUMNS, INSERTED, Counting, sought
from remediator.store.postgres.transaction import Transaction

_AROUND = (
    f"SELECT {COLUMNS} FROM counted c JOIN episodes e ON e.id = c.episode"
    " WHERE c.rule = ANY($1::text[]) AND c.grouping = ANY($2::text[]) AND c.at > $3"
)
_PASSED = "SELECT episode, rule FROM counted WHERE passed AND episode = ANY($1::bigint[])"
_ENTER = (
    f"INSERT INTO counted ({INSERTED}) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (episode, rule) DO UPDATE SET grouping = excluded.grouping, at = excluded.at"
)
_USE = "UPDATE counted SET run = $1 WHERE episode = $2 AND rule = $3"
_GO_ON = "UPDATE counted SET passed = true WHERE episode = $1 AND rule = $2"
_WAKE = "UPDATE episodes SET due_at = $1 WHERE id = ANY($2::bigint[]) AND due_at > $1"


async def read(transaction: Transaction, places: Collection[Place]) -> Counting:
    """All that was counted around these places."""
    if not places:
        return Counting(())
    names, groupings, since = sought(places)
    return Counting(places, await transaction.rows(_AROUND, names, groupings, since))


async def passed(transaction: Transaction, episodes: Iterable[EpisodeId]) -> list[Row]:
    """Which of these episodes have gone on from which rules."""
    return await transaction.rows(_PASSED, list(episodes))


async def write(transaction: Transaction, counting: Counting) -> None:
    """Write what was counted, and have those decided at once for which there are enough now.

    Whoever may be woken has to be locked already, in the order of ids.
    """
    await transaction.run_for_each(_ENTER, counting.entered)
    await transaction.run_for_each(_USE, [(run, *counted) for counted, run in counting.used.items()])
    await transaction.run_for_each(_GO_ON, counting.passed)
    if counting.woken:
        await transaction.run(_WAKE, transaction.micros, sorted(counting.woken))
    if counting.woken or counting.passed:
        transaction.topics.add(Topic.EPISODES)
