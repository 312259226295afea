"""Laws 9 and 11 forgotten, and what belongs to none: success unseen, people untold, runs without an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from remediator.core.changes import OutboxItem
from remediator.core.ids import RunId
from remediator.core.notices import Envelope
from remediator.core.runs import Run
from remediator.engine import proof
from remediator.engine.outbox import OutboxLoop
from remediator.engine.proof import Finding, Proof, Proven
from remediator.store.sqlite.transaction import Transaction
from tests.simulation.bugs.bug import Bug, laws

# Law 9.


async def _proven_unseen(*_given: Any) -> Finding:
    return Finding(Proven.PROVEN, "nobody looked")


async def _watch_for_a_moment(this: Proof, run: Run, verify: Any, *given: Any) -> Finding:
    return await _watch(this, run, replace(verify, stable_for=timedelta(0)), *given)


_watch = Proof.watch


def _an_error_disproves(facts: Any, verify: Any, *, good: bool) -> Finding:
    finding = _at_the_end(facts, verify, good=good)
    return replace(finding, verdict=Proven.DISPROVEN)


_at_the_end = proof._at_the_end


# Law 11.


async def _sent_before_it_is_delivered(loop: OutboxLoop, item: OutboxItem, _asked_at: float) -> None:
    await loop.store.sent(item, "")
    await loop._try(item, loop._notifiers.get(item.envelope.channel.partition(":")[0]))


def _the_older_is_dropped(_old: Envelope, new: Envelope) -> Envelope:
    return new


# What belongs to no law alone.


def _runnable(transaction: Transaction, limit: int, leaving: Sequence[RunId]) -> list[RunId]:
    del leaving
    found = transaction.sql.execute(
        "SELECT id FROM runs WHERE state = 'pending' ORDER BY seq LIMIT ?", (limit,)
    )
    return [RunId(row[0]) for row in found]


BUGS: Sequence[Bug] = (
    Bug(
        "success unseen",
        "a run whose steps are done has succeeded",
        laws("law_9_success_is_proven"),
        {"remediator.engine.proof.Proof.watch": _proven_unseen},
    ),
    Bug(
        "a moment's proof",
        "the proof need not hold for as long as the rule asks",
        laws("law_9_success_is_proven"),
        {"remediator.engine.proof.Proof.watch": _watch_for_a_moment},
    ),
    Bug(
        "an error disproves",
        "what could not be proven counts as proven to have failed",
        laws("law_9_on_failure_follows_proof_alone"),
        {"remediator.engine.proof._at_the_end": _an_error_disproves},
    ),
    Bug(
        "sent before it is delivered",
        "a notice counts as sent before its channel has it",
        laws("law_11_each_run_is_reported", "law_11_each_decision_is_reported"),
        {"remediator.engine.outbox.OutboxLoop._deliver": _sent_before_it_is_delivered},
    ),
    Bug(
        "digest drops",
        "a notice that takes an unsent one's place forgets what that one told",
        laws("law_11_each_decision_is_reported"),
        {"remediator.store.sqlite.outbox.in_place_of": _the_older_is_dropped},
    ),
    Bug(
        "runs of the dead are left",
        "nobody takes over a run whose holder is gone",
        laws("everything_ends"),
        {"remediator.store.sqlite.runs.runnable": _runnable},
    ),
    Bug(
        "claims of the dead last",
        "what was handed out to a replica that died is never handed out again",
        laws("everything_ends", "law_11_each_run_is_reported", "law_11_each_decision_is_reported"),
        {"remediator.store.sqlite.claims.Claims.expire": lambda *_: None},
    ),
)
