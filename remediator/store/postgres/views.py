"""Reading, for people: history, one run's story, and how far behind the daemon is."""

from __future__ import annotations

from remediator.core.changes import MOST_OF_STORY, Backlog, RunFilter, RunRow, Unreadable
from remediator.core.ids import RunId
from remediator.core.notices import Lane
from remediator.core.runs import Run, RunState
from remediator.store.common.codecs import maybe_micros, maybe_moment
from remediator.store.common.runs import COLUMNS, run_from
from remediator.store.common.unread import readable
from remediator.store.postgres.approvals import approvals_of
from remediator.store.postgres.decisions import decisions_of_run
from remediator.store.postgres.episodes import counts_of_run, first_episodes_of_run
from remediator.store.postgres.events import events_of_run
from remediator.store.postgres.runs import attempts_of, run_by_id
from remediator.store.postgres.transaction import Transaction

_MOST_BY_PREFIX = 5

_HISTORY = (
    f"SELECT {COLUMNS} FROM runs r WHERE ($1::text IS NULL OR r.rule = $1)"
    " AND ($2::text IS NULL OR r.target = $2) AND ($3::bigint IS NULL OR r.created_at >= $3)"
    " AND ($4::text IS NULL OR r.seq < (SELECT seq FROM runs WHERE id = $4)) ORDER BY r.seq DESC LIMIT $5"
)
_BY_PREFIX = f"SELECT {COLUMNS} FROM runs r WHERE r.id >= $1 AND r.id < $2 ORDER BY r.seq DESC LIMIT $3"
# One statement, so that the counts are of one instant.
_BACKLOG = (
    "SELECT (SELECT count(*) FROM webhooks WHERE taken_at IS NULL),"
    " (SELECT count(*) FROM episodes WHERE due_at IS NOT NULL AND due_at <= $1),"
    " least((SELECT min(received_at) FROM webhooks WHERE taken_at IS NULL),"
    " (SELECT min(due_at) FROM episodes WHERE due_at IS NOT NULL AND due_at <= $1)),"
    " (SELECT count(*) FROM outbox WHERE state = 'parked'), (SELECT count(*) FROM quarantines),"
    " (SELECT count(*) FROM runs WHERE NOT final), (SELECT count(*) FROM inquiries),"
    " (SELECT min(made_at) FROM inquiries),"
    f" (SELECT count(*) FROM runs WHERE NOT final AND state = '{RunState.ASKING.value}'),"
    f" (SELECT min(deadline_at) FROM runs WHERE NOT final AND state = '{RunState.ASKING.value}')"
)
_UNSENT = "SELECT lane, count(*), min(created_at) FROM outbox WHERE state = 'unsent' GROUP BY lane"


async def history(transaction: Transaction, wanted: RunFilter) -> list[Run]:
    since = maybe_micros(wanted.since)
    found = await transaction.rows(_HISTORY, wanted.rule, wanted.target, since, wanted.before, wanted.limit)
    return readable(transaction, "runs", found, run_from)


async def run_rows(transaction: Transaction, prefix: str) -> list[RunRow]:
    exact = await run_by_id(transaction, RunId(prefix))
    if exact is not None:
        return [await story_of(transaction, exact)]
    rows = await transaction.rows(_BY_PREFIX, prefix, prefix + "\U0010ffff", _MOST_BY_PREFIX)
    return [await story_of(transaction, run) for run in readable(transaction, "runs", rows, run_from)]


async def story_of(transaction: Transaction, run: Run) -> RunRow:
    joined, still_open = await counts_of_run(transaction, run.id)
    return RunRow(
        run=run,
        joined=joined,
        firing=bool(still_open),
        episodes=await first_episodes_of_run(transaction, run.id, MOST_OF_STORY),
        decisions=await decisions_of_run(transaction, run.id),
        attempts=await attempts_of(transaction, run.id),
        events=await events_of_run(transaction, run.id),
        approvals=await approvals_of(transaction, run.id),
    )


async def backlog(transaction: Transaction) -> Backlog:
    (counted,) = await transaction.rows(_BACKLOG, transaction.micros)
    webhooks, episodes, oldest, parked, quarantined, unfinished, inquiries, oldest_inquiry, asking, lapse = (
        counted
    )
    unsent = await transaction.rows(_UNSENT)
    return Backlog(
        webhooks=webhooks,
        episodes=episodes,
        outbox=sum(count for _, count, _ in unsent),
        parked_notices=parked,
        oldest_undecided=maybe_moment(oldest),
        oldest_unsent=maybe_moment(min((at for _, _, at in unsent), default=None)),
        quarantined=quarantined,
        unfinished_runs=unfinished,
        asking=asking,
        next_lapse=maybe_moment(lapse),
        by_lane={Lane(lane): count for lane, count, _ in unsent},
        oldest_page=maybe_moment(next((at for lane, _, at in unsent if lane == Lane.PAGES), None)),
        inquiries=inquiries,
        oldest_inquiry=maybe_moment(oldest_inquiry),
    )


async def unreadable(transaction: Transaction) -> tuple[Unreadable, ...]:
    return transaction.unread.lately(transaction.now)
