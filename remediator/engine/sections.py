"""Critical sections: what must not be left half done a pause waits for, and people are told at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog

from remediator.core.events import EventKind
from remediator.core.guards import Pause
from remediator.core.ports.store import StoreError, Topic
from remediator.core.rules import Rule, Step
from remediator.core.runs import Outcome, Phase
from remediator.engine.asking import Guards
from remediator.engine.journal import Journal
from remediator.engine.parts import EngineParts
from remediator.engine.telling import tell_waiting_pause

_log = structlog.get_logger(__name__)
#: How soon a pause is noticed that the ledger did not wake us for.
_LOOK = timedelta(seconds=1)


class Sections:
    """The critical sections of one run: its critical actions, as far as they follow each other.

    One has begun once the first of them is done, and whatever became of it is in the ledger: who takes a run
    over is in the same section.
    """

    def __init__(self, parts: EngineParts, journal: Journal, rule: Rule, guards: Guards) -> None:
        self._parts = parts
        self._journal = journal
        self._rule = rule
        self._guards = guards
        named = {step.action for step in (*rule.steps, *rule.on_failure)} & parts.actions.keys()
        self._critical = {name for name in named if parts.actions[name].spec.critical}

    def holds(self, step: Step) -> bool:
        """Whether a section has begun that this step is a part of: it goes on although it is paused."""
        if step.action not in self._critical:
            return False
        for attempt in reversed(self._journal.story.attempts):
            if attempt.action not in self._critical:
                break
            if attempt.outcome is Outcome.SUCCEEDED:
                return True
        return False

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Tell people at once of each pause that has to wait while the run is within a section."""
        if not self._critical:
            yield
            return
        watching = asyncio.create_task(self._watch(), name=f"pauses of {self._journal.run.id}")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                if self._is_inside():
                    await self._tell()
                await self._parts.store.wait(Topic.BRAKE, _LOOK)
            except StoreError as error:
                _log.error("pauses not seen", run=self._journal.run.id, error=str(error))
                await asyncio.sleep(_LOOK.total_seconds())

    def _is_inside(self) -> bool:
        """Whether a critical step is being done, or has to be done before anything may stop."""
        attempts = self._journal.story.attempts
        if not attempts or attempts[-1].action not in self._critical:
            return False
        following = self._following()
        return attempts[-1].outcome is None or (following is not None and self.holds(following))

    def _following(self) -> Step | None:
        run = self._journal.run
        falls_back = run.broken and run.phase is Phase.STEPS
        steps = self._rule.steps if run.phase is Phase.STEPS and not falls_back else self._rule.on_failure
        position = 0 if falls_back else run.position
        return steps[position] if position < len(steps) else None

    async def _tell(self) -> None:
        story, store = self._journal.story, self._parts.store
        told = {each.data.get("pause") for each in story.events if each.kind is EventKind.RUN_PAUSE_WAITS}
        question = self._guards.request(story.run).question
        now = await store.now()
        for pause in await store.pauses():
            if (
                pause.brake is None
                and pause.id not in told
                and pause.covers(question.names, question.places, now)
            ):
                _log.warning("a pause waits for a critical section", run=story.run.id, pause=pause.id)
                event = self._journal.event(EventKind.RUN_PAUSE_WAITS, now, _said(pause), {"pause": pause.id})
                await store.post(tell_waiting_pause(story, pause), [event])
                self._journal.add(event)


def _said(pause: Pause) -> str:
    return f"by {pause.by} ({pause.why}), until its critical section is over"
