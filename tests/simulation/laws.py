"""The laws (DESIGN's numbers), each as a function that says what is wrong, or nothing.

They are written from the laws and know nothing of the engine's code: they read the ledger's rows and what the
cluster, the checks and the receivers of notices themselves have witnessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from remediator.core.guards import PauseScope
from tests.simulation.rulebook import (
    AT_LEAST,
    COUNTING,
    FROZEN,
    HELD,
    RATE,
    SHARE_WINDOW,
    SHOP,
    TARGETS,
    WITHIN,
)
from tests.simulation.seen import Commit, History, LeaseRow, SeenEvent, Write

Problems = Iterator[str]

AFTER_COMMIT: list[Callable[[History, Commit], Problems]] = []
AFTER_WRITE: list[Callable[[History, Write], Problems]] = []
AT_END: list[Callable[[History], Problems]] = []

_SECOND = 1_000_000
#: Moves by which nothing is or was touched, and which need no lease.
_UNLEASED = frozenset({"run.created", "run.joined", "run.planned", "run.observed"})
_MAY_BE_UNLEASED = frozenset({"run.asked", "run.cancelled", "run.refused", "run.expired", "guards.asked"})
#: A fact is asked for shortly before it is decided by (seconds): the claim on an episode bounds it.
_FRESH = 30.0


def after_commit(law: Callable[[History, Commit], Problems]) -> Callable[[History, Commit], Problems]:
    """A law that each commit is held to."""
    AFTER_COMMIT.append(law)
    return law


def after_write(law: Callable[[History, Write], Problems]) -> Callable[[History, Write], Problems]:
    """A law that each write to the cluster is held to."""
    AFTER_WRITE.append(law)
    return law


def at_end(law: Callable[[History], Problems]) -> Callable[[History], Problems]:
    """A law about what has to have come of everything."""
    AT_END.append(law)
    return law


def _of(commit: Commit, *kinds: str) -> Iterator[SeenEvent]:
    return (event for event in commit.events if event.kind in kinds)


# Law 1: persist, then 200.


def law_1_what_was_answered_is_kept(history: History, body: bytes) -> Problems:
    """Asked at the very moment at which a post is answered with 200."""
    if body not in history.kept_bodies():
        yield "a post was answered with 200 and is not in the ledger"


@at_end
def law_1_what_was_answered_is_taken_in(history: History) -> Problems:
    missing = set(history.answered) - history.kept_bodies()
    if missing:
        yield f"{len(missing)} posts that were answered with 200 are gone"
    for fingerprint, told in history.told_firing().items():
        episodes = (
            history.one("SELECT sum(1 + repeats) FROM episodes WHERE fingerprint = ?", fingerprint) or 0
        )
        stale = history.one(
            "SELECT count(*) FROM events v JOIN episodes e ON e.id = v.episode"
            " WHERE v.kind = 'episode.stale' AND e.fingerprint = ?",
            fingerprint,
        )
        if episodes + stale < told:
            yield f"{fingerprint} was told to fire {told} times, and {episodes + stale} were taken in"


# Law 2: once per episode.


@after_commit
def law_2_one_run_at_a_time(history: History, commit: Commit) -> Problems:
    for event in _of(commit, "run.created"):
        others = history.one(
            "SELECT count(*) FROM runs WHERE rule = ? AND target = ? AND final = 0", event.rule, event.target
        )
        if others > 1:
            yield f"{others} runs of {event.rule} on {event.target} are under way"


@after_commit
def law_2_one_run_for_an_episode(history: History, commit: Commit) -> Problems:
    for event in _of(commit, "run.created"):
        runs = history.one(
            "SELECT count(*) FROM runs WHERE rule = ? AND episode = ?", event.rule, event.episode
        )
        if runs > 1:
            yield f"episode {event.episode} has {runs} runs of {event.rule}"


@after_commit
def law_2_a_burst_is_one_run(history: History, commit: Commit) -> Problems:
    """What began before a run of ours ended is covered by that run."""
    for event in _of(commit, "run.created"):
        covering = history.one(
            "SELECT r.id FROM runs r JOIN episodes e ON e.id = ? WHERE r.rule = ? AND r.target = ?"
            " AND r.id <> ? AND r.final = 1 AND r.started_at IS NOT NULL AND e.starts_at <= r.ended_at",
            event.episode,
            event.rule,
            event.target,
            event.run,
        )
        if covering is not None:
            yield f"{event.run} was begun for episode {event.episode}, which began before {covering} ended"


@after_commit
def law_2_what_a_run_covers_joins_it(history: History, commit: Commit) -> Problems:
    """An alert that began before a run ended is no relapse, however late it is told of."""
    for event in _of(commit, "decision.made"):
        if event.data["reason"] != "cooldown":
            continue
        covering = history.one(
            "SELECT r.id FROM runs r JOIN episodes e ON e.id = ? WHERE r.rule = ? AND r.target = ?"
            " AND r.final = 1 AND r.started_at IS NOT NULL AND e.starts_at <= r.ended_at",
            event.episode,
            event.rule,
            event.target,
        )
        if covering is not None:
            yield f"episode {event.episode} counts as a relapse, and began before {covering} ended"


@after_commit
def law_2_one_open_episode(history: History, commit: Commit) -> Problems:
    for event in _of(commit, "episode.opened", "episode.refired"):
        count = history.one(
            "SELECT count(*) FROM episodes e JOIN episodes n ON n.source = e.source"
            " AND n.fingerprint = e.fingerprint WHERE n.id = ? AND e.closed IS NULL",
            event.episode,
        )
        if count > 1:
            yield f"{count} episodes of one alert are open"


@after_commit
def law_2_a_count_is_reached_within_its_window(history: History, commit: Commit) -> Problems:
    """A run of a rule that counts is begun for one of enough alerts, which no other run or rule has had."""
    for event in _of(commit, "run.created"):
        if event.rule != COUNTING:
            continue
        together = history.rows(
            "SELECT DISTINCT o.fingerprint, o.first_seen FROM episodes e JOIN episodes o"
            " ON json_extract(o.labels, '$.alertname') = json_extract(e.labels, '$.alertname')"
            " AND json_extract(o.labels, '$.job') = json_extract(e.labels, '$.job')"
            " AND abs(o.first_seen - e.first_seen) < ? WHERE e.id = ?"
            " AND NOT EXISTS (SELECT 1 FROM run_episodes j JOIN runs r ON r.id = j.run"
            " WHERE j.episode = o.id AND r.rule = ? AND r.id <> ?)"
            " AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.episode = o.id AND d.rule = 'few-page')",
            WITHIN * _SECOND,
            event.episode,
            COUNTING,
            event.run,
        )
        alerts = len({fingerprint for fingerprint, _ in together})
        if alerts < AT_LEAST:
            yield f"{event.run} was begun for {alerts} alerts, and its rule asks for {AT_LEAST}"


@after_commit
def law_2_who_goes_on_was_not_enough(history: History, commit: Commit) -> Problems:
    """An alert goes on to the next rule once its window is over, and not before."""
    for event in _of(commit, "decision.made"):
        if event.rule == "few-page" and event.data["reason"] == "page_only":
            seen = history.one("SELECT first_seen FROM episodes WHERE id = ?", event.episode)
            if commit.now - seen < WITHIN * _SECOND:
                waited = (commit.now - seen) / _SECOND
                yield f"episode {event.episode} went on after {waited:.1f} s of {WITHIN}"


# Law 3: only firing alerts act.


@after_commit
def law_3_only_firing_alerts_act(history: History, commit: Commit) -> Problems:
    for event in _of(commit, "run.created"):
        if history.one("SELECT closed FROM episodes WHERE id = ?", event.episode) is not None:
            yield f"{event.run} was begun for episode {event.episode}, which has ended"
    for event in _of(commit, "attempt.intended"):
        first = history.one("SELECT count(*) FROM attempts WHERE run = ?", event.run) == 1
        if first and not _open_episodes(history, event.run):
            yield f"{event.run} means to act, and every alert of it has resolved"
    for event in _of(commit, "run.cancelled"):
        if _open_episodes(history, event.run):
            yield f"{event.run} was cancelled while an alert of it fires"


def _open_episodes(history: History, run: str | None) -> Any:
    return history.one(
        "SELECT count(*) FROM run_episodes j JOIN episodes e ON e.id = j.episode"
        " WHERE j.run = ? AND e.closed IS NULL",
        run,
    )


# Law 4: intent before act, proof after.


@after_write
def law_4_an_intent_precedes_each_change(history: History, write: Write) -> Problems:
    if write.attempt is None:
        return
    rows = history.rows("SELECT outcome FROM attempts WHERE id = ?", write.attempt)
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
    for event in _of(commit, "attempt.succeeded", "attempt.failed"):
        attempt = event.data.get("attempt")
        happened = event.kind == "attempt.succeeded"
        if attempt is not None and (attempt in history.applied) is not happened:
            yield f"{attempt} is said to have {event.kind.partition('.')[2]}, which is not true"


@after_commit
def law_4_unknown_quarantines(history: History, commit: Commit) -> Problems:
    for event in _of(commit, "run.unknown"):
        if history.one("SELECT run FROM quarantines WHERE target = ?", event.target) != event.run:
            yield f"{event.run} ended as unknown, and {event.target} is not quarantined by it"
    for event in _of(commit, "attempt.intended"):
        held = history.one("SELECT run FROM quarantines WHERE target = ?", event.target)
        if held is not None:
            yield f"{event.run} means to act on {event.target}, which {held} has in quarantine"


@after_commit
def law_4_doubt_is_cleared_before_others_act(history: History, commit: Commit) -> Problems:
    for event in _of(commit, "attempt.intended"):
        other = history.one(
            "SELECT a.id FROM attempts a JOIN runs r ON r.id = a.run WHERE a.outcome IS NULL AND r.final = 0"
            " AND r.target = ? AND r.id <> ?",
            event.target,
            event.run,
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
        token = history.one("SELECT token FROM attempts WHERE id = ?", write.attempt)
        if token is not None and token < highest:
            yield f"{write.attempt} was let in with token {token}, and {highest} had been stamped"


# Law 6: fail closed.


@after_commit
def law_6_errors_lead_to_no_action(history: History, commit: Commit) -> Problems:
    """A run is decided only by facts that its replica's checks truly answered, as the rule expects."""
    for event in _of(commit, "run.created"):
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
    first = {event.run for event in _first_intents(history, commit)}
    for event in _of(commit, "attempt.intended"):
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
        if stopping.intersection(pauses):
            yield f"{event.run} means to act although it is paused"


