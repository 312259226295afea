"""What guards see, what they are asked, and how they answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from remediator.core.approvals import Approval
from remediator.core.counts import Place, Standing
from remediator.core.coverage import covers, touches
from remediator.core.guards.marks import Mark, Marks
from remediator.core.ids import AttemptId, PlanDigest, RunId
from remediator.core.leases import Cover
from remediator.core.reasons import Reason
from remediator.core.rules import ApprovalTerms, Mode, Rule, Rulebook, Share, databases_of
from remediator.core.runs import RunState
from remediator.core.sights import Sight
from remediator.core.targets import Target, parse_target


class Guard(StrEnum):
    """The things that can say no."""

    MODE = "mode"
    PAUSE = "pause"
    SCOPE = "scope"
    PROTECTION = "protection"
    QUARANTINE = "quarantine"
    MINIMUM_HEALTHY = "minimum_healthy"
    FREEZE = "freeze"
    COOLDOWN = "cooldown"
    RATE = "rate"
    TARGETS = "targets"
    PER_TARGET = "per_target"
    BRAKE = "brake"
    APPROVAL = "approval"
    LEASE = "lease"
    CLOCK = "clock"
    FIRING = "firing"


#: The guards that a named person may pass over for one manual run: those that count, and freezes.
OVERRIDABLE = frozenset(
    {
        Guard.FREEZE,
        Guard.COOLDOWN,
        Guard.RATE,
        Guard.TARGETS,
        Guard.PER_TARGET,
        Guard.BRAKE,
        Guard.MINIMUM_HEALTHY,
    }
)


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


class BudgetKey(StrEnum):
    """The budgets past which the brake stops automation."""

    TARGETS = "targets"
    FAILURES = "failures"
    SHARE = "share"


@dataclass(frozen=True, slots=True)
class Pause:
    """Automation stopped, for everything, one rule or one target: by a person, or by the brake.

    A target stands for all that a lease on it would bar: a namespace for what is in it, a database for the
    objects that it also is. ``until`` is ``None`` while it is open-ended. ``brake`` is the budget that was
    overspent, ``None`` for a person's. ``name`` is what they called it, ``reminded`` counts the reminders
    that people have had of it.
    """

    id: int
    scope: PauseScope
    value: str
    why: str
    who: str
    at: datetime
    until: datetime | None = None
    brake: BudgetKey | None = None
    name: str = ""
    reminded: int = 0

    @property
    def by(self) -> str:
        """Who made it, and what they called it."""
        return f"{self.who} ({self.name})" if self.name else self.who

    def covers(self, names: Collection[str], places: Collection[Cover], now: datetime) -> bool:
        """Whether it stops the rule that is or was called ``names`` from acting on these places."""
        if self.until is not None and now >= self.until:
            return False
        if self.scope is PauseScope.ALL:
            return True
        if self.scope is PauseScope.RULE:
            return self.value in names
        return touches(parse_target(self.value), places)


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
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """A run's place among those that limits count, taken with its first intent and never given back.

    A decision also sees those that are not ``taken`` yet: of live runs that have begun and will ask for one.
    """

    run: RunId
    rule: str
    target: Target
    at: datetime
    taken: bool = True


@dataclass(frozen=True, slots=True)
class Lookback:
    """How far back the guards of one question look.

    ``names`` are further ones that the rule has or had, whose past is its own; ``limits`` is the longest
    window or cooldown of the limits that count slots, ``brake`` the longest window of the brake's budgets.
    ``place`` is where the episode counts that is asked about, if the rule counts alerts.
    """

    names: frozenset[str] = frozenset()
    limits: timedelta = timedelta(0)
    brake: timedelta = timedelta(0)
    place: Place | None = None


#: For who asks about nothing that is counted.
NO_LOOKBACK = Lookback()


@dataclass(frozen=True, slots=True)
class GuardView:
    """What the store knows about one rule and target at one instant, the asking run itself excluded.

    ``pauses`` and ``quarantines`` are all that there are.
    ``unfinished`` is a run of this rule on this target that has not ended; ``last`` the newest one that
    ended; ``last_acted`` the newest ended one that reached an intent, and ``last_on_target`` the same of any
    rule; ``busy`` are the targets of the live runs that have taken a slot and not ended, one each. ``slots``
    are those of this rule or this target within the question's lookback, those of others too where it is
    convenient. ``demanded`` says when each target was last demanded, and ``failed`` where a run ended failed
    or unknown, within the brake's lookback; ``released`` says when the brake on everything (``""``) or on a
    namespace was last lifted or over. ``firing`` is false when every episode of the asking run has closed.
    ``acting_from`` lies ahead while a clock jump is being waited out. ``approval`` is the asking run's latest
    request to people. ``standing`` is how it stands with the rule's count of alerts; ``None`` if it has none,
    or has not counted this episode yet.
    """

    now: datetime
    pauses: tuple[Pause, ...] = ()
    quarantines: tuple[Quarantine, ...] = ()
    unfinished: PastRun | None = None
    last: PastRun | None = None
    last_acted: PastRun | None = None
    last_on_target: PastRun | None = None
    slots: tuple[Slot, ...] = ()
    busy: tuple[Target, ...] = ()
    demanded: Marks = field(default_factory=Marks)
    failed: tuple[Mark, ...] = ()
    released: Mapping[str, datetime] = field(default_factory=dict)
    firing: bool = True
    acting_from: datetime | None = None
    approval: Approval | None = None
    standing: Standing | None = None

    @property
    def parallel(self) -> int:
        """How many live runs are under way."""
        return len(self.busy)


@dataclass(frozen=True, slots=True)
class Override:
    """Guards whose no is passed over for one run, in whose name, and why."""

    guards: frozenset[Guard]
    who: str
    why: str

    def heeded(self, answer: GuardAnswer) -> GuardAnswer:
        """The answer as it counts: an overridden no allows, and says what it would have been."""
        if answer.answer is Answer.ALLOWS or answer.guard not in self.guards:
            return answer
        return allow(answer.guard, f"overridden by {self.who} ({self.why}); else: {answer.detail}")


@dataclass(frozen=True, slots=True)
class Question:
    """What guards are asked about. ``books`` are the rulebooks that apply: the stricter answer holds.

    ``digest`` names what is about to be done; without one, nothing that a person has to approve is.
    ``sight`` is what its plan saw of the target, ``None`` before there is a plan. ``deployments`` is how
    many its namespace has, ``None`` where nobody has counted. ``leased`` is what the run's lease covers, once
    it has one: only then is it known where pods run. ``critical`` says that the run is within a critical
    section, which a pause waits for. ``place`` is where the episode counts, if the rule counts alerts.
    """

    rule: Rule
    target: Target
    mode: Mode
    books: tuple[Rulebook, ...]
    digest: PlanDigest | None = None
    leased: frozenset[Cover] = frozenset()
    override: Override | None = None
    sight: Sight | None = None
    critical: bool = False
    place: Place | None = None
    deployments: int | None = None

    @property
    def shares(self) -> tuple[Share, ...]:
        """What the brake allows of the Deployments beside the target; nothing for who passes it over."""
        passed = self.override is not None and Guard.BRAKE in self.override.guards
        if passed or self.mode is Mode.OBSERVE:
            return ()
        found = (book.brake.share(self.target.space) for book in self.books)
        return tuple(dict.fromkeys(each for each in found if each is not None))

    @property
    def uncounted(self) -> bool:
        """Whether the Deployments of the target's namespace are still to be counted."""
        return self.deployments is None and bool(self.shares)

    @property
    def labels_judged(self) -> Mapping[str, str | None]:
        """The labels on which it depends whether the target may be acted on, as seen; ``None`` if absent."""
        selections = [each for book in self.books for each in (book.scope, *book.protect) if each is not None]
        asked = {need.key for each in selections if each.covers(self.target) for need in each.labels}
        seen = self.sight.labels if self.sight else {}
        return {key: seen.get(key) for key in sorted(asked)}

    @property
    def places(self) -> frozenset[Cover]:
        """All that acting on the target would concern, as far as it is known."""
        return self.leased or covers(self.target, databases_of(self.books))

    @property
    def versions(self) -> tuple[Rule, ...]:
        """The rule as it is asked for, and as each of the books has it."""
        found = (book.rule(self.rule.name) for book in self.books)
        return (self.rule, *(rule for rule in found if rule is not None))

    @property
    def names(self) -> frozenset[str]:
        """What the rule is and was called in any of its versions."""
        return _names_of(self.versions)

    @property
    def approval(self) -> ApprovalTerms | None:
        """On what terms a person has to be asked: those of the first version that wants it."""
        return next((terms for rule in self.versions if (terms := rule.approval_in(self.mode))), None)

    @property
    def lookback(self) -> Lookback:
        """How far back the store has to look for these guards."""
        versions = self.versions
        limits = [rule.limits for rule in versions]
        shared = [book.per_target for book in self.books if book.per_target is not None]
        rates = [rate for one in (*limits, *shared) for rate in (*one.rate, one.targets) if rate is not None]
        lengths = [*(rate.window for rate in rates), *(one.cooldown for one in shared)]
        brakes = [book.brake.longest_window for book in self.books]
        return Lookback(
            _names_of(versions),
            max(lengths, default=timedelta(0)),
            max(brakes, default=timedelta(0)),
            self.place,
        )


