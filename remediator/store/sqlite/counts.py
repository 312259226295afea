"""What rules that ask for several alerts have counted."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from remediator.core.counts import Place
from remediator.core.ids import EpisodeId
from remediator.core.ports.store import Topic
from remediator.store.common.codecs import Row, as_json
from remediator.store.common.counts import COLUMNS, INSERTED, Counting, sought
from remediator.store.sqlite.transaction import Transaction

_AROUND = (
    f"SELECT {COLUMNS} FROM counted c JOIN episodes e ON e.id = c.episode"
    " WHERE c.rule IN (SELECT value FROM json_each(?)) AND c.grouping IN (SELECT value FROM json_each(?))"
    " AND c.at > ?"
)
_PASSED = "SELECT episode, rule FROM counted WHERE passed = 1 AND episode IN (SELECT value FROM json_each(?))"
_ENTER = (
    f"INSERT INTO counted ({INSERTED}) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (episode, rule) DO UPDATE SET grouping = excluded.grouping, at = excluded.at"
)
_USE = "UPDATE counted SET run = ? WHERE episode = ? AND rule = ?"
_GO_ON = "UPDATE counted SET passed = 1 WHERE episode = ? AND rule = ?"
_WAKE = "UPDATE episodes SET due_at = ? WHERE id = ? AND due_at > ?"


def read(transaction: Transaction, places: Collection[Place]) -> Counting:
    """All that was counted around these places."""
    if not places:
        return Counting(())
    names, groupings, since = sought(places)
    bound = (as_json(names), as_json(groupings), since)
    return Counting(places, transaction.sql.execute(_AROUND, bound).fetchall())


def passed(transaction: Transaction, episodes: Iterable[EpisodeId]) -> list[Row]:
    """Which of these episodes have gone on from which rules."""
    return transaction.sql.execute(_PASSED, (as_json(list(episodes)),)).fetchall()


def write(transaction: Transaction, counting: Counting) -> None:
    """Write what was counted, and have those decided at once for which there are enough now."""
    sql, now = transaction.sql, transaction.micros
    sql.executemany(_ENTER, counting.entered)
    sql.executemany(_USE, [(run, *counted) for counted, run in counting.used.items()])
    sql.executemany(_GO_ON, counting.passed)
    sql.executemany(_WAKE, [(now, episode, now) for episode in sorted(counting.woken)])
    if counting.woken or counting.passed:
        transaction.topics.add(Topic.EPISODES)
