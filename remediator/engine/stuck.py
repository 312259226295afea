"""Stuck: runs that can't be taken on are left alone for a while, and ended once they are overdue.

A bug, a collaborator that breaks in a way nobody foresaw, a row that can't be read: whatever it is, it must
neither take the place of other runs nor keep one of them, and its target, in nobody's sight for ever.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from remediator.core.changes import RunRow
from remediator.core.ids import RunId
from remediator.core.notices import Call, Envelope, Notice, NoticeKind, Tone
from remediator.core.paging import page_envelopes
from remediator.core.ports.store import StoreError
from remediator.core.reasons import Reason
from remediator.core.runs import Run, RunState
from remediator.engine.journal import story_of
from remediator.engine.parts import EngineParts
from remediator.engine.telling import tell_run

_log = structlog.get_logger(__name__)
#: How long after its deadline a run is ended that nobody could end: longer than any look takes.
OVERDUE = timedelta(minutes=2)
#: How long a run is left alone after its first failure, and at most (seconds).
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@dataclass(slots=True)
class _Pause:
    length: float
    over_at: float


class Stuck:
    """The runs that one replica could not take on."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._pauses: dict[RunId, _Pause] = {}

    @property
    def left_alone(self) -> tuple[RunId, ...]:
        """The runs that are not to be taken up again yet."""
        now = asyncio.get_running_loop().time()
        # What has long been free to be taken up was taken up, or ended, by another replica.
        self._pauses = {
            run: pause for run, pause in self._pauses.items() if now < pause.over_at + _LONGEST_PAUSE
        }
        return tuple(run for run, pause in self._pauses.items() if now < pause.over_at)

    def went_on(self, run: RunId) -> None:
        """Note that there was nothing wrong with it, or is no longer."""
        self._pauses.pop(run, None)

    async def failed(self, run: RunId, why: str) -> None:
        """Leave it alone, longer each time; end it if it is overdue."""
        before = self._pauses.get(run)
        length = _FIRST_PAUSE if before is None else min(before.length * 2, _LONGEST_PAUSE)
        self._pauses[run] = _Pause(length, asyncio.get_running_loop().time() + length)
        await self.end_if_overdue(run, why)

    async def end_if_overdue(self, run: RunId, why: str) -> None:
        """End it, and call a person, if its deadline has long been over and nobody drives it."""
        detail = f"nobody could take it to its end in time: {why}"
        try:
            row = await self._row(run)
            if row is not None and await self._parts.store.now() < row.run.deadline_at + OVERDUE:
                return
            envelopes = self._envelopes(run, row, detail)
            if not await self._parts.store.abandon(run, OVERDUE, detail, envelopes):
                return
        except StoreError as error:
            _log.error("overdue run not ended", run=run, error=str(error))
            return
        self._pauses.pop(run, None)
        _log.error("overdue run ended", run=run, why=why)
        if row is not None:
            self._parts.metrics.run_ended(_abandoned(row.run, detail))

    async def _row(self, run: RunId) -> RunRow | None:
        """The run's story, if it can be read."""
        try:
            rows = await self._parts.store.run_row(run)
            return rows[0] if rows else None
        except StoreError:
            return None

    def _envelopes(self, run: RunId, row: RunRow | None, detail: str) -> tuple[Envelope, ...]:
        if row is not None:
            with suppress(Exception):  # whatever keeps it from being told as others are, somebody must come
                return self._told(row, detail)
        return self._generic(run, detail)

    def _told(self, row: RunRow, detail: str) -> tuple[Envelope, ...]:
        book = self._parts.rulebooks.active.rulebook
        rule = book.rule(row.run.rule)
        story = story_of(row, rule, self._parts.audience(book, rule))
        return tell_run(replace(story, run=_abandoned(row.run, detail)))

    def _generic(self, run: RunId, detail: str) -> tuple[Envelope, ...]:
        notice = Notice(
            NoticeKind.RUN,
            title=f"{run}: UNKNOWN, its row in the ledger can't be read",
            tone=Tone.UNSURE,
            summary=detail,
            commands=("remediator status", "remediator show --quarantined"),
            run=run,
        )
        audience = self._parts.audience(self._parts.rulebooks.active.rulebook, None)
        return page_envelopes(notice, f"page:{run}", Call(run, held=True), audience)


def _abandoned(run: Run, detail: str) -> Run:
    """The run as the ledger ends it."""
    untouched = not run.reached_intent and run.state in (RunState.PENDING, RunState.ASKING)
    state = RunState.EXPIRED if untouched else RunState.UNKNOWN
    return replace(run, state=state, reason=Reason.EXPIRED, detail=detail)
