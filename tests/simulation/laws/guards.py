"""Laws 6 to 8: errors act on nothing, guards are asked twice, and the brake holds."""

from __future__ import annotations

import itertools

from remediator.core.guards import PauseScope
from tests.simulation.actions import CRITICAL, PROMOTE
from tests.simulation.laws.registry import (
    SECOND,
    Problems,
    after_commit,
    after_write,
    at_end,
    first_intents,
    of,
)
from tests.simulation.rulebook import FROZEN, HELD, MOVING, RATE, SHARE_WINDOW, SHOP, TARGETS
from tests.simulation.seen import Commit, History, SeenEvent, Write

#: A fact is asked for shortly before it is decided by (seconds): the claim on an episode bounds it.
_FRESH = 30.0
#: So soon is at once (microseconds): a replica looks each second, even if nobody wakes it.
_AT_ONCE = 1.5 * SECOND
#: Seconds: who looks for pauses gives up a call that never returns after ten, and looks again within one.
_BLIND_FOR = 12.0


# Law 6: fail closed.


@after_commit
def law_6_errors_lead_to_no_action(history: History, commit: Commit) -> Problems:
    """A run is decided only by facts that its replica's checks truly answered, as the rule expects."""
    for event in of(commit, "run.created"):
        facts = history.rows(
            "SELECT f.check_name, json_extract(f.fact, '$.expect') FROM facts f JOIN decisions d"
            " ON d.id = f.decision WHERE d.run = ? AND d.kind = 'run'",
            event.run,
        )
        if event.rule == "down-undo" and not facts:
            yield f"{event.run} was begun without its rule's facts"
        for check, expected in facts:
            said = history.said(commit.who, check, event.target, history.clock.now - _FRESH)
            if expected not in said:
                yield f"{event.run} was begun because {check} says {expected}, which it did not: {said}"


# Law 7: guards are durable, and asked twice.


@after_commit
def law_7_no_intent_while_paused(history: History, commit: Commit) -> Problems:
    """Nor while the brake is engaged, but for runs that have begun: those go on to their proof."""
    first = {event.run for event in first_intents(history, commit)}
    for event in of(commit, "attempt.intended"):
        namespace = str(event.target).split("/")[1]
        pauses = history.rows(
            "SELECT scope, value FROM pauses WHERE lifted_at IS NULL AND (until IS NULL OR until > ?)"
            " AND (brake IS NULL OR ?)",
            commit.now,
            event.run in first,
        )
        stopping = {
            (PauseScope.ALL.value, ""),
            (PauseScope.RULE.value, event.rule),
            (PauseScope.TARGET.value, event.target),
            (PauseScope.TARGET.value, f"namespace/{namespace}"),
        }
        if stopping.intersection(pauses) and not _within_a_section(history, event):
            yield f"{event.run} means to act although it is paused"


def _within_a_section(history: History, event: SeenEvent) -> bool:
    """Whether a critical action was done right before this one, which is critical too."""
    earlier = history.rows(
        "SELECT action, outcome FROM attempts WHERE run = ? AND id <> ? ORDER BY seq DESC",
        event.run,
        event.data["attempt"],
    )
    before = itertools.takewhile(lambda row: row[0] in CRITICAL, earlier)
    return event.data["action"] in CRITICAL and any(outcome == "succeeded" for _, outcome in before)


@after_commit
def law_7_a_pause_cuts_no_critical_section(history: History, commit: Commit) -> Problems:
    """Of a move the second step follows the first, whoever has paused meanwhile."""
    for event in of(commit, "run.waiting"):
        within = history.one("SELECT 1 FROM runs WHERE id = ? AND position = 1 AND NOT broken", event.run)
        if event.rule == MOVING and str(event.data["detail"]).startswith("pause") and within:
            yield f"{event.run} waits for a pause in the middle of its critical section"


@at_end
def law_7_people_hear_that_their_pause_waits(history: History) -> Problems:
    """At once, where the ledger answers and nobody is stopped meanwhile."""
    told = {(each.run, each.data["pause"]) for each in history.events if each.kind == "run.pause_waits"}
    for run, target, begun, ended in history.rows(
        "SELECT r.id, r.target, a.intended_at, a.ended_at FROM all_attempts a JOIN all_runs r ON r.id = a.run"
        " WHERE a.action = ? AND a.outcome = 'succeeded'",
        PROMOTE,
    ):
        since, until = (history.clock_of(at) for at in (begun, ended))
        if any(since - _BLIND_FOR < trouble < until + 1 for trouble in history.troubles):
            continue
        waited = history.rows(
            "SELECT id FROM all_pauses WHERE brake IS NULL AND (scope = 'all' OR value = ?) AND at < ?"
            " AND coalesce(lifted_at, until) > max(at, ?) + ?",
            target,
            ended - _AT_ONCE,
            begun,
            _AT_ONCE,
        )
        for (pause,) in waited:
            if (run, pause) not in told:
                yield f"pause {pause} waited for {run} to be moved over, and nobody was told"


