"""Laws 9 and 11, and what belongs to no law alone: success is proven, people hear of it, everything ends."""

from __future__ import annotations

from tests.simulation.laws.registry import Problems, after_commit, after_write, at_end, of
from tests.simulation.rulebook import COUNTING, MOVING
from tests.simulation.seen import Commit, History, Write

# Law 9: success is verified.


@after_commit
def law_9_success_is_proven(history: History, commit: Commit) -> Problems:
    for event in of(commit, "run.succeeded"):
        for check, stable_for in _PROOFS[str(event.rule)].items():
            since = history.good_since(commit.who, check, str(event.target))
            if since is None:
                yield f"{event.run} is said to have succeeded, and {check} did not say yes"
            elif history.last_look_at(commit.who, check, str(event.target)) - since < stable_for:
                yield f"{event.run} is said to have succeeded, and {check} says yes only since {since:.1f}"


@after_commit
def law_9_on_failure_follows_proof_alone(history: History, commit: Commit) -> Problems:
    for event in of(commit, "run.falling_back", "run.failed"):
        proven = [
            earlier.kind
            for earlier in history.events
            if earlier.run == event.run and earlier.kind in ("run.disproven", "step.failed", "attempt.failed")
        ]
        blind = str(event.data.get("detail", "")).startswith("not begun")
        if not proven and not blind:
            yield f"{event.run} {event.kind}, and nothing proves that it failed"
    for event in of(commit, "run.disproven"):
        said = {history.last_look(commit.who, check, event.target) for check in _PROOFS[str(event.rule)]}
        if "no" not in said or said - {"yes", "no"}:
            yield f"{event.run} is said to be disproven, and its checks said {sorted(map(str, said))}"


#: The checks that prove a rule, each with the seconds for which it has to hold.
_PROOFS = {
    "down-undo": {"kubernetes.rolled_out": 2.0},
    "slow-restart": {"kubernetes.rolled_out": 0.0, "alert.resolved": 0.0},
    "full-scale": {"kubernetes.pods_ready": 0.0},
    COUNTING: {"kubernetes.rolled_out": 0.0},
    "stuck-asks": {"kubernetes.rolled_out": 0.0},
    "disk-copy": {"kubernetes.pods_ready": 0.0},
    # Another than of the copy beside it: which run a check was asked for is not witnessed.
    "disk-copy-away": {"kubernetes.rolled_out": 0.0},
    MOVING: {"kubernetes.rolled_out": 0.0},
}


# Law 11: nothing surprises.


@after_write
def law_11_only_what_is_live_acts(history: History, write: Write) -> Problems:
    if write.attempt is not None:
        mode = history.one("SELECT mode FROM all_runs WHERE id = ?", write.attempt.partition("/")[0])
        if mode != 2:
            yield f"{write.attempt} was applied by a run that is not live"


@at_end
def law_11_each_run_is_reported(history: History) -> Problems:
    told = {envelope.notice.run for _, envelope in history.delivered if envelope.notice.final}
    for run, state in history.rows("SELECT id, state FROM all_runs WHERE final = 1"):
        if run not in told:
            yield f"{run} ended as {state}, and nobody was told"


@at_end
def law_11_each_decision_is_reported(history: History) -> Problems:
    told: dict[tuple[str, str], int] = {}
    for _, envelope in history.delivered:
        lane, *parts = envelope.thread.split(":")
        if lane in ("reports", "pages"):
            key = (parts[0], parts[1])
            told[key] = told.get(key, 0) + envelope.notice.count
    made = history.rows(
        "SELECT d.rule, d.reason, count(*) FROM all_decisions d WHERE d.final = 1 AND d.kind = 'skip'"
        " AND d.reason NOT IN ('superseded', 'brake')"
        " AND NOT (d.reason = 'no_rule' AND EXISTS (SELECT 1 FROM all_decisions o"
        " WHERE o.episode = d.episode AND o.final = 1 AND o.id <> d.id)) GROUP BY d.rule, d.reason"
    )
    made += history.rows(
        "SELECT d.rule, d.reason, count(*) FROM all_decisions d JOIN all_runs r ON r.id = d.run"
        " WHERE d.kind = 'join' AND d.reason = 'joined_late' AND r.state NOT IN ('succeeded', 'observed')"
        " GROUP BY d.rule, d.reason"
    )
    for rule, reason, count in made:
        heard = told.get((rule or "no rule", reason), 0)
        if heard < count:
            yield f"{count} decisions of {rule or 'no rule'} for {reason}, and {heard} were told"


# What belongs to no law alone.


@at_end
def everything_ends(history: History) -> Problems:
    """After the faults are over nothing is left: each non-final state has a deadline."""
    for what, statement in _LEFT.items():
        left = history.rows(statement)
        if left:
            yield f"left over: {what}: {left}"


_LEFT = {
    "webhooks not taken apart": "SELECT id FROM webhooks WHERE taken_at IS NULL",
    "episodes not decided": "SELECT id, due_at FROM episodes WHERE due_at IS NOT NULL",
    "runs not ended": "SELECT id, state, detail FROM runs WHERE final = 0",
    "attempts without an outcome": (
        "SELECT a.id FROM attempts a JOIN runs r ON r.id = a.run WHERE a.outcome IS NULL AND r.final = 0"
    ),
    "notices not sent": "SELECT id, thread, error FROM outbox WHERE state <> 'sent'",
}


@at_end
def the_ledger_tells_what_the_cluster_did(history: History) -> Problems:
    """Applied changes, by the cluster's own audit log, are the attempts that succeeded, or are in doubt."""
    for attempt, outcome in history.rows("SELECT id, outcome FROM all_attempts"):
        happened = attempt in history.applied
        if outcome == "succeeded" and not happened:
            yield f"{attempt} succeeded and was never applied"
        if outcome == "failed" and happened:
            yield f"{attempt} failed and was applied"
