"""Guards: what can say no, asked at the decision and again at the first intent (law 7).

Each guard is a pure function of what was asked for and a :class:`GuardView` that the store reads in the
very transaction that acts on the answer. All guards answer, in order, so that `explain` can show each;
the first no is the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from remediator.core.durations import format_duration
from remediator.core.ids import AttemptId, RunId
from remediator.core.reasons import Reason
from remediator.core.rules import ALWAYS_PROTECTED, Mode, Rule, Rulebook
from remediator.core.runs import RunState
from remediator.core.targets import Target


class Guard(StrEnum):
    """The things that can say no."""

    MODE = "mode"
    PAUSE = "pause"
    SCOPE = "scope"
    PROTECTION = "protection"
    QUARANTINE = "quarantine"
    COOLDOWN = "cooldown"
    BRAKE = "brake"
    LEASE = "lease"
    CLOCK = "clock"
    FIRING = "firing"


class Answer(StrEnum):
    """A guard allows, refuses, or asks to wait."""

    ALLOWS = "allows"
    REFUSES = "refuses"
    WAITS = "waits"


@dataclass(frozen=True, slots=True)
class GuardAnswer:
    """What one guard said, with the value it saw in ``detail``."""

    guard: Guard
    answer: Answer
    detail: str
    reason: Reason | None = None


class PauseScope(StrEnum):
    """What a pause stops."""

    ALL = "all"
    RULE = "rule"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Pause:
    """Automation stopped by a person, for everything, one rule or one target.

    A namespace as target stands for all that is in it. ``until`` is ``None`` while it is open-ended.
    """

    id: int
    scope: PauseScope
    value: str
    why: str
    who: str
    at: datetime
    until: datetime | None = None

    def covers(self, names: Collection[str], target: Target, now: datetime) -> bool:
        """Whether it stops the rule that is or was called ``names`` from acting on the target."""
        if self.until is not None and now >= self.until:
            return False
        if self.scope is PauseScope.ALL:
            return True
        if self.scope is PauseScope.RULE:
            return self.value in names
        return self.value in (str(target), _namespace(target))


def _namespace(target: Target) -> str | None:
    """The namespace that holds the target, as a target."""
    return str(Target(target.cluster, "namespace", "", target.namespace)) if target.namespace else None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A target on which an attempt, or a run's proof, is known to be neither true nor false."""

    target: Target
    run: RunId
    attempt: AttemptId | None
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PastRun:
    """The latest run of a rule on a target, as guards need to know it."""

    id: RunId
    state: RunState
    mode: Mode
    created_at: datetime
    ended_at: datetime | None
    reached_intent: bool