@after_commit
def law_7_cooldown(history: History, commit: Commit) -> Problems:
    for event in first_intents(history, commit):
        ended = history.one(
            "SELECT max(ended_at) FROM all_runs WHERE rule = ? AND target = ? AND id <> ?"
            " AND started_at IS NOT NULL",
            event.rule,
            event.target,
            event.run,
        )
        if ended is not None and commit.now - ended < history.limits.cooldown:
            ago = (commit.now - ended) / SECOND
            yield f"{event.run} means to act {ago:.0f} s after the last run of {event.rule} on {event.target}"


@after_commit
def law_7_rates(history: History, commit: Commit) -> Problems:
    for event in first_intents(history, commit):
        if event.rule == "full-scale":
            since = commit.now - history.limits.rate
            taken = history.one(
                "SELECT count(*) FROM all_slots WHERE rule = ? AND target = ? AND taken_at > ?",
                event.rule,
                event.target,
                since,
            )
            if taken > RATE:
                yield f"{taken} runs of {event.rule} on {event.target} since {since}"
        if event.rule == "slow-restart":
            since = commit.now - TARGETS[1] * SECOND
            taken = history.one(
                "SELECT count(DISTINCT target) FROM all_slots WHERE rule = ? AND taken_at > ?",
                event.rule,
                since,
            )
            if taken > TARGETS[0]:
                yield f"{taken} targets of {event.rule} within {TARGETS[1]} s"


@after_commit
def law_7_no_intent_in_a_freeze(history: History, commit: Commit) -> Problems:
    freeze = history.limits.freeze
    for event in first_intents(history, commit):
        name = str(event.target).rpartition("/")[2]
        if freeze and freeze[0] <= commit.now < freeze[1] and name in FROZEN:
            yield f"{event.run} means to act on {event.target}, which may not be changed now"


@after_commit
def law_7_no_intent_unapproved(history: History, commit: Commit) -> Problems:
    for event in first_intents(history, commit):
        latest = "SELECT settled FROM approvals WHERE run = ? ORDER BY number DESC LIMIT 1"
        if event.rule == "stuck-asks" and history.one(latest, event.run) != "granted":
            yield f"{event.run} means to act, and nobody has approved it"


@after_commit
def law_7_who_waits_for_a_person_takes_no_slot(history: History, commit: Commit) -> Problems:
    for event in of(commit, "run.asked"):
        if history.one("SELECT count(*) FROM slots WHERE run = ?", event.run):
            yield f"{event.run} asks a person and has a slot"


@after_commit
def law_7_slots_are_first_intents(history: History, commit: Commit) -> Problems:
    if any(of(commit, "attempt.intended")):
        slots = history.rows("SELECT run FROM slots ORDER BY run")
        begun = history.rows("SELECT id FROM runs WHERE started_at IS NOT NULL ORDER BY id")
        if slots != begun:
            yield f"runs that reached an intent: {begun}, slots taken: {slots}"


@after_write
def law_7_nothing_out_of_bounds_is_touched(history: History, write: Write) -> Problems:
    del history
    if write.target.split("/")[1] in ("bank", "void"):
        yield f"{write.target} is out of bounds and was written to"


@after_write
def law_7_what_is_labelled_as_protected_is_not_changed(history: History, write: Write) -> Problems:
    """A probe may stamp it: without that nobody could tell what became of an attempt."""
    del history
    if write.attempt is not None and HELD.items() <= write.labels.items():
        yield f"{write.target} was changed by {write.attempt} while its labels protected it"


# Law 8: the brake.


@after_commit
def law_8_no_more_than_so_many_in_parallel(history: History, commit: Commit) -> Problems:
    if any(first_intents(history, commit)):
        acting = history.one("SELECT count(*) FROM runs WHERE final = 0 AND started_at IS NOT NULL")
        if acting > history.limits.parallel:
            yield f"{acting} runs act at once, and {history.limits.parallel} may"


@after_commit
def law_8_no_more_than_a_share_of_a_namespace(history: History, commit: Commit) -> Problems:
    """Since its brake was last released no more distinct targets were acted on than the share allows."""
    share = history.limits.share
    if share is None or not any(first_intents(history, commit)):
        return
    released = history.one(
        "SELECT max(coalesce(lifted_at, until)) FROM all_pauses WHERE brake IS NOT NULL AND value = ?"
        " AND (lifted_at IS NOT NULL OR until <= ?)",
        f"namespace/{SHOP}",
        commit.now,
    )
    since = max(commit.now - SHARE_WINDOW * SECOND, released or 0)
    begun = history.rows(
        "SELECT DISTINCT target FROM all_slots WHERE taken_at > ? AND target LIKE ?",
        since,
        f"deployment/{SHOP}/%",
    )
    if len(begun) > share:
        yield f"runs began on {begun}, and the share is {share}"