@after_commit
def law_7_cooldown(history: History, commit: Commit) -> Problems:
    for event in _first_intents(history, commit):
        ended = history.one(
            "SELECT max(ended_at) FROM runs WHERE rule = ? AND target = ? AND id <> ?"
            " AND started_at IS NOT NULL",
            event.rule,
            event.target,
            event.run,
        )
        if ended is not None and commit.now - ended < history.limits.cooldown:
            ago = (commit.now - ended) / _SECOND
            yield f"{event.run} means to act {ago:.0f} s after the last run of {event.rule} on {event.target}"


@after_commit
def law_7_rates(history: History, commit: Commit) -> Problems:
    for event in _first_intents(history, commit):
        if event.rule == "full-scale":
            since = commit.now - RATE[1] * _SECOND
            taken = history.one(
                "SELECT count(*) FROM slots WHERE rule = ? AND target = ? AND taken_at > ?",
                event.rule,
                event.target,
                since,
            )
            if taken > RATE[0]:
                yield f"{taken} runs of {event.rule} on {event.target} within {RATE[1]} s"
        if event.rule == "slow-restart":
            since = commit.now - TARGETS[1] * _SECOND
            taken = history.one(
                "SELECT count(DISTINCT target) FROM slots WHERE rule = ? AND taken_at > ?", event.rule, since
            )
            if taken > TARGETS[0]:
                yield f"{taken} targets of {event.rule} within {TARGETS[1]} s"


