"""The proof: checks asked until they all say yes for long enough, or the time is over (law 9)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from remediator.core.checks import Concerned, Fact, Said, lines
from remediator.core.durations import format_duration
from remediator.core.ports.store import Store
from remediator.core.rules import Verify
from remediator.core.runs import Run
from remediator.engine.facts import Facts

_SHORTEST_LOOK, _LONGEST_LOOK = 0.2, 2.0


class Proven(StrEnum):
    """What the proof came to. ``parked`` says that we were asked to stop before it came to anything."""

    PROVEN = "proven"
    DISPROVEN = "disproven"
    UNPROVEN = "unproven"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with the last answers that led to it."""

    verdict: Proven
    detail: str


class Proof:
    """Watches one run's proof. ``told`` is called with each check's answer when it changes."""

    def __init__(self, store: Store, facts: Facts, told: Callable[[Fact], Awaitable[None]]) -> None:
        self._store = store
        self._facts = facts
        self._told = told
        self._last: dict[int, Said] = {}

    async def watch(
        self,
        run: Run,
        verify: Verify,
        episodes: Concerned,
        values: dict[str, object],
        stopping: asyncio.Event,
    ) -> Finding:
        """Ask until proven or until ``within`` or the run's deadline is over."""
        began = run.verifying_since or await self._store.now()
        until = min(began + verify.within, run.deadline_at)
        pace = min(max(verify.within.total_seconds() / 50, _SHORTEST_LOOK), _LONGEST_LOOK)
        good_since: datetime | None = None
        while not stopping.is_set():
            looked_at = await self._store.now()
            facts = await self._facts.look_at_all(verify.checks, run.target, episodes, values)
            await self._tell_changes(facts)
            good = bool(facts) and all(fact.holds for fact in facts)
            now = await self._store.now()
            # What a look saw held at some moment of it: time that the first one took proves nothing.
            good_since = (good_since or now) if good else None
            stable = good_since is not None and looked_at - good_since >= verify.stable_for
            if good and (stable or not verify.stable_for):
                return Finding(Proven.PROVEN, _proven(facts, verify.stable_for))
            if now >= until:
                return _at_the_end(facts, verify, good=good)
            await _pause(min(pace, (until - now).total_seconds()), stopping)
        return Finding(Proven.PARKED, "")

    async def _tell_changes(self, facts: Sequence[Fact]) -> None:
        for position, fact in enumerate(facts):
            if self._last.get(position) is not fact.answer.said:
                self._last[position] = fact.answer.said
                await self._told(fact)


async def _pause(seconds: float, stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


def _at_the_end(facts: Sequence[Fact], verify: Verify, *, good: bool) -> Finding:
    """An error is missing evidence and hides whatever the others say; else a wrong answer disproves."""
    within = format_duration(verify.within)
    if not facts:
        return Finding(Proven.UNPROVEN, "the rule names no check that could prove the repair")
    errors = [fact for fact in facts if fact.answer.said is Said.ERROR]
    if errors:
        return Finding(Proven.UNPROVEN, f"not answered within {within}: {lines(errors)}")
    if good:
        stable = format_duration(verify.stable_for)
        return Finding(Proven.UNPROVEN, f"good, but not for {stable} before {within} were over")
    wrong = [fact for fact in facts if not fact.holds]
    return Finding(Proven.DISPROVEN, f"not repaired within {within}: {lines(wrong)}")


def _proven(facts: Sequence[Fact], stable_for: timedelta) -> str:
    stable = f", stable for {format_duration(stable_for)}" if stable_for else ""
    return f"{lines(facts)}{stable}"
