"""Runs that ask people, and how their answers are written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from remediator.core.approvals import Answer, Approval, Objection, PlannedStep, Proposal, judge
from remediator.core.changes import RunChange, RunRow
from remediator.core.events import Event, EventKind
from remediator.core.ports.store import Settle, Store
from remediator.core.rules import Otherwise
from remediator.core.runs import Phase, Run, RunState
from tests.store.values import an_envelope, to

WITHIN = timedelta(minutes=10)


def a_proposal(run: Run, summary: str = "cart: revision 3 → 2") -> Proposal:
    step = PlannedStep(
        "undo",
        "kubernetes.rollout_undo",
        {"deep": [1, {"x": None}]},
        summary,
        "-a\n+b",
        {"uid": "u", "odd": "'; -- \x00 ☃"},
        {"uid": "u"},
    )
    return Proposal(run.rulebook, run.rule, run.target, Phase.STEPS, (step,), (replace(step, open=True),))


def a_request_of(run: Run, now: datetime, number: int = 1, summary: str = "cart: revision 3 → 2") -> Approval:
    proposal = a_proposal(run, summary)
    return Approval(
        run.id, number, proposal.digest, proposal, ("ada", "sam"), now, now + WITHIN, Otherwise.SKIP
    )


async def ask(store: Store, run: Run, number: int = 1) -> Approval:
    """The run asks, without any lease."""
    asked = a_request_of(run, await store.now(), number)
    waiting = replace(to(run, RunState.ASKING), deadline_at=asked.until)
    assert await store.advance(None, RunChange(waiting, run.state, approval=asked)) is None
    return asked


def answering(answer: Answer) -> Settle:
    """As people's answers are judged: granted goes back to pending, denied ends."""

    def settled(row: RunRow, now: datetime) -> RunChange | Objection | None:
        found = judge(row.approvals[-1] if row.approvals else None, answer, now)
        if isinstance(found, Objection):
            return found
        state = RunState.PENDING if found.granted else RunState.REFUSED
        told = Event(EventKind.RUN_APPROVED, now, {"who": answer.who}, run=row.run.id)
        return RunChange(
            to(row.run, state, now), row.run.state, events=(told,), envelopes=(an_envelope(),), approval=found
        )

    return settled
