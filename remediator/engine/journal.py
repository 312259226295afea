"""A run's journal: each move written with its event and, where people should know, its notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from remediator.core.approvals import Approval, Settled, settle
from remediator.core.changes import IntentRequest, Refused, RunChange, RunRow
from remediator.core.decide import DecisionKind
from remediator.core.events import Event, EventKind
from remediator.core.guards import GuardView, Quarantine, Verdict
from remediator.core.ids import Token
from remediator.core.leases import Preempted
from remediator.core.paging import Audience
from remediator.core.ports.store import Ask, Store
from remediator.core.reasons import Reason
from remediator.core.rules import Rule
from remediator.core.runs import Attempt, Move, Outcome, Run, RunState, move
from remediator.engine.leases import PreemptedError
from remediator.engine.requests import tell_request
from remediator.engine.telling import Story, tell_run

_EVENTS: Mapping[Move, EventKind] = {
    Move.ASK: EventKind.RUN_ASKED,
    Move.GRANT: EventKind.RUN_APPROVED,
    Move.DENY: EventKind.RUN_DENIED,
    Move.LAPSE: EventKind.RUN_LAPSED,
    Move.LEASE: EventKind.RUN_LEASED,
    Move.OBSERVE: EventKind.RUN_OBSERVED,
    Move.CANCEL: EventKind.RUN_CANCELLED,
    Move.REFUSE: EventKind.RUN_REFUSED,
    Move.EXPIRE: EventKind.RUN_EXPIRED,
    Move.YIELD: EventKind.RUN_PREEMPTED,
    Move.INTEND: EventKind.ATTEMPT_INTENDED,
    Move.SUCCEED: EventKind.ATTEMPT_SUCCEEDED,
    Move.MISS: EventKind.ATTEMPT_FAILED,
    Move.LOSE: EventKind.ATTEMPT_LOST,
    Move.FALL_BACK: EventKind.RUN_FALLING_BACK,
    Move.FAIL: EventKind.RUN_FAILED,
    Move.VERIFY: EventKind.RUN_VERIFYING,
    Move.PROVE: EventKind.RUN_SUCCEEDED,
    Move.DISPROVE: EventKind.RUN_DISPROVEN,
    Move.GIVE_UP: EventKind.RUN_UNKNOWN,
}
#: Moves that people are not told of at once: they say nothing new.
_QUIET = frozenset({Move.LEASE})


class LostTheRunError(Exception):
    """The store refused a move: the lease is another's, or the run went on without us."""


class Journal:
    """The only writer of one run's moves. ``run`` and ``story`` follow what has been written."""

    def __init__(self, store: Store, story: Story, rule: Rule | None) -> None:
        self._store = store
        self.story = story
        self.rule = rule

    @property
    def run(self) -> Run:
        return self.story.run

    @property
    def last_attempt(self) -> Attempt:
        """The run's latest attempt; it has one once it has reached an intent."""
        return self.story.attempts[-1]

    async def move(  # noqa: PLR0913 - each is a part of one move, and all but two are rare
        self,
        token: Token | None,
        wanted: Move,
        *,
        run: Run | None = None,
        attempt: Attempt | None = None,
        reason: Reason | None = None,
        detail: str = "",
        data: Mapping[str, object] | None = None,
        also: tuple[Event, ...] = (),
        quarantine: bool = False,
        approval: Approval | None = None,
    ) -> None:
        """Take the run along one arrow; ``run`` is its value before it, if more than the state changes.

        Raises:
            LostTheRunError: the store refused it.
        """
        change, story = moved(
            self.story,
            wanted,
            await self._store.now(),
            run=run,
            attempt=attempt,
            reason=reason,
            detail=detail,
            data=data,
            also=also,
            quarantine=quarantine,
            approval=approval,
        )
        if await self._store.advance(token, change) is not None:
            raise LostTheRunError(self.run.id)
        self.story = story

    async def intend(
        self,
        token: Token,
        request: IntentRequest,
        ask: Ask,
        make_attempt: Callable[[Run, datetime], Attempt],
    ) -> Verdict:
        """Ask the guards and, if none objects, write the intent.

        Raises:
            LostTheRunError: the store refused it.
            PreemptedError: another run is to have the target.
        """
        before, run = self.story, self.run
        written: list[Story] = []

        def change(view: GuardView, verdict: Verdict) -> RunChange:
            intending = replace(run, started_at=run.started_at or view.now, attempts=run.attempts + 1)
            following = move(intending, Move.INTEND, view.now)
            attempt = make_attempt(following, view.now)
            events = (
                self.asked(verdict, view.now),
                self.event(EventKind.ATTEMPT_INTENDED, view.now, attempt.summary, None, attempt),
            )
            story = replace(
                before,
                run=following,
                events=(*before.events, *events),
                attempts=(*before.attempts, attempt),
            )
            written.append(story)
            return RunChange(following, before.run.state, attempt, None, events, tell_run(story))

        answer = await self._store.intend(token, request, ask, change)
        if isinstance(answer, Preempted):
            raise PreemptedError(answer.by)
        if isinstance(answer, Refused):
            raise LostTheRunError(run.id)
        if answer.change is not None:
            self.story = written[-1]
        return answer.verdict

    async def refresh(self) -> None:
        """Take over what others wrote about the run meanwhile, such as episodes that joined."""
        rows = await self._store.run_row(self.run.id)
        self.story = story_of(rows[0], self.rule, self.story.audience)

    async def waiting(self, token: Token, detail: str, verdict: Verdict | None = None) -> None:
        """Say once what the run waits for, with every guard's answer where a guard makes it wait.

        Raises:
            LostTheRunError: the store refused it.
        """
        if self.run.detail == detail:
            return
        run = replace(self.run, detail=detail)
        now = await self._store.now()
        data = {"answers": _answers(verdict)} if verdict else None
        event = self.event(EventKind.RUN_WAITING, now, detail, data)
        story = replace(self.story, run=run, events=(*self.story.events, event))
        change = RunChange(run, run.state, events=(event,), envelopes=tell_run(story))
        if await self._store.advance(token, change) is not None:
            raise LostTheRunError(run.id)
        self.story = story

    def asked(self, verdict: Verdict, at: datetime) -> Event:
        """Every guard's answer, as an event."""
        return self.event(EventKind.GUARDS_ASKED, at, "", {"answers": _answers(verdict)})

    async def note(self, kind: EventKind, detail: str, data: Mapping[str, object] | None = None) -> None:
        """Write an event that changes nothing, such as a check's new answer."""
        event = self.event(kind, await self._store.now(), detail, data)
        await self._store.record([event])
        self.add(event)

    def add(self, event: Event) -> None:
        """Take over an event that was written."""
        self.story = replace(self.story, events=(*self.story.events, event))

    def event(
        self,
        kind: EventKind,
        at: datetime,
        detail: str,
        data: Mapping[str, object] | None = None,
        attempt: Attempt | None = None,
    ) -> Event:
        """An event of this run."""
        return _event(self.run, kind, at, detail, data, attempt)


