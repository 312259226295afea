"""The values that the tests of the core turn one field of at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from remediator.core.alerts import Alert
from remediator.core.episodes import Episode
from remediator.core.guards import PastRun, Question
from remediator.core.ids import EpisodeId, RulebookHash, RunId
from remediator.core.rules import AlertTrigger, Limits, Mode, Rule, Rulebook, Step
from remediator.core.runs import Run, RunState
from remediator.core.targets import Target
from remediator.core.templates import target_template

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CART = Target("default", "deployment", "shop", "cart")
BOOK = RulebookHash("b" * 64)


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def firing(starts: float, *, fingerprint: str = "f1") -> Alert:
    return Alert("am", fingerprint, True, {"alertname": "Down"}, {}, after(starts))


def resolved(starts: float, ends: float | None, *, fingerprint: str = "f1") -> Alert:
    end = None if ends is None else after(ends)
    return Alert("am", fingerprint, False, {"alertname": "Down"}, {}, after(starts), end)


def episode(starts: float = 0, seen: float = 0) -> Episode:
    return Episode(
        EpisodeId(1), "am", "f1", {"alertname": "Down"}, {}, after(starts), after(seen), after(seen)
    )


def rule(
    name: str = "rollback",
    *,
    firing_for: float = 0,
    cooldown: float = 15,
    deadline: float = 15,
    steps: tuple[Step, ...] = (Step("undo", "kubernetes.rollout_undo"),),
    mode: Mode = Mode.LIVE,
) -> Rule:
    return Rule(
        name,
        AlertTrigger((), timedelta(minutes=firing_for)),
        target_template("deployment/shop/{{ labels.job }}"),
        summary="roll back",
        limits=Limits(timedelta(minutes=cooldown)),
        deadline=timedelta(minutes=deadline),
        steps=steps,
        mode=mode,
    )


def question(asked: Rule | None = None, *books: Rulebook, mode: Mode = Mode.LIVE) -> Question:
    asked = asked or rule()
    return Question(asked, CART, mode, books or (Rulebook(BOOK, (asked,)),))


def past(
    state: RunState = RunState.SUCCEEDED,
    *,
    ended: float | None = 0,
    acted: bool = True,
    mode: Mode = Mode.LIVE,
) -> PastRun:
    end = None if ended is None else after(ended)
    return PastRun(RunId("r-past"), state, mode, after(-30), end, acted)


def run(state: RunState = RunState.PENDING) -> Run:
    return Run(
        RunId("r-1"), "rollback", CART, "P1", Mode.LIVE, BOOK, EpisodeId(1), NOW, after(15), state=state
    )
