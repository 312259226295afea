"""Counts what has happened, by what the ledger and the cluster show of it."""

from __future__ import annotations

from collections import Counter

from tests.simulation.diary import Diary
from tests.simulation.seen import Commit, History, SeenEvent

_BY_KIND = {
    "attempt.taken_over": "takeovers",
    "episode.refired": "episodes that refired",
    "run.asked": "requests to people",
    "run.approved": "approved",
    "run.denied": "denied",
    "run.lapsed": "unanswered",
    "run.created": "runs",
    "run.joined": "joins",
    "run.falling_back": "fallbacks",
    "run.succeeded": "succeeded",
    "run.failed": "failed",
    "run.unknown": "unknown",
    "run.cancelled": "cancelled",
    "run.observed": "observed",
    "run.expired": "expired",
    "lease.preempted": "leases preempted",
    "run.preempted": "runs that gave way",
    "run.pause_waits": "pauses that waited for a critical section",
    "run.refused": "refused",
    "episode.stale": "stale alerts",
    "automation.paused": "pauses by a person",
    "brake.engaged": "brakes engaged for a share",
}
_BY_REASON = {
    "parallel": "waits for a place",
    "cooldown": "cooldowns",
    "count": "waits for further alerts",
    "rate": "rates",
    "targets": "targets",
    "frozen": "freezes",
    "fact_error": "facts in error",
    "paused": "stopped by a pause of a person",
}


_DROPPED = {
    "webhooks": "bodies dropped",
    "events": "events dropped",
    "runs": "runs dropped",
    "episodes": "episodes dropped",
    "pauses": "pauses dropped",
}


def count_commit(diary: Diary, commit: Commit, history: History) -> None:
    """Count what a commit's events tell of, what it has dropped, and leases side by side."""
    if commit.name == "acquire":
        held = Counter(lease.target for lease in commit.leases)
        diary.count("leases shared", sum(1 for times in held.values() if times > 1))
    if commit.name == "prune":
        for table, what in _DROPPED.items():
            diary.count(what, history.one(f"SELECT count(*) FROM dropped_{table} WHERE fresh"))
    for event in commit.events:
        for what in _told_by(event):
            diary.count(what)


def _told_by(event: SeenEvent) -> list[str]:
    detail = str(event.data.get("detail", ""))
    found = [_BY_KIND[event.kind]] if event.kind in _BY_KIND else []
    if event.kind == "decision.made":
        found += [_BY_REASON[reason] for reason in [event.data["reason"]] if reason in _BY_REASON]
        if detail.endswith("on to the next rule"):
            found.append("too few alerts")
    elif event.kind == "attempt.succeeded" and detail.startswith("it did happen"):
        found.append("probes: it happened")
    elif event.kind == "attempt.failed" and detail.startswith("it did not happen"):
        found.append("probes: it did not happen")
    elif event.kind == "run.refused":
        found.append("refused by a guard at the intent")
    elif event.kind == "run.waiting" and detail.startswith("pause"):
        found.append("stopped by a pause of a person")
    elif event.kind == "target.cleared":
        proven = "probe of" in str(event.data.get("why")) or event.data.get("who") == "remediator"
        found.append("quarantines lifted by proof" if proven else "quarantines lifted by a person")
    return found
