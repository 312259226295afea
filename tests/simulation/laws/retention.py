"""What is dropped from the ledger was needed by nothing: no guard, no open alert, run, page or notice."""

from __future__ import annotations

from tests.simulation.laws.registry import SECOND, Problems, after_commit
from tests.simulation.rulebook import BODIES, DECISIONS, EVENTS
from tests.simulation.seen import Commit, History


@after_commit
def retention_drops_nothing_young(history: History, commit: Commit) -> Problems:
    """A limit looks back no further than its rows are kept, counted from their ends."""
    if commit.name == "prune":
        for table, (since, seconds) in _KEPT.items():
            young = f"SELECT {since}, * FROM dropped_{table} d WHERE d.fresh AND {since} >= ?"
            for at, *row in history.rows(young, commit.now - seconds * SECOND):
                yield f"{table} lost {row[:4]} after {(commit.now - at) / SECOND:.0f} s of {seconds}"


@after_commit
def retention_keeps_what_is_needed(history: History, commit: Commit) -> Problems:
    if commit.name == "prune":
        for what, statement in _NEEDED.items():
            lost = history.rows(statement, *[commit.now] * statement.count("?"))
            if lost:
                yield f"lost: {what}: {lost}"


#: Since when a row of each table counts as old, and for how many seconds it is kept then.
_KEPT = {
    "webhooks": ("d.taken_at", BODIES),
    "events": ("d.at", EVENTS),
    "outbox": ("d.ended_at", EVENTS),
    "decisions": ("d.at", DECISIONS),
    "runs": ("d.ended_at", DECISIONS),
    "episodes": ("d.closed_at", DECISIONS),
    "slots": ("(SELECT r.ended_at FROM all_runs r WHERE r.id = d.run)", DECISIONS),
    "pages": ("d.over_at", DECISIONS),
    "pauses": ("coalesce(d.lifted_at, d.until)", DECISIONS),
}
_OPEN_RUN = (
    "(r.final = 0 OR EXISTS (SELECT 1 FROM quarantines q WHERE q.run = r.id)"
    " OR EXISTS (SELECT 1 FROM pages p WHERE p.run = r.id AND p.over_at IS NULL)"
    " OR EXISTS (SELECT 1 FROM outbox o WHERE o.thread = 'run:' || r.id AND o.state = 'unsent')"
    " OR EXISTS (SELECT 1 FROM all_run_episodes j JOIN all_episodes e ON e.id = j.episode"
    " WHERE j.run = r.id AND e.closed IS NULL))"
)
_OPEN_EPISODE = "(e.closed IS NULL OR e.due_at IS NOT NULL)"
_NEEDED = {
    "webhooks not taken apart": "SELECT id FROM dropped_webhooks WHERE fresh AND taken_at IS NULL",
    "open alerts": f"SELECT e.id FROM dropped_episodes e WHERE e.fresh AND {_OPEN_EPISODE}",
    "what open alerts were decided on": (
        "SELECT d.id, d.episode FROM dropped_decisions d JOIN all_episodes e ON e.id = d.episode"
        f" WHERE d.fresh AND {_OPEN_EPISODE}"
    ),
    "runs that somebody waits for": f"SELECT r.id, r.state FROM dropped_runs r WHERE r.fresh AND {_OPEN_RUN}",
    "what runs that somebody waits for did": (
        f"SELECT a.id FROM dropped_attempts a JOIN all_runs r ON r.id = a.run WHERE a.fresh AND {_OPEN_RUN}"
    ),
    "slots of runs that are kept": (
        "SELECT s.run FROM dropped_slots s JOIN runs r ON r.id = s.run WHERE s.fresh"
    ),
    "what unfinished runs have been through": (
        "SELECT v.id, v.run FROM dropped_events v JOIN all_runs r ON r.id = v.run"
        " WHERE v.fresh AND (r.final = 0 OR EXISTS (SELECT 1 FROM quarantines q WHERE q.run = r.id))"
    ),
    "notices that are not sent": "SELECT id, thread FROM dropped_outbox WHERE fresh AND state = 'unsent'",
    "open pages": "SELECT id, thread FROM dropped_pages WHERE fresh AND over_at IS NULL",
    "pauses in force": (
        "SELECT id, scope, value FROM dropped_pauses WHERE fresh AND lifted_at IS NULL"
        " AND (until IS NULL OR until > ?)"
    ),
}