def _names_of(versions: Iterable[Rule]) -> frozenset[str]:
    return frozenset(name for rule in versions for name in (rule.name, *rule.was))


@dataclass(frozen=True, slots=True)
class Tripped:
    """A budget of the brake that one more demand goes past: what has to stop, and for how long.

    ``value`` is empty for everything, else a namespace as a target; ``length`` is ``None`` until a person
    resumes it.
    """

    scope: PauseScope
    value: str
    budget: BudgetKey
    detail: str
    length: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """All answers; the first refusal, else the first wait, is the verdict.

    ``demanded`` says that a run would act but for the brake, ``tripped`` what that demand stops.
    """

    answers: tuple[GuardAnswer, ...]
    demanded: bool = False
    tripped: tuple[Tripped, ...] = ()

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


GuardFunction = Callable[[Question, GuardView], GuardAnswer]


def allow(guard: Guard, detail: str) -> GuardAnswer:
    """Say yes, with the value that was seen."""
    return GuardAnswer(guard, Answer.ALLOWS, detail)


def refuse(guard: Guard, reason: Reason, detail: str) -> GuardAnswer:
    """Say no for good."""
    return GuardAnswer(guard, Answer.REFUSES, detail, reason)


def wait(guard: Guard, reason: Reason, detail: str) -> GuardAnswer:
    """Say not yet."""
    return GuardAnswer(guard, Answer.WAITS, detail, reason)
