"""Decisions: what is due to be decided, and what was, with its facts and guard answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

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
from remediator.store.common.codecs import Row, micros
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
from remediator.store.postgres import brakes, counts
from remediator.store.postgres.aside import put_aside
from remediator.store.postgres.episodes import episodes_by_id
from remediator.store.postgres.guard_views import around_decisions
from remediator.store.postgres.outbox import post
from remediator.store.postgres.runs import insert_runs, join_runs
from remediator.store.postgres.transaction import Transaction, places

#: Due episodes of a lane, oldest first; each lane has an index of its own.
_CLAIM_DUE = {
    for_facts: "WITH due AS (SELECT id FROM episodes WHERE due_at IS NOT NULL AND due_at <= $1"
    f" AND for_facts IS {'NOT ' if for_facts else ''}NULL"
    " AND (claimed_until IS NULL OR claimed_until <= $1) ORDER BY id LIMIT $2"
    " FOR NO KEY UPDATE SKIP LOCKED),"
    " claimed AS (UPDATE episodes e SET claimed_until = $3, claimed_by = $4 FROM due WHERE e.id = due.id"
    f" RETURNING {EPISODE_COLUMNS}) SELECT * FROM claimed ORDER BY id"
    for for_facts in (False, True)
}
_PUT_OFF = (
    "UPDATE episodes SET for_facts = true, claimed_until = NULL, claimed_by = NULL"
    " WHERE id = ANY($1::bigint[])"
)
_FINAL = "SELECT episode, rule FROM decisions WHERE final AND episode = ANY($1::bigint[])"
# Kept from alerts that come in meanwhile: an episode closes before it is judged, or after it was decided.
_AS_NOW = (
    "SELECT id, starts_at, last_seen, closed, repeats FROM episodes WHERE id = ANY($1::bigint[])"
    " ORDER BY id FOR NO KEY UPDATE"
)
#: Those that lead to a run, and the latest by which its alerts waited for each other.
_OF_RUN = (
    f"SELECT {COLUMNS} FROM (SELECT * FROM decisions WHERE run = $1"
    " UNION ALL SELECT * FROM (SELECT d.* FROM counted c JOIN decisions d ON d.episode = c.episode"
    f" AND d.rule = c.rule WHERE c.run = $1 AND d.reason = '{Reason.COUNT.value}' ORDER BY d.id DESC LIMIT $2"
    ") w) m ORDER BY id LIMIT $3"
)
_INSERT = f"INSERT INTO decisions ({INSERTED}) VALUES ({places(11)})"
_INSERT_FACT = f"INSERT INTO facts ({FACTS_INSERTED}) VALUES ({places(5)})"
_DUE_AGAIN = (
    "UPDATE episodes e SET due_at = d.due_at, for_facts = NULL, claimed_until = NULL, claimed_by = NULL"
    " FROM unnest($1::bigint[], $2::bigint[]) AS d (id, due_at) WHERE e.id = d.id"
)
_ON = (
    f"SELECT {COLUMNS} FROM decisions WHERE episode = (SELECT max(id) FROM episodes"
    " WHERE source = $1 AND fingerprint = $2) ORDER BY id"
)
_BEFORE = (
    f"SELECT {COLUMNS} FROM decisions WHERE id < $1 AND ($2::bigint IS NULL OR episode = $2)"
    " AND ($3::text[] IS NULL OR rule = ANY($3)) ORDER BY id DESC LIMIT $4"
)
_PAST = f"SELECT {EPISODE_COLUMNS} FROM episodes e WHERE e.id < $1 ORDER BY e.id DESC LIMIT $2"
_FINALLY_ON = f"SELECT {COLUMNS} FROM decisions WHERE final AND episode = ANY($1::bigint[]) ORDER BY id"
_COUNTS = (
    f"SELECT {COUNTED} FROM (SELECT kind, reason, at FROM decisions WHERE rule = ANY($1::text[])"
    " ORDER BY id DESC LIMIT $2) AS latest GROUP BY kind, reason ORDER BY times DESC, kind, reason"
)
_FACTS = "SELECT decision, fact FROM facts WHERE decision = ANY($1::bigint[]) ORDER BY decision, position"


async def undecided(
    transaction: Transaction, limit: int, claim: timedelta, *, for_facts: bool
) -> list[EpisodeWork]:
    until = micros(transaction.now + claim)
    rows = await transaction.rows(
        _CLAIM_DUE[for_facts], transaction.micros, limit, until, transaction.claimer
    )
    episodes, unreadable = sift(transaction, "episodes", rows, episode_from)
    await put_aside(transaction, unreadable)
    ids = [episode.id for episode in episodes]
    if not ids:
        return []
    final = await _final_decisions(transaction, ids)
    return works(episodes, final, await counts.passed(transaction, ids))


async def wait_for_facts(transaction: Transaction, episodes: Collection[EpisodeId]) -> None:
    await transaction.run(_PUT_OFF, list(episodes))
    transaction.topics.add(Topic.FACTS)


async def _final_decisions(transaction: Transaction, ids: Collection[EpisodeId]) -> list[Row]:
    return await transaction.rows(_FINAL, list(ids))


async def decide(
    transaction: Transaction, requests: Sequence[DecisionRequest], judge: Judge
) -> list[Decided]:
    """Needs ``Lock.GUARDS`` alone: what is counted here is added to here."""
    asked = {request.episode.id: request.episode for request in requests}
    counting = await counts.read(transaction, places_of(requests))
    changed = await _changed_since(transaction, asked, counting.waiting)
    judging = Judging(
        judge,
        transaction.now,
        rules_by_episode(await _final_decisions(transaction, asked)),
        changed,
        await around_decisions(
            transaction, ((request.rule, request.target, request.lookback) for request in requests)
        ),
        counting,
        await _next_decision_id(transaction),
    )
    decided = judging.judge_all(requests)
    await _write(transaction, judging)
    return decided


async def _write(transaction: Transaction, judging: Judging) -> None:
    await insert_runs(transaction, judging.runs)
    await transaction.run_for_each(_INSERT, judging.decisions)
    await transaction.run_for_each(_INSERT_FACT, judging.facts)
    await join_runs(transaction, judging.joins)
    await transaction.run(_DUE_AGAIN, list(judging.due), list(judging.due.values()))
    await counts.write(transaction, judging.counting)
    transaction.append_events(judging.events)
    await post(transaction, judging.envelopes)
    await brakes.demand(transaction, judging.demanded)
    await brakes.engage(transaction, judging.engaged)
    await brakes.stop(transaction, judging.stopped)


async def _next_decision_id(transaction: Transaction) -> int:
    return int(await transaction.value("SELECT coalesce(max(id), 0) + 1 FROM decisions"))


async def _changed_since(
    transaction: Transaction, asked: Mapping[EpisodeId, Episode], others: Collection[EpisodeId]
) -> dict[EpisodeId, Episode]:
    """Those of the episodes that moved on; ``others`` are kept with them from all who come meanwhile."""
    rows = await transaction.rows(_AS_NOW, sorted({*asked, *others}))
    changed = moved_on(asked.values(), [row for row in rows if row[0] in asked])
    return await episodes_by_id(transaction, changed) if changed else {}


async def decisions_before(
    transaction: Transaction, limit: int, before: int | None, wanted: DecisionFilter
) -> list[DecisionRow]:
    rules = None if wanted.rules is None else sorted(wanted.rules)
    rows = await transaction.rows(
        _BEFORE, 2**63 - 1 if before is None else before, wanted.episode, rules, limit
    )
    return await _with_facts(transaction, rows)


async def decision_counts(transaction: Transaction, rules: Collection[str]) -> list[ReasonCount]:
    return [count_from(row) for row in await transaction.rows(_COUNTS, sorted(rules), MOST_SEARCHED)]


async def past_episodes(
    transaction: Transaction, since: datetime | None, before: EpisodeId | None, limit: int
) -> Past:
    rows = await transaction.rows(_PAST, 2**63 - 1 if before is None else before, limit)
    page = PastPage.of(transaction, rows, since, limit)
    made = await transaction.rows(_FINALLY_ON, [episode.id for episode in page.episodes])
    return page.with_decisions(await _with_facts(transaction, made))


async def decisions_on(transaction: Transaction, key: AlertKey) -> list[DecisionRow]:
    return await _with_facts(transaction, await transaction.rows(_ON, key.source, key.fingerprint))


async def decisions_of_run(transaction: Transaction, run: RunId) -> tuple[DecisionRow, ...]:
    rows = await transaction.rows(_OF_RUN, run, MOST_WAITING, MOST_OF_STORY)
    return tuple(await _with_facts(transaction, rows))


async def _with_facts(transaction: Transaction, rows: list[Row]) -> list[DecisionRow]:
    facts = await transaction.rows(_FACTS, [row[0] for row in rows])
    return decision_rows_from(transaction, rows, facts)
