"""Retention that takes what is needed still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from remediator.core.retention import Shelf
from remediator.store.common.pruning import PLANS, Plan
from tests.simulation.bugs.bug import Bug, laws


def _forgetting(shelf: Shelf, needed: str) -> Mapping[Shelf, Plan]:
    """The plans, of which one forgets a reason to keep a row."""
    plan = PLANS[shelf]
    assert needed in plan.look
    return {**PLANS, shelf: replace(plan, look=plan.look.replace(needed, "1 = 0"))}


BUGS: Sequence[Bug] = (
    Bug(
        "cooldowns pruned",
        "a run is dropped by when it began, and with it what its cooldown starts from",
        laws("retention_drops_nothing_young", "law_7_cooldown"),
        {"remediator.store.sqlite.pruning.PLANS": _forgetting(Shelf.RUNS, "r.ended_at >= :before")},
    ),
    Bug(
        "open alerts pruned",
        "a run is dropped although its alert fires, which is then decided on again",
        laws("retention_keeps_what_is_needed", "law_2_one_run_for_an_episode"),
        {"remediator.store.sqlite.pruning.PLANS": _forgetting(Shelf.RUNS, "e.closed IS NULL")},
    ),
    Bug(
        "unsent notices pruned",
        "a notice is dropped although its channel never had it",
        laws("retention_keeps_what_is_needed", "law_11_each_run_is_reported"),
        {"remediator.store.sqlite.pruning.PLANS": _forgetting(Shelf.MESSAGES, "o.state = 'unsent'")},
    ),
)
