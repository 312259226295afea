"""Pauses that nothing ends: people are reminded of them, once for all replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.core.guards import Pause, PauseScope
from remediator.core.ids import Owner
from remediator.core.notices import Lane
from remediator.engine.parts import EngineParts
from remediator.engine.pauses import PausesLoop, tell_reminder
from tests.support.rulebooks import rule, rules
from tests.unit.engine.parts import Parts, engine_parts

HERE = rules(rule(mode="observe", report=["slack:#cart"]), rule("other"))


def always_due(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let so many reminders be due of every pause."""
    count = [0]
    monkeypatch.setattr("remediator.engine.pauses.reminders_due", lambda _pause, _now: count[0])
    return lambda now: count.__setitem__(0, now)


async def told(parts: Parts) -> list[tuple[str, str]]:
    """Channel and title of what is unsent; then it is sent."""
    found = []
    while items := await parts.store.due_envelopes(Lane.REPORTS, 9, timedelta(0)):
        for item in items:
            found.append((item.envelope.channel, item.envelope.notice.title))
            await parts.store.sent(item, "")
    return sorted(found)


async def test_people_are_reminded_once_by_all_replicas_and_again_when_it_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = always_due(monkeypatch)
    async with engine_parts(tmp_path, text=HERE) as parts:
        await parts.store.pause(PauseScope.ALL, "", "storm", "kim", None, "night")
        loops = [PausesLoop(parts.engine), PausesLoop(replace_owner(parts.engine))]
        for now in (0, 1, 1, 4, 4, 5):
            due(now)
            for loop in loops:
                await loop.work()
        assert await told(parts) == [("slack:#incidents", "Still paused: everything")]
        due(6)
        for loop in loops:
            await loop.work()
        assert await told(parts) == [("slack:#incidents", "Still paused: everything")]
        (pause,) = await parts.store.pauses()
        assert pause.reminded == 6
        assert await parts.store.lift(pause.id, "over", "kim") is not None
        due(7)
        await loops[0].work()
        assert await told(parts) == []


def replace_owner(parts: EngineParts) -> EngineParts:
    """Another replica on the same ledger."""
    return replace(parts, owner=Owner("peer"))


async def test_a_pause_of_a_rule_is_told_where_the_rule_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    always_due(monkeypatch)(1)
    async with engine_parts(tmp_path, text=HERE) as parts:
        await parts.store.pause(PauseScope.RULE, "rollback", "odd", "kim", None)
        await PausesLoop(parts.engine).work()
        assert await told(parts) == [("slack:#cart", "Still paused: rule rollback")]


async def test_a_reminder_says_who_since_when_why_and_how_to_lift_that_one(tmp_path: Path) -> None:
    async with engine_parts(tmp_path, text=HERE) as parts:
        made = await parts.store.pause(PauseScope.ALL, "", "storm", "kim", None, "night")
        (envelope,) = tell_reminder(made, parts.engine.audience(parts.engine.rulebooks.active.rulebook, None))
        fields = dict(envelope.notice.fields)
        assert fields["Paused by"] == "kim (night)"
        assert fields["Since"] == f"{made.at:%Y-%m-%d %H:%M} UTC"
        assert "storm" in envelope.notice.summary
        assert envelope.notice.commands == (f"remediator resume --id {made.id} --why '...'",)
        assert isinstance(made, Pause)
