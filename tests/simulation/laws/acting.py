"""Laws 4 and 5: intent before act and proof after, by one actor a target."""

from __future__ import annotations

from tests.simulation.actions import COPY
from tests.simulation.laws.registry import Problems, after_commit, after_write, at_work, of
from tests.simulation.rulebook import COPYING, MOVING
from tests.simulation.seen import AtWork, Commit, History, LeaseRow, Write

#: Moves by which nothing is or was touched, and which need no lease.
_UNLEASED = frozenset({"run.created", "run.joined", "run.planned", "run.observed", "page.opened"})
_MAY_BE_UNLEASED = frozenset({"run.asked", "run.cancelled", "run.refused", "run.expired", "guards.asked"})


# Law 4: intent before act, proof after.


@after_write
def law_4_an_intent_precedes_each_change(history: History, write: Write) -> Problems:
    if write.attempt is None:
        return
    rows = history.rows("SELECT outcome FROM all_attempts WHERE id = ?", write.attempt)
    if not rows:
        yield f"{write.attempt} was applied without an intent"
    elif rows[0][0] == "failed":
        yield f"{write.attempt} was applied after it was said to have failed"


@after_write
def law_4_no_step_is_applied_twice(history: History, write: Write) -> Problems:
    if write.attempt is None:
        return
    step = write.attempt.rpartition("/")[0]
    before = [attempt for attempt in history.applied if attempt.rpartition("/")[0] == step]
    if before:
        yield f"{write.attempt} was applied after {before[0]}"


@after_commit
def law_4_outcomes_are_true(history: History, commit: Commit) -> Problems:
    """An attempt that is said to have succeeded was applied, one said to have failed was not."""
    for event in of(commit, "attempt.succeeded", "attempt.failed"):
        attempt = event.data.get("attempt")
        happened = event.kind == "attempt.succeeded"
        if attempt is not None and (attempt in history.applied) is not happened:
            yield f"{attempt} is said to have {event.kind.partition('.')[2]}, which is not true"


@after_commit
def law_4_unknown_quarantines(history: History, commit: Commit) -> Problems:
    for event in of(commit, "run.unknown"):
        if history.one("SELECT run FROM quarantines WHERE target = ?", event.target) != event.run:
            yield f"{event.run} ended as unknown, and {event.target} is not quarantined by it"
    for event in of(commit, "attempt.intended"):
        held = history.one("SELECT run FROM quarantines WHERE target = ?", event.target)
        if held is not None:
            yield f"{event.run} means to act on {event.target}, which {held} has in quarantine"


@after_commit
def law_4_doubt_is_cleared_before_others_act(history: History, commit: Commit) -> Problems:
    """But for copies, which change nothing: beside them others may copy, and who may preempt them goes on."""
    for event in of(commit, "attempt.intended"):
        other = history.one(
            "SELECT a.id FROM attempts a JOIN runs r ON r.id = a.run WHERE a.outcome IS NULL AND r.final = 0"
            " AND r.target = ? AND r.id <> ? AND NOT (a.action = ? AND ?)",
            event.target,
            event.run,
            COPY,
            event.rule in (*COPYING, MOVING),
        )
        if other is not None:
            yield f"{event.run} means to act on {event.target} while nobody knows what became of {other}"


# Law 5: one actor per target, fenced.


@after_commit
def law_5_one_lease_per_target(history: History, commit: Commit) -> Problems:
    held: dict[str, LeaseRow] = {}
    for lease in commit.leases:
        other = held.setdefault(lease.target, lease)
        if other is not lease and not (other.shared and lease.shared):
            yield f"{other.run} and {lease.run} both hold {lease.target}"
    del history


@at_work
def law_5_nobody_works_beside_who_holds_it_alone(history: History, work: AtWork) -> Problems:
    for lease in history.leases:
        others = lease.target == work.target and lease.run != work.run
        if others and not lease.shared and lease.expires_at > work.now:
            yield f"{work.who} is at work for {work.run} on {work.target}, which {lease.run} holds alone"


@after_commit
def law_5_who_is_preempted_gives_way(history: History, commit: Commit) -> Problems:
    """It begins nothing more, and leaves nothing open: no attempt, no quarantine, no lease."""
    for event in of(commit, "attempt.intended"):
        by = history.one("SELECT preempted_by FROM leases WHERE run = ?", event.run)
        if by is not None:
            yield f"{event.run} means to act, and {by} has preempted it"
    for event in of(commit, "run.preempted"):
        reason = history.one("SELECT reason FROM runs WHERE id = ? AND state = 'cancelled'", event.run)
        left = history.rows("SELECT id FROM attempts WHERE run = ? AND outcome IS NULL", event.run)
        left += history.rows("SELECT target FROM quarantines WHERE run = ?", event.run)
        left += history.rows("SELECT token FROM leases WHERE run = ?", event.run)
        if reason != "preempted" or left:
            yield f"{event.run} was preempted, ended for {reason}, and left {left}"


@after_commit
def law_5_nobody_takes_a_lease_that_lives(history: History, commit: Commit) -> Problems:
    del history
    if commit.name != "acquire":
        return
    kept = {lease.token for lease in commit.leases}
    for lease in commit.was:
        if lease.token not in kept and lease.owner != commit.given["owner"]:
            yield f"{commit.who} took {lease.target}, which {lease.owner} holds for {lease.run}"


@after_commit
def law_5_tokens_grow(history: History, commit: Commit) -> Problems:
    known = {lease.token for lease in commit.was}
    for lease in commit.leases:
        if lease.token not in known and lease.token <= history.highest_token:
            yield f"{lease.run} got token {lease.token}, and {history.highest_token} was given out before"


@after_commit
def law_5_only_the_holder_moves_a_run(history: History, commit: Commit) -> Problems:
    del history
    if commit.name not in ("advance", "intend"):
        return
    token = commit.given.get("token")
    runs = {event.run for event in commit.events if event.kind not in _UNLEASED and event.run is not None}
    if token is None and all(event.kind in _UNLEASED | _MAY_BE_UNLEASED for event in commit.events):
        return
    for run in sorted(runs):
        if not any(lease.run == run and lease.token == token for lease in commit.was):
            yield f"{commit.who} moved {run} with token {token}, which no live lease has"


@after_write
def law_5_no_older_writer_after_a_newer_stamp(history: History, write: Write) -> Problems:
    highest = history.stamped.get(write.target, 0)
    if write.token is not None and write.token < highest:
        yield f"token {write.token} replaced {highest} on {write.target}"
    if write.attempt is not None:
        token = history.one("SELECT token FROM all_attempts WHERE id = ?", write.attempt)
        if token is not None and token < highest:
            yield f"{write.attempt} was let in with token {token}, and {highest} had been stamped"
