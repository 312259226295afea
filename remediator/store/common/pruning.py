"""Pruning: which old rows nothing needs any more, by the same statements on every backend.

A look goes along a table in the order of its rows, which is that of time, and ends at the first that is
young: it reads no more rows than it is told to, however many there are. ``:before`` is from when on rows are
young.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from remediator.core.retention import AUDIT, Pruned, Shelf
from remediator.store.common.codecs import Row, maybe_moment

_AUDIT = ", ".join(f"'{kind.value}'" for kind in sorted(AUDIT))
#: A run that has not ended, or on whose account a target is quarantined.
_RUN_STANDS = (
    "(NOT r.final OR r.ended_at >= :before OR EXISTS (SELECT 1 FROM quarantines q WHERE q.run = r.id))"
)
_EPISODE_STANDS = "(e.closed IS NULL OR e.due_at IS NOT NULL OR e.closed_at >= :before)"
_OPEN_PAGE = "EXISTS (SELECT 1 FROM pages p WHERE p.over_at IS NULL AND p.thread = {})"
_OF_RUN = "'run:' || r.id"
_UNSENT = "EXISTS (SELECT 1 FROM outbox o WHERE o.state = 'unsent' AND o.thread = {})"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a shelf is pruned.

    ``look`` gives (place, time, key, mine, needed) of the next rows, of which those that are not ``mine`` lie
    on another shelf; ``drops`` are run with each key that nothing needs: what belongs to a row, and at last
    the row.
    """

    look: str
    drops: tuple[str, ...]


def _plan(
    table: str, place: str, at: str, needed: str, *drops: str, key: str = "", mine: str = "1 = 1"
) -> Plan:
    row = table[0]
    look = (
        f"SELECT {row}.{place}, {row}.{at}, {row}.{key or place}, {mine}, {needed} FROM {table} {row}"
        f" WHERE {row}.{place} > :after ORDER BY {row}.{place} LIMIT :limit"
    )
    return Plan(look, (*drops, f"DELETE FROM {table} WHERE {key or place} = :key"))


def _latest(table: str) -> str:
    """The latest stays, however old: a number that people, a reader of the events, or a replica that was
    stopped for long may still name must not become another row's.
    """
    return f"{table[0]}.id = (SELECT max(id) FROM {table})"


def _events(kinds: str) -> Plan:
    # Of a run all or nothing: half a story would be taken for a whole one.
    stands = f"EXISTS (SELECT 1 FROM runs r WHERE r.id = e.run AND {_RUN_STANDS})"
    return _plan("events", "id", "at", f"{stands} OR {_latest('events')}", mine=f"e.kind {kinds}")


PLANS: Mapping[Shelf, Plan] = {
    Shelf.BODIES: _plan(
        "webhooks",
        "id",
        "received_at",
        f"w.taken_at IS NULL OR w.taken_at >= :before OR {_latest('webhooks')}",
    ),
    Shelf.EVENTS: _events(f"NOT IN ({_AUDIT})"),
    Shelf.AUDIT: _events(f"IN ({_AUDIT})"),
    Shelf.MESSAGES: _plan(
        "outbox",
        "id",
        "created_at",
        "o.state = 'unsent' OR o.ended_at >= :before"
        f" OR EXISTS (SELECT 1 FROM runs r WHERE {_OF_RUN} = o.thread AND {_RUN_STANDS})"
        f" OR {_OPEN_PAGE.format('o.thread')}",
        # With a thread's last message goes what is known of where it was delivered.
        *(
            f"DELETE FROM {of_thread} WHERE (channel, thread) IN (SELECT channel, thread FROM outbox"
            " WHERE id = :key) AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.id > :key"
            f" AND o.channel = {of_thread}.channel AND o.thread = {of_thread}.thread)"
            for of_thread in ("threads", "thread_refs")
        ),
    ),
    Shelf.PAGES: _plan(
        "pages",
        "id",
        "opened_at",
        f"p.over_at IS NULL OR p.over_at >= :before OR {_UNSENT.format('p.thread')}",
        "DELETE FROM page_episodes WHERE page = :key",
    ),
    Shelf.RUNS: _plan(
        "runs",
        "seq",
        "created_at",
        f"{_RUN_STANDS} OR EXISTS (SELECT 1 FROM pages p WHERE p.run = r.id)"
        " OR EXISTS (SELECT 1 FROM run_episodes j JOIN episodes e ON e.id = j.episode"
        f" WHERE j.run = r.id AND {_EPISODE_STANDS}) OR {_UNSENT.format(_OF_RUN)}",
        "DELETE FROM approvals WHERE run = :key",
        "DELETE FROM steps WHERE run = :key",
        "DELETE FROM attempts WHERE run = :key",
        "DELETE FROM slots WHERE run = :key",
        "DELETE FROM run_episodes WHERE run = :key",
        "DELETE FROM leases WHERE run = :key",
        "DELETE FROM lease_covers WHERE run = :key",
        key="id",
    ),
    Shelf.DECISIONS: _plan(
        "decisions",
        "id",
        "at",
        "EXISTS (SELECT 1 FROM runs r WHERE r.id = d.run)"
        f" OR EXISTS (SELECT 1 FROM episodes e WHERE e.id = d.episode AND {_EPISODE_STANDS})",
        "DELETE FROM facts WHERE decision = :key",
    ),
    Shelf.EPISODES: _plan(
        "episodes",
        "id",
        "first_seen",
        f"{_EPISODE_STANDS} OR EXISTS (SELECT 1 FROM decisions d WHERE d.episode = e.id)"
        " OR EXISTS (SELECT 1 FROM runs r WHERE r.episode = e.id)"
        " OR EXISTS (SELECT 1 FROM run_episodes j WHERE j.episode = e.id)"
        " OR EXISTS (SELECT 1 FROM page_episodes j JOIN pages p ON p.id = j.page"
        f" WHERE j.episode = e.id AND p.over_at IS NULL) OR {_latest('episodes')}",
    ),
    Shelf.PAUSES: _plan(
        "pauses",
        "id",
        "at",
        "p.lifted_at >= :before OR (p.lifted_at IS NULL AND (p.until IS NULL OR p.until >= :before))"
        " OR (p.brake IS NOT NULL AND (p.told IS NULL OR p.told <> -1))"
        f" OR {_latest('pauses')}",
        "DELETE FROM braked WHERE pause = :key",
    ),
    Shelf.DEMANDS: _plan("demands", "at", "at", "d.at >= :before", key="target"),
}


def judge(rows: Iterable[Row], before: int, limit: int) -> tuple[Pruned, Sequence[object]]:
    """What a look found, and the keys of what is to be dropped."""
    dropped: list[object] = []
    oldest: int | None = None
    after, seen = None, 0
    for place, at, key, mine, needed in rows:
        young = at >= before
        if mine and (young or needed):
            oldest = at if oldest is None else min(oldest, at)
        if young:
            return Pruned(len(dropped), maybe_moment(oldest), None), dropped
        if mine and not needed:
            dropped.append(key)
        after, seen = place, seen + 1
    return Pruned(len(dropped), maybe_moment(oldest), after if seen == limit else None), dropped