@dataclass(frozen=True, slots=True)
class GuardView:
    """What the store knows about one rule and target at one instant, the asking run itself excluded.

    ``unfinished`` is a run of this rule on this target that has not ended; ``last`` the newest one that
    ended; ``last_acted`` the newest ended one that reached an intent; ``parallel`` how many live runs
    have taken a slot and not ended. ``firing`` is false when every episode of the asking run has closed.
    ``acting_from`` lies ahead while a clock jump is being waited out.
    """

    now: datetime
    pauses: tuple[Pause, ...] = ()
    quarantine: Quarantine | None = None
    unfinished: PastRun | None = None
    last: PastRun | None = None
    last_acted: PastRun | None = None
    parallel: int = 0
    firing: bool = True
    acting_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What guards are asked about. ``books`` are the rulebooks that apply: the stricter answer holds."""

    rule: Rule
    target: Target
    mode: Mode
    books: tuple[Rulebook, ...]

    @property
    def versions(self) -> tuple[Rule, ...]:
        """The rule as it is asked for, and as each of the books has it."""
        found = (book.rule(self.rule.name) for book in self.books)
        return (self.rule, *(rule for rule in found if rule is not None))

    @property
    def names(self) -> frozenset[str]:
        """What the rule is and was called in any of its versions."""
        return frozenset[str]().union(*(rule.names for rule in self.versions))


@dataclass(frozen=True, slots=True)
class Verdict:
    """All answers; the first refusal, else the first wait, is the verdict."""

    answers: tuple[GuardAnswer, ...]

    @property
    def objection(self) -> GuardAnswer | None:
        """The answer that stands in the way, if any: refusals before waits."""
        for wanted in (Answer.REFUSES, Answer.WAITS):
            for answer in self.answers:
                if answer.answer is wanted:
                    return answer
        return None

    @property
    def allows(self) -> bool:
        return self.objection is None


_GuardFunction = Callable[[Question, GuardView], GuardAnswer]


def ask_at_decision(question: Question, view: GuardView) -> Verdict:
    """Entry and step guards together; a pause refuses, since a skip is final for its episode (law 11)."""
    return _ask((*_STEP, *_ENTRY), question, view)


def ask_at_first_intent(question: Question, view: GuardView) -> Verdict:
    """Entry and step guards again, in the transaction that takes the slot; a pause makes the run wait.

    So is law 3: what resolved before anything was begun is not acted on.
    """
    return _ask((_firing, *_MODE, *_WAITING_STEP, *_ENTRY), question, view)


def ask_before_step(question: Question, view: GuardView) -> Verdict:
    """The step guards alone, before every step after the first intent."""
    return _ask((*_MODE, *_WAITING_STEP), question, view)


def _ask(guards: Iterable[_GuardFunction], question: Question, view: GuardView) -> Verdict:
    return Verdict(tuple(guard(question, view) for guard in guards))


def _allow(guard: Guard, detail: str) -> GuardAnswer:
    return GuardAnswer(guard, Answer.ALLOWS, detail)


def _refuse(guard: Guard, reason: Reason, detail: str) -> GuardAnswer:
    return GuardAnswer(guard, Answer.REFUSES, detail, reason)


def _wait(guard: Guard, reason: Reason, detail: str) -> GuardAnswer:
    return GuardAnswer(guard, Answer.WAITS, detail, reason)


def _firing(_question: Question, view: GuardView) -> GuardAnswer:
    if view.firing:
        return _allow(Guard.FIRING, "an alert of it still fires")
    return _refuse(Guard.FIRING, Reason.RESOLVED, "every alert of it has resolved")


def _mode(question: Question, _view: GuardView) -> GuardAnswer:
    if question.mode is Mode.LIVE:
        return _allow(Guard.MODE, "live")
    return _refuse(Guard.MODE, Reason.MODE, question.mode.word)


def _pause(question: Question, view: GuardView) -> GuardAnswer:
    for pause in view.pauses:
        if pause.covers(question.names, question.target, view.now):
            until = f", until {pause.until:%Y-%m-%d %H:%M:%S} UTC" if pause.until else ""
            return _refuse(Guard.PAUSE, Reason.PAUSED, f"paused by {pause.who}: {pause.why}{until}")
    return _allow(Guard.PAUSE, "not paused")


def _waiting_pause(question: Question, view: GuardView) -> GuardAnswer:
    answer = _pause(question, view)
    return answer if answer.answer is Answer.ALLOWS else _wait(Guard.PAUSE, Reason.PAUSED, answer.detail)


def _scope(question: Question, _view: GuardView) -> GuardAnswer:
    for book in question.books:
        if book.scope is not None and not book.scope.covers(question.target):
            return _refuse(Guard.SCOPE, Reason.SCOPE, f"{question.target} is not in scope")
    return _allow(Guard.SCOPE, "in scope")


def _protection(question: Question, _view: GuardView) -> GuardAnswer:
    for book in question.books:
        for selection in (*ALWAYS_PROTECTED, *book.protect):
            if selection.covers(question.target):
                return _refuse(Guard.PROTECTION, Reason.PROTECTED, f"{question.target} is protected")
    return _allow(Guard.PROTECTION, "not protected by policy")


def _quarantine(_question: Question, view: GuardView) -> GuardAnswer:
    held = view.quarantine
    if held is None:
        return _allow(Guard.QUARANTINE, "not quarantined")
    detail = f"quarantined since {held.at:%Y-%m-%d %H:%M:%S} UTC by {held.run}: {held.why}"
    return _refuse(Guard.QUARANTINE, Reason.QUARANTINED, detail)


def _cooldown(question: Question, view: GuardView) -> GuardAnswer:
    last = view.last_acted
    if last is None or last.ended_at is None:
        return _allow(Guard.COOLDOWN, "no earlier run on this target")
    length = _cooldown_of(question)
    since = view.now - last.ended_at
    if since < length:
        detail = f"{last.id} ended {format_duration(since)} ago, the cooldown is {format_duration(length)}"
        return _refuse(Guard.COOLDOWN, Reason.COOLDOWN, detail)
    return _allow(Guard.COOLDOWN, f"{last.id} ended {format_duration(since)} ago")


def _cooldown_of(question: Question) -> timedelta:
    return max(rule.limits.cooldown for rule in question.versions)


def _parallel(question: Question, view: GuardView) -> GuardAnswer:
    limit = min(book.brake.parallel for book in question.books)
    detail = f"{view.parallel} of {limit} in parallel"
    if view.parallel >= limit:
        return _wait(Guard.BRAKE, Reason.PARALLEL, detail)
    return _allow(Guard.BRAKE, detail)


def _clock(_question: Question, view: GuardView) -> GuardAnswer:
    if view.acting_from is not None and view.now < view.acting_from:
        return _wait(
            Guard.CLOCK, Reason.CLOCK, f"the clock jumped; acting again from {view.acting_from:%H:%M:%S} UTC"
        )
    return _allow(Guard.CLOCK, "steady")


_MODE: tuple[_GuardFunction, ...] = (_mode,)
_STEP: tuple[_GuardFunction, ...] = (_pause, _scope, _protection, _quarantine)
_WAITING_STEP: tuple[_GuardFunction, ...] = (_waiting_pause, _scope, _protection, _quarantine)
_ENTRY: tuple[_GuardFunction, ...] = (_cooldown, _parallel, _clock)
