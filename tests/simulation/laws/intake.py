"""Laws 1 to 3: what came in is kept, decided once, and acted on only while it fires."""

from __future__ import annotations

from typing import Any

from tests.simulation.laws.registry import SECOND, Problems, after_commit, at_end, of
from tests.simulation.rulebook import AT_LEAST, COUNTING, WITHIN
from tests.simulation.seen import Commit, History

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
            history.one("SELECT sum(1 + repeats) FROM all_episodes WHERE fingerprint = ?", fingerprint) or 0
        )
        stale = history.one(
            "SELECT count(*) FROM all_events v JOIN all_episodes e ON e.id = v.episode"
            " WHERE v.kind = 'episode.stale' AND e.fingerprint = ?",
            fingerprint,
        )
        if episodes + stale < told:
            yield f"{fingerprint} was told to fire {told} times, and {episodes + stale} were taken in"


# Law 2: once per episode.


@after_commit
def law_2_one_run_at_a_time(history: History, commit: Commit) -> Problems:
    for event in of(commit, "run.created"):
        others = history.one(
            "SELECT count(*) FROM runs WHERE rule = ? AND target = ? AND final = 0", event.rule, event.target
        )
        if others > 1:
            yield f"{others} runs of {event.rule} on {event.target} are under way"


@after_commit
def law_2_one_run_for_an_episode(history: History, commit: Commit) -> Problems:
    for event in of(commit, "run.created"):
        runs = history.one(
            "SELECT count(*) FROM all_runs WHERE rule = ? AND episode = ?", event.rule, event.episode
        )
        if runs > 1:
            yield f"episode {event.episode} has {runs} runs of {event.rule}"


@after_commit
def law_2_a_burst_is_one_run(history: History, commit: Commit) -> Problems:
    """What began before a run of ours ended is covered by that run, for as long as that is known."""
    for event in of(commit, "run.created"):
        covering = history.one(
            "SELECT r.id FROM all_runs r JOIN all_episodes e ON e.id = ? WHERE r.rule = ? AND r.target = ?"
            " AND r.id <> ? AND r.final = 1 AND r.started_at IS NOT NULL AND e.starts_at <= r.ended_at"
            " AND r.ended_at >= ?",
            event.episode,
            event.rule,
            event.target,
            event.run,
            commit.now - history.limits.kept,
        )
        if covering is not None:
            yield f"{event.run} was begun for episode {event.episode}, which began before {covering} ended"


@after_commit
def law_2_what_a_run_covers_joins_it(history: History, commit: Commit) -> Problems:
    """An alert that began before a run ended is no relapse, however late it is told of."""
    for event in of(commit, "decision.made"):
        if event.data["reason"] != "cooldown":
            continue
        covering = history.one(
            "SELECT r.id FROM all_runs r JOIN all_episodes e ON e.id = ? WHERE r.rule = ? AND r.target = ?"
            " AND r.final = 1 AND r.started_at IS NOT NULL AND e.starts_at <= r.ended_at",
            event.episode,
            event.rule,
            event.target,
        )
        if covering is not None:
            yield f"episode {event.episode} counts as a relapse, and began before {covering} ended"


@after_commit
def law_2_one_open_episode(history: History, commit: Commit) -> Problems:
    for event in of(commit, "episode.opened", "episode.refired"):
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
    for event in of(commit, "run.created"):
        if event.rule != COUNTING:
            continue
        together = history.rows(
            "SELECT DISTINCT o.fingerprint, o.first_seen FROM all_episodes e JOIN all_episodes o"
            " ON json_extract(o.labels, '$.alertname') = json_extract(e.labels, '$.alertname')"
            " AND json_extract(o.labels, '$.job') = json_extract(e.labels, '$.job')"
            " AND abs(o.first_seen - e.first_seen) < ? WHERE e.id = ?"
            " AND NOT EXISTS (SELECT 1 FROM all_run_episodes j JOIN all_runs r ON r.id = j.run"
            " WHERE j.episode = o.id AND r.rule = ? AND r.id <> ?)"
            " AND NOT EXISTS (SELECT 1 FROM all_decisions d WHERE d.episode = o.id AND d.rule = 'few-page')",
            WITHIN * SECOND,
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
    for event in of(commit, "decision.made"):
        if event.rule == "few-page" and event.data["reason"] == "page_only":
            seen = history.one("SELECT first_seen FROM episodes WHERE id = ?", event.episode)
            if commit.now - seen < WITHIN * SECOND:
                waited = (commit.now - seen) / SECOND
                yield f"episode {event.episode} went on after {waited:.1f} s of {WITHIN}"


# Law 3: only firing alerts act.


@after_commit
def law_3_only_firing_alerts_act(history: History, commit: Commit) -> Problems:
    for event in of(commit, "run.created"):
        if history.one("SELECT closed FROM episodes WHERE id = ?", event.episode) is not None:
            yield f"{event.run} was begun for episode {event.episode}, which has ended"
    for event in of(commit, "attempt.intended"):
        first = history.one("SELECT count(*) FROM attempts WHERE run = ?", event.run) == 1
        if first and not _open_episodes(history, event.run):
            yield f"{event.run} means to act, and every alert of it has resolved"
    for event in of(commit, "run.cancelled"):
        if _open_episodes(history, event.run):
            yield f"{event.run} was cancelled while an alert of it fires"


def _open_episodes(history: History, run: str | None) -> Any:
    return history.one(
        "SELECT count(*) FROM run_episodes j JOIN episodes e ON e.id = j.episode"
        " WHERE j.run = ? AND e.closed IS NULL",
        run,
    )
