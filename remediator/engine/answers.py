"""Answers: what people, or the time, say to a run's request, written where the request still stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from remediator.core.approvals import Answer, Approval, Objection, Settled, judge, lapse
from remediator.core.changes import RunChange, RunRow
from remediator.core.ids import RunId
from remediator.core.paging import Audience
from remediator.core.ports.store import Store
from remediator.core.reasons import Reason
from remediator.core.rules import DEFAULT_DEADLINE, Otherwise, Rule, Rulebook
from remediator.core.runs import Move
from remediator.engine.journal import moved, story_of
from remediator.engine.rulebooks import Rulebooks

_Judge = Callable[[Approval | None, datetime], Approval | Objection | None]


@dataclass(frozen=True, slots=True)
class Answers:
    """Writes answers; ``audience`` says who hears of a rule's runs."""

    store: Store
    rulebooks: Rulebooks
    audience: Callable[[Rulebook, Rule | None], Audience]

    async def give(self, run: RunId, given: Answer) -> RunChange | Objection | None:
        """Write a person's answer; an objection says why it does not count, ``None`` that there is no run."""
        return await self._settle(run, lambda latest, now: judge(latest, given, now))

    async def let_lapse(self, run: RunId) -> RunChange | None:
        """Do what a request says for when nobody answers in time; ``None`` while somebody may, or did."""
        found = await self._settle(run, lapse)
        return found if isinstance(found, RunChange) else None

    async def _settle(self, run: RunId, judged: _Judge) -> RunChange | Objection | None:
        known = await self.store.run(run)
        if known is None:
            return None
        pinned = await self.rulebooks.pinned(known.rulebook)
        rule = pinned.rule(known.rule) if pinned else None
        audience = self.audience(pinned or self.rulebooks.active.rulebook, rule)

        def settle(row: RunRow, now: datetime) -> RunChange | Objection | None:
            settled = judged(row.approvals[-1] if row.approvals else None, now)
            return _change(row, rule, audience, settled, now) if isinstance(settled, Approval) else settled

        return await self.store.answer(run, settle)


def _change(
    row: RunRow, rule: Rule | None, audience: Audience, settled: Approval, now: datetime
) -> RunChange:
    story = story_of(row, rule, audience)
    data = {"digest": settled.digest, "who": settled.who, "why": settled.why, "how": settled.how}
    said = f"by {settled.by}{f': {settled.why}' if settled.why else ''}"
    if settled.granted:
        # From here on it is the run's own time again.
        deadline = now + (rule.deadline if rule else DEFAULT_DEADLINE)
        anew = replace(row.run, deadline_at=deadline)
        return moved(
            story, Move.GRANT, now, run=anew, detail=f"approved {said}", data=data, approval=settled
        )[0]
    if settled.settled is Settled.DENIED:
        move, reason, detail = Move.DENY, Reason.DENIED, f"denied {said}"
    else:
        move, detail = Move.LAPSE, "nobody approved it in time"
        reason = Reason.LAPSED if settled.otherwise is Otherwise.SKIP else Reason.UNANSWERED
    return moved(story, move, now, reason=reason, detail=detail, data=data, approval=settled)[0]