@after_commit
def law_7_no_intent_in_a_freeze(history: History, commit: Commit) -> Problems:
    freeze = history.limits.freeze
    for event in _first_intents(history, commit):
        name = str(event.target).rpartition("/")[2]
        if freeze and freeze[0] <= commit.now < freeze[1] and name in FROZEN:
            yield f"{event.run} means to act on {event.target}, which may not be changed now"


@after_commit
def law_7_no_intent_unapproved(history: History, commit: Commit) -> Problems:
    for event in _first_intents(history, commit):
        latest = "SELECT settled FROM approvals WHERE run = ? ORDER BY number DESC LIMIT 1"
        if event.rule == "stuck-asks" and history.one(latest, event.run) != "granted":
            yield f"{event.run} means to act, and nobody has approved it"


@after_commit
def law_7_who_waits_for_a_person_takes_no_slot(history: History, commit: Commit) -> Problems:
    for event in _of(commit, "run.asked"):
        if history.one("SELECT count(*) FROM slots WHERE run = ?", event.run):
            yield f"{event.run} asks a person and has a slot"


@after_commit
def law_7_slots_are_first_intents(history: History, commit: Commit) -> Problems:
    if any(_of(commit, "attempt.intended")):
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


def _first_intents(history: History, commit: Commit) -> Iterator[SeenEvent]:
    for event in _of(commit, "attempt.intended"):
        if history.one("SELECT count(*) FROM attempts WHERE run = ?", event.run) == 1:
            yield event


