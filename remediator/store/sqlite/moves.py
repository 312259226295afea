"""Moves of runs: refused unless the lease holds and the run is still where its mover saw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from remediator.core.approvals import Objection
from remediator.core.changes import Intended, IntentRequest, Refused, RunChange
from remediator.core.guards import NO_LOOKBACK, GuardView, Lookback, Verdict
from remediator.core.ids import AttemptId, RunId, Token
from remediator.core.leases import Preempted
from remediator.core.ports.store import Ask, Settle
from remediator.core.runs import Run
from remediator.store.common.runs import by_resolving, needs_no_lease
from remediator.store.sqlite import brakes, counts
from remediator.store.sqlite.approvals import latest_approval
from remediator.store.sqlite.episodes import still_fires
from remediator.store.sqlite.guard_views import around_run
from remediator.store.sqlite.leases import leased, outlive
from remediator.store.sqlite.runs import run_by_id, write_change
from remediator.store.sqlite.transaction import Transaction
from remediator.store.sqlite.views import story_of


def advance(transaction: Transaction, token: Token | None, change: RunChange) -> Refused | None:
    if not _may_move(transaction, token, change):
        return Refused.LEASE_LOST
    row = transaction.sql.execute("SELECT state FROM runs WHERE id = ?", (change.run.id,)).fetchone()
    if row is None or row[0] != change.was.value:
        return Refused.MOVED
    if by_resolving(change) and still_fires(transaction, change.run.id):
        return Refused.MOVED
    write_change(transaction, change)
    return None


def _may_move(transaction: Transaction, token: Token | None, change: RunChange) -> bool:
    if token is None:
        return needs_no_lease(change)
    lease = leased(transaction, token)
    return lease is not None and lease.run == change.run.id


def answer(transaction: Transaction, run: RunId, settle: Settle) -> RunChange | Objection | None:
    asked = run_by_id(transaction, run)
    found = None if asked is None else settle(story_of(transaction, asked), transaction.now)
    if isinstance(found, RunChange) and advance(transaction, None, found) is not None:
        return None
    return found


def intend(
    transaction: Transaction,
    token: Token,
    request: IntentRequest,
    ask: Ask,
    change: Callable[[GuardView, Verdict], RunChange],
) -> Intended | Refused | Preempted:
    lease = leased(transaction, token)
    run = None if lease is None else run_by_id(transaction, lease.run)
    if lease is None or run is None:
        return Refused.LEASE_LOST
    if lease.preempted is not None:
        return lease.preempted
    view = view_for(transaction, run, request.question.lookback)
    verdict = ask(request, view)
    if not verdict.allows:
        brakes.heed(transaction, run.target, verdict)
        return Intended(verdict, None)
    wanted = change(view, verdict)
    if wanted.attempt is not None and _is_known(transaction, wanted.attempt.id):
        return Refused.MOVED
    refused = advance(transaction, token, wanted)
    if refused is not None:
        return refused
    if wanted.attempt is not None and not wanted.attempt.fenced:
        outlive(transaction, token, wanted.attempt.deadline_at)
    brakes.heed(transaction, run.target, verdict)
    if request.first:
        _take_slot(transaction, run)
    return Intended(verdict, wanted)


def _is_known(transaction: Transaction, attempt: AttemptId) -> bool:
    """Whether that attempt was made already: whoever intends it again has not seen how far the run is."""
    found = transaction.sql.execute("SELECT 1 FROM attempts WHERE id = ?", (attempt,))
    return found.fetchone() is not None


def _take_slot(transaction: Transaction, run: Run) -> None:
    transaction.sql.execute(
        "INSERT INTO slots (run, rule, target, taken_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (run.id, run.rule, str(run.target), transaction.micros),
    )


def view_for(transaction: Transaction, run: Run, lookback: Lookback = NO_LOOKBACK) -> GuardView:
    around = around_run(transaction, run, lookback)
    counting = counts.read(transaction, [lookback.place] if lookback.place else [])
    return replace(
        around.view(run.rule, run.target),
        firing=still_fires(transaction, run.id),
        approval=latest_approval(transaction, run.id),
        standing=counting.standing(lookback.place, run.episode),
    )
