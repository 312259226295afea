"""Decisions: what is due to be decided, and what was, with its facts and guard answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice

from remediator.core.alerts import AlertKey
from remediator.core.changes import (
    MOST_OF_STORY,
    MOST_SEARCHED,
    Decided,
    DecisionFilter,
    DecisionRequest,
    DecisionRow,
    EpisodeWork,
    Past,
    ReasonCount,
)
from remediator.core.episodes import Episode
from remediator.core.ids import EpisodeId, RunId
from remediator.core.ports.store import Judge, Topic
from remediator.core.reasons import Reason
from remediator.store.common.codecs import Row, as_json
from remediator.store.common.counts import places_of
from remediator.store.common.decisions import (
    COLUMNS,
    COUNTED,
    FACTS_INSERTED,
    INSERTED,
    MOST_WAITING,
    Judging,
    PastPage,
    count_from,
    decision_rows_from,
    moved_on,
    rules_by_episode,
    works,
)
from remediator.store.common.episodes import COLUMNS as EPISODE_COLUMNS
from remediator.store.common.episodes import episode_from
from remediator.store.common.unread import sift
from remediator.store.sqlite import brakes, counts
from remediator.store.sqlite.aside import put_aside
from remediator.store.sqlite.episodes import episodes_by_id
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.guard_views import around_decisions
from remediator.store.sqlite.outbox import post
from remediator.store.sqlite.runs import insert_runs, join_runs
from remediator.store.sqlite.transaction import Transaction

#: Due episodes of a lane, oldest first; each lane has an index of its own.
_DUE = {
    for_facts: f"SELECT {EPISODE_COLUMNS} FROM episodes e WHERE e.due_at IS NOT NULL AND e.due_at <= ?"
    f" AND e.for_facts IS {'NOT ' if for_facts else ''}NULL ORDER BY e.id"
    for for_facts in (False, True)
}
_FINAL = "SELECT episode, rule FROM decisions WHERE final = 1 AND episode IN (SELECT value FROM json_each(?))"
_AS_NOW = (
    "SELECT id, starts_at, last_seen, closed, repeats FROM episodes"
    " WHERE id IN (SELECT value FROM json_each(?))"
)
_ON = (
    f"SELECT {COLUMNS} FROM decisions WHERE episode = (SELECT max(id) FROM episodes"
    " WHERE source = ? AND fingerprint = ?) ORDER BY id"
)
_PAST = f"SELECT {EPISODE_COLUMNS} FROM episodes e WHERE e.id < ? ORDER BY e.id DESC LIMIT ?"
_FINALLY_ON = (
    f"SELECT {COLUMNS} FROM decisions WHERE final = 1 AND episode IN (SELECT value FROM json_each(?))"
    " ORDER BY id"
)
_COUNTS = (
    f"SELECT {COUNTED} FROM (SELECT kind, reason, at FROM decisions"
    " WHERE rule IN (SELECT value FROM json_each(?)) ORDER BY id DESC LIMIT ?)"
    " GROUP BY kind, reason ORDER BY times DESC, kind, reason"
)
#: Those that lead to a run, and the latest by which its alerts waited for each other.
_OF_RUN = (
    f"SELECT {COLUMNS} FROM (SELECT * FROM decisions WHERE run = ?"
    " UNION ALL SELECT * FROM (SELECT d.* FROM counted c JOIN decisions d ON d.episode = c.episode"
    f" AND d.rule = c.rule WHERE c.run = ? AND d.reason = '{Reason.COUNT.value}' ORDER BY d.id DESC LIMIT ?))"
    " ORDER BY id LIMIT ?"
)
_INSERT = f"INSERT INTO decisions ({INSERTED}) VALUES ({', '.join('?' * 11)})"
_INSERT_FACT = f"INSERT INTO facts ({FACTS_INSERTED}) VALUES (?, ?, ?, ?, ?)"


def undecided(
    transaction: Transaction, limit: int, claim: timedelta, *, for_facts: bool
) -> list[EpisodeWork]:
    now, claims = transaction.now, transaction.episode_claims
    claims.expire(now)
    due = transaction.sql.execute(_DUE[for_facts], (transaction.micros,))
    rows = (row for row in due if not claims.holds(row[0]))
    handed_out = list(islice(rows, limit))
    claims.take([row[0] for row in handed_out], now + claim)
    episodes, unreadable = sift(transaction, "episodes", handed_out, episode_from)
    put_aside(transaction, unreadable)
    ids = [episode.id for episode in episodes]
    return works(episodes, _final_decisions(transaction, ids), counts.passed(transaction, ids))


def wait_for_facts(transaction: Transaction, episodes: Collection[EpisodeId]) -> None:
    waiting = [(episode,) for episode in episodes]
    transaction.sql.executemany("UPDATE episodes SET for_facts = 1 WHERE id = ?", waiting)
    for episode in episodes:
        transaction.episode_claims.drop(episode)
    transaction.topics.add(Topic.FACTS)


def _final_decisions(transaction: Transaction, ids: Iterable[EpisodeId]) -> list[Row]:
    return transaction.sql.execute(_FINAL, (as_json(list(ids)),)).fetchall()


def decide(transaction: Transaction, requests: Sequence[DecisionRequest], judge: Judge) -> list[Decided]:
    asked = {request.episode.id: request.episode for request in requests}
    judging = Judging(
        judge,
        transaction.now,
        rules_by_episode(_final_decisions(transaction, asked)),
        _changed_since(transaction, asked.values()),
        around_decisions(
            transaction, ((request.rule, request.target, request.lookback) for request in requests)
        ),
        counts.read(transaction, places_of(requests)),
        _next_decision_id(transaction),
    )
    decided = judging.judge_all(requests)
    _write(transaction, judging)
    return decided


def _write(transaction: Transaction, judging: Judging) -> None:
    sql = transaction.sql
    insert_runs(transaction, judging.runs)
    sql.executemany(_INSERT, judging.decisions)
    sql.executemany(_INSERT_FACT, judging.facts)
    join_runs(transaction, judging.joins)
    due = [(due_at, episode) for episode, due_at in judging.due.items()]
    sql.executemany("UPDATE episodes SET due_at = ?, for_facts = NULL WHERE id = ?", due)
    counts.write(transaction, judging.counting)
    append_events(transaction, judging.events)
    post(transaction, judging.envelopes)
    brakes.demand(transaction, judging.demanded)
    brakes.engage(transaction, judging.engaged)
    brakes.stop(transaction, judging.stopped)
    for episode in judging.due:
        transaction.episode_claims.drop(episode)


def _next_decision_id(transaction: Transaction) -> int:
    return int(transaction.sql.execute("SELECT coalesce(max(id), 0) + 1 FROM decisions").fetchone()[0])


def _changed_since(transaction: Transaction, episodes: Collection[Episode]) -> dict[EpisodeId, Episode]:
    now = transaction.sql.execute(_AS_NOW, (as_json([episode.id for episode in episodes]),))
    changed = moved_on(episodes, now)
    return dict(episodes_by_id(transaction, changed)) if changed else {}


def decisions_before(
    transaction: Transaction, limit: int, before: int | None, wanted: DecisionFilter
) -> list[DecisionRow]:
    clauses = ["id < ?"]
    values: list[object] = [2**63 - 1 if before is None else before]
    if wanted.episode is not None:
        clauses.append("episode = ?")
        values.append(wanted.episode)
    if wanted.rules is not None:
        clauses.append("rule IN (SELECT value FROM json_each(?))")
        values.append(as_json(sorted(wanted.rules)))
    rows = transaction.sql.execute(
        f"SELECT {COLUMNS} FROM decisions WHERE {' AND '.join(clauses)} ORDER BY id DESC LIMIT ?",
        (*values, limit),
    ).fetchall()
    return _with_facts(transaction, rows)


def decision_counts(transaction: Transaction, rules: Collection[str]) -> list[ReasonCount]:
    counted = transaction.sql.execute(_COUNTS, (as_json(sorted(rules)), MOST_SEARCHED))
    return [count_from(row) for row in counted]


def past_episodes(
    transaction: Transaction, since: datetime | None, before: EpisodeId | None, limit: int
) -> Past:
    rows = transaction.sql.execute(_PAST, (2**63 - 1 if before is None else before, limit)).fetchall()
    page = PastPage.of(transaction, rows, since, limit)
    ids = as_json([episode.id for episode in page.episodes])
    made = transaction.sql.execute(_FINALLY_ON, (ids,)).fetchall()
    return page.with_decisions(_with_facts(transaction, made))


def decisions_on(transaction: Transaction, key: AlertKey) -> list[DecisionRow]:
    return _with_facts(transaction, transaction.sql.execute(_ON, key).fetchall())


def decisions_of_run(transaction: Transaction, run: RunId) -> tuple[DecisionRow, ...]:
    rows = transaction.sql.execute(_OF_RUN, (run, run, MOST_WAITING, MOST_OF_STORY)).fetchall()
    return tuple(_with_facts(transaction, rows))


def _with_facts(transaction: Transaction, rows: list[Row]) -> list[DecisionRow]:
    facts = transaction.sql.execute(
        "SELECT decision, fact FROM facts WHERE decision IN (SELECT value FROM json_each(?))"
        " ORDER BY decision, position",
        (as_json([row[0] for row in rows]),),
    )
    return decision_rows_from(transaction, rows, facts)