def moved(  # noqa: PLR0913 - as Journal.move, without the writing
    before: Story,
    wanted: Move,
    now: datetime,
    *,
    run: Run | None = None,
    attempt: Attempt | None = None,
    reason: Reason | None = None,
    detail: str = "",
    data: Mapping[str, object] | None = None,
    also: tuple[Event, ...] = (),
    quarantine: bool = False,
    approval: Approval | None = None,
) -> tuple[RunChange, Story]:
    """One move as what is to be written, and the story with it. Pure."""
    following = move(run or before.run, wanted, now, reason=reason, detail=detail)
    held = Quarantine(following.target, following.id, attempt.id if attempt else None, detail, now)
    events = [*also, _event(before.run, _kind(wanted, before.run), now, detail, data, attempt)]
    if quarantine:
        events.append(
            _event(before.run, EventKind.TARGET_QUARANTINED, now, f"{held.target}: {held.why}", None, None)
        )
    if approval is None and before.run.state is RunState.ASKING:
        approval = settle(before.approvals[-1], Settled.WITHDRAWN, now, why=detail)
    story = replace(
        before,
        run=following,
        events=(*before.events, *events),
        attempts=_with_attempt(before.attempts, attempt),
        approvals=_with_approval(before.approvals, approval),
    )
    change = RunChange(
        following,
        before.run.state,
        attempt,
        held if quarantine else None,
        tuple(events),
        () if wanted in _QUIET else (*tell_run(story), *(tell_request(story) if approval else ())),
        approval,
    )
    return change, story


def _event(
    run: Run,
    kind: EventKind,
    at: datetime,
    detail: str,
    data: Mapping[str, object] | None,
    attempt: Attempt | None,
) -> Event:
    told: dict[str, object] = {"detail": detail} if detail else {}
    if attempt is not None:
        told |= {"attempt": attempt.id, "action": attempt.action, "token": attempt.token}
    told |= dict(data or {})
    return Event(kind, at, told, run=run.id, rule=run.rule, target=str(run.target))


def _kind(wanted: Move, before: Run) -> EventKind:
    if wanted is Move.MISS and before.state is RunState.READY:
        return EventKind.STEP_FAILED
    return _EVENTS[wanted]


def _with_attempt(attempts: tuple[Attempt, ...], changed: Attempt | None) -> tuple[Attempt, ...]:
    if changed is None:
        return attempts
    return tuple(changed if attempt.id == changed.id else attempt for attempt in attempts)


def _with_approval(approvals: tuple[Approval, ...], changed: Approval | None) -> tuple[Approval, ...]:
    """A run's requests with a new one behind them, or with the end of the latest."""
    return approvals if changed is None else (*approvals[: changed.number - 1], changed)


def _answers(verdict: Verdict) -> list[dict[str, str]]:
    return [
        {"guard": answer.guard.value, "answer": answer.answer.value, "detail": answer.detail}
        for answer in verdict.answers
    ]


def story_of(row: RunRow, rule: Rule | None, audience: Audience) -> Story:
    """A run's story as the ledger has it."""
    decided = next((one for one in row.decisions if one.decision.kind is DecisionKind.RUN), None)
    return Story(
        run=row.run,
        summary=rule.summary if rule else "",
        audience=audience,
        episodes=row.episodes,
        facts=decided.facts if decided else (),
        attempts=row.attempts,
        events=row.events,
        answers=decided.decision.answers if decided else (),
        approvals=row.approvals,
        joined=row.joined,
        firing=row.firing,
    )


def ended(attempt: Attempt, outcome: Outcome | None, detail: str, now: datetime) -> Attempt:
    """An attempt with its outcome; ``None`` leaves it in doubt."""
    return replace(attempt, outcome=outcome, detail=detail, ended_at=now if outcome else None)
