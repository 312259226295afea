"""Reading, for people: history, one run's story, and how far behind the daemon is."""

from __future__ import annotations

from remediator.core.changes import MOST_OF_STORY, Backlog, RunFilter, RunRow, Unreadable
from remediator.core.ids import RunId
from remediator.core.notices import Lane
from remediator.core.runs import Run, RunState
from remediator.store.common.codecs import maybe_moment, micros
from remediator.store.common.runs import COLUMNS, run_from
from remediator.store.common.unread import readable
from remediator.store.sqlite.approvals import approvals_of
from remediator.store.sqlite.decisions import decisions_of_run
from remediator.store.sqlite.episodes import counts_of_run, first_episodes_of_run
from remediator.store.sqlite.events import events_of_run
from remediator.store.sqlite.runs import attempts_of, run_by_id
from remediator.store.sqlite.transaction import Transaction

_MOST_BY_PREFIX = 5

_WEBHOOKS = "SELECT count(*), min(received_at) FROM webhooks WHERE taken_at IS NULL"
_EPISODES = "SELECT count(*), min(due_at) FROM episodes WHERE due_at IS NOT NULL AND due_at <= ?"
_UNSENT = "SELECT lane, count(*), min(created_at) FROM outbox WHERE state = 'unsent' GROUP BY lane"
_PARKED = "SELECT count(*) FROM outbox WHERE state = 'parked'"
_QUARANTINED = "SELECT count(*) FROM quarantines"
_INQUIRIES = "SELECT count(*), min(made_at) FROM inquiries"
_UNFINISHED = "SELECT count(*) FROM runs WHERE final = 0"
_ASKING = f"SELECT count(*), min(deadline_at) FROM runs WHERE final = 0 AND state = '{RunState.ASKING.value}'"


def history(transaction: Transaction, wanted: RunFilter) -> list[Run]:
    clauses: list[str] = []
    values: list[object] = []
    if wanted.rule is not None:
        clauses.append("r.rule = ?")
        values.append(wanted.rule)
    if wanted.target is not None:
        clauses.append("r.target = ?")
        values.append(wanted.target)
    if wanted.since is not None:
        clauses.append("r.created_at >= ?")
        values.append(micros(wanted.since))
    if wanted.before is not None:
        clauses.append("r.seq < (SELECT seq FROM runs WHERE id = ?)")
        values.append(wanted.before)
    where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
    found = transaction.sql.execute(
        f"SELECT {COLUMNS} FROM runs r {where} ORDER BY r.seq DESC LIMIT ?", (*values, wanted.limit)
    )
    return readable(transaction, "runs", found, run_from)


def run_rows(transaction: Transaction, prefix: str) -> list[RunRow]:
    exact = run_by_id(transaction, RunId(prefix))
    if exact is not None:
        return [story_of(transaction, exact)]
    rows = transaction.sql.execute(
        f"SELECT {COLUMNS} FROM runs r WHERE r.id >= ? AND r.id < ? ORDER BY r.seq DESC LIMIT ?",
        (prefix, prefix + "\U0010ffff", _MOST_BY_PREFIX),
    ).fetchall()
    return [story_of(transaction, run) for run in readable(transaction, "runs", rows, run_from)]


def story_of(transaction: Transaction, run: Run) -> RunRow:
    joined, still_open = counts_of_run(transaction, run.id)
    return RunRow(
        run=run,
        joined=joined,
        firing=bool(still_open),
        episodes=first_episodes_of_run(transaction, run.id, MOST_OF_STORY),
        decisions=decisions_of_run(transaction, run.id),
        attempts=attempts_of(transaction, run.id),
        events=events_of_run(transaction, run.id),
        approvals=approvals_of(transaction, run.id),
    )


def backlog(transaction: Transaction) -> Backlog:
    sql = transaction.sql
    webhooks, oldest_webhook = sql.execute(_WEBHOOKS).fetchone()
    episodes, oldest_due = sql.execute(_EPISODES, (transaction.micros,)).fetchone()
    inquiries, oldest_inquiry = sql.execute(_INQUIRIES).fetchone()
    unsent = sql.execute(_UNSENT).fetchall()
    asking, next_lapse = sql.execute(_ASKING).fetchone()
    waiting = [at for at in (oldest_webhook, oldest_due) if at is not None]
    return Backlog(
        webhooks=webhooks,
        episodes=episodes,
        outbox=sum(count for _, count, _ in unsent),
        parked_notices=sql.execute(_PARKED).fetchone()[0],
        oldest_undecided=maybe_moment(min(waiting, default=None)),
        oldest_unsent=maybe_moment(min((at for _, _, at in unsent), default=None)),
        quarantined=sql.execute(_QUARANTINED).fetchone()[0],
        unfinished_runs=sql.execute(_UNFINISHED).fetchone()[0],
        asking=asking,
        next_lapse=maybe_moment(next_lapse),
        by_lane={Lane(lane): count for lane, count, _ in unsent},
        oldest_page=maybe_moment(next((at for lane, _, at in unsent if lane == Lane.PAGES), None)),
        inquiries=inquiries,
        oldest_inquiry=maybe_moment(oldest_inquiry),
    )


def unreadable(transaction: Transaction) -> tuple[Unreadable, ...]:
    return transaction.unread.lately(transaction.now)