# Law 8: the brake.


@after_commit
def law_8_no_more_than_so_many_in_parallel(history: History, commit: Commit) -> Problems:
    if any(_first_intents(history, commit)):
        acting = history.one("SELECT count(*) FROM runs WHERE final = 0 AND started_at IS NOT NULL")
        if acting > history.limits.parallel:
            yield f"{acting} runs act at once, and {history.limits.parallel} may"


@after_commit
def law_8_no_more_than_a_share_of_a_namespace(history: History, commit: Commit) -> Problems:
    """Since its brake was last released no more distinct targets were acted on than the share allows."""
    share = history.limits.share
    if share is None or not any(_first_intents(history, commit)):
        return
    released = history.one(
        "SELECT max(coalesce(lifted_at, until)) FROM pauses WHERE brake IS NOT NULL AND value = ?"
        " AND (lifted_at IS NOT NULL OR until <= ?)",
        f"namespace/{SHOP}",
        commit.now,
    )
    since = max(commit.now - SHARE_WINDOW * _SECOND, released or 0)
    begun = history.rows(
        "SELECT DISTINCT target FROM slots WHERE taken_at > ? AND target LIKE ?",
        since,
        f"deployment/{SHOP}/%",
    )
    if len(begun) > share:
        yield f"runs began on {begun}, and the share is {share}"


# Law 9: success is verified.


@after_commit
def law_9_success_is_proven(history: History, commit: Commit) -> Problems:
    for event in _of(commit, "run.succeeded"):
        for check, stable_for in _PROOFS[str(event.rule)].items():
            since = history.good_since(commit.who, check, str(event.target))
            if since is None:
                yield f"{event.run} is said to have succeeded, and {check} did not say yes"
            elif history.last_look_at(commit.who, check, str(event.target)) - since < stable_for:
                yield f"{event.run} is said to have succeeded, and {check} says yes only since {since:.1f}"


@after_commit
def law_9_on_failure_follows_proof_alone(history: History, commit: Commit) -> Problems:
    for event in _of(commit, "run.falling_back", "run.failed"):
        proven = [
            earlier.kind
            for earlier in history.events
            if earlier.run == event.run and earlier.kind in ("run.disproven", "step.failed", "attempt.failed")
        ]
        blind = str(event.data.get("detail", "")).startswith("not begun")
        if not proven and not blind:
            yield f"{event.run} {event.kind}, and nothing proves that it failed"
    for event in _of(commit, "run.disproven"):
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
}


# Law 11: nothing surprises.


@after_write
def law_11_only_what_is_live_acts(history: History, write: Write) -> Problems:
    if write.attempt is not None:
        mode = history.one("SELECT mode FROM runs WHERE id = ?", write.attempt.partition("/")[0])
        if mode != 2:
            yield f"{write.attempt} was applied by a run that is not live"


@at_end
def law_11_each_run_is_reported(history: History) -> Problems:
    told = {envelope.notice.run for _, envelope in history.delivered if envelope.notice.final}
    for run, state in history.rows("SELECT id, state FROM runs WHERE final = 1"):
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
        "SELECT d.rule, d.reason, count(*) FROM decisions d WHERE d.final = 1 AND d.kind = 'skip'"
        " AND d.reason NOT IN ('superseded', 'brake')"
        " AND NOT (d.reason = 'no_rule' AND EXISTS (SELECT 1 FROM decisions o"
        " WHERE o.episode = d.episode AND o.final = 1 AND o.id <> d.id)) GROUP BY d.rule, d.reason"
    )
    made += history.rows(
        "SELECT d.rule, d.reason, count(*) FROM decisions d JOIN runs r ON r.id = d.run WHERE d.kind = 'join'"
        " AND d.reason = 'joined_late' AND r.state NOT IN ('succeeded', 'observed') GROUP BY d.rule, d.reason"
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
    for attempt, outcome in history.rows("SELECT id, outcome FROM attempts"):
        happened = attempt in history.applied
        if outcome == "succeeded" and not happened:
            yield f"{attempt} succeeded and was never applied"
        if outcome == "failed" and happened:
            yield f"{attempt} failed and was applied"
