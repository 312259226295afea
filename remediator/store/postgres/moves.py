"""Moves of runs: refused unless the lease holds and the run is still where its mover saw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from remediator.core.approvals import Objection
from remediator.core.changes import Intended, IntentRequest, Refused, RunChange
from remediator.core.guards import NO_LOOKBACK, GuardView, Lookback, Verdict
from remediator.core.ids import RunId, Token
from remediator.core.leases import Preempted
from remediator.core.ports.store import Ask, Settle
from remediator.core.runs import Run
from remediator.store.common.runs import by_resolving, needs_no_lease
from remediator.store.postgres import brakes, counts
from remediator.store.postgres.approvals import latest_approval
from remediator.store.postgres.episodes import still_fires
from remediator.store.postgres.guard_views import around_run
from remediator.store.postgres.leases import leased, outlive
from remediator.store.postgres.runs import run_by_id, write_change
from remediator.store.postgres.transaction import Transaction
from remediator.store.postgres.views import story_of

_STATE = "SELECT state FROM runs WHERE id = $1 FOR NO KEY UPDATE"
_KNOWN = "SELECT 1 FROM attempts WHERE id = $1"
_TAKE_SLOT = "INSERT INTO slots (run, rule, target, taken_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"


async def advance(transaction: Transaction, token: Token | None, change: RunChange) -> Refused | None:
    """Needs ``Lock.GUARDS``, shared at least: no guard may be asked while a run ends."""
    if not await _may_move(transaction, token, change):
        return Refused.LEASE_LOST
    if await transaction.value(_STATE, change.run.id) != change.was.value:
        return Refused.MOVED
    if by_resolving(change) and await still_fires(transaction, change.run.id):
        return Refused.MOVED
    await write_change(transaction, change)
    return None


async def _may_move(transaction: Transaction, token: Token | None, change: RunChange) -> bool:
    if token is None:
        return needs_no_lease(change)
    lease = await leased(transaction, token)
    return lease is not None and lease.run == change.run.id


async def answer(transaction: Transaction, run: RunId, settle: Settle) -> RunChange | Objection | None:
    """Needs ``Lock.GUARDS``, as :func:`advance` does; whoever answers the same run meanwhile waits."""
    await transaction.value(_STATE, run)
    asked = await run_by_id(transaction, run)
    found = None if asked is None else settle(await story_of(transaction, asked), transaction.now)
    if isinstance(found, RunChange) and await advance(transaction, None, found) is not None:
        return None
    return found


async def intend(
    transaction: Transaction,
    token: Token,
    request: IntentRequest,
    ask: Ask,
    change: Callable[[GuardView, Verdict], RunChange],
) -> Intended | Refused | Preempted:
    """Needs ``Lock.GUARDS`` alone: the slot that is counted here is taken here."""
    lease = await leased(transaction, token)
    run = None if lease is None else await run_by_id(transaction, lease.run)
    if lease is None or run is None:
        return Refused.LEASE_LOST
    if lease.preempted is not None:
        return lease.preempted
    view = await view_for(transaction, run, request.question.lookback)
    verdict = ask(request, view)
    if not verdict.allows:
        await brakes.heed(transaction, run.target, verdict)
        return Intended(verdict, None)
    wanted = change(view, verdict)
    if wanted.attempt is not None and await transaction.value(_KNOWN, wanted.attempt.id):
        # Whoever intends it again has not seen how far the run is.
        return Refused.MOVED
    refused = await advance(transaction, token, wanted)
    if refused is not None:
        return refused
    if wanted.attempt is not None and not wanted.attempt.fenced:
        await outlive(transaction, token, wanted.attempt.deadline_at)
    await brakes.heed(transaction, run.target, verdict)
    if request.first:
        await transaction.run(_TAKE_SLOT, run.id, run.rule, str(run.target), transaction.micros)
    return Intended(verdict, wanted)


async def view_for(transaction: Transaction, run: Run, lookback: Lookback = NO_LOOKBACK) -> GuardView:
    around = await around_run(transaction, run, lookback)
    counting = await counts.read(transaction, [lookback.place] if lookback.place else [])
    return replace(
        around.view(run.rule, run.target),
        firing=await still_fires(transaction, run.id),
        approval=await latest_approval(transaction, run.id),
        standing=counting.standing(lookback.place, run.episode),
    )
