"""Rules and the rulebook: what SREs wrote, as frozen values.

`remediator.rulebook` reads files into these; everything below it knows rules only in this form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum, StrEnum

from remediator.core.contacts import Contact
from remediator.core.durations import format_duration
from remediator.core.freezes import Freeze
from remediator.core.ids import RulebookHash
from remediator.core.matchers import Matcher, Operator
from remediator.core.retention import Retention
from remediator.core.selections import DEFAULT_HOME, Selection
from remediator.core.targets import Target
from remediator.core.templates import TargetTemplate

DEFAULT_COOLDOWN = timedelta(minutes=15)
DEFAULT_RETENTION = Retention()
DEFAULT_DEADLINE = timedelta(minutes=15)
DEFAULT_STEP_TIMEOUT = timedelta(seconds=60)
DEFAULT_SEVERITY = "P3"
DEFAULT_REPORT = ("slack:#incidents",)
DEFAULT_PARALLEL = 3
_DEFAULT_WITHIN = timedelta(minutes=10)


class Mode(IntEnum):
    """How far automation may go; of several, the lowest holds."""

    OBSERVE = 0
    APPROVE = 1
    LIVE = 2

    @property
    def word(self) -> str:
        return self.name.lower()


class Expect(StrEnum):
    """The answer that a fact has to have."""

    YES = "yes"
    NO = "no"


class Otherwise(StrEnum):
    """What becomes of a run about which nobody answers in time."""

    ESCALATE = "escalate"
    RUN = "run"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class ApprovalTerms:
    """A person is asked first: for how long, and what becomes of the run when nobody answers."""

    within: timedelta
    otherwise: Otherwise = Otherwise.ESCALATE


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` within ``window``: what lies exactly as long ago as the window is out of it."""

    count: int
    window: timedelta

    def __str__(self) -> str:
        return f"{self.count}/{format_duration(self.window)}"


DEFAULT_TARGETS = Rate(5, timedelta(minutes=10))
DEFAULT_FAILURES = Rate(3, timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Count:
    """At least ``at_least`` alerts with the same values of the labels ``by``, less than ``within`` apart."""

    at_least: int
    within: timedelta
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlertTrigger:
    """Fires on alerts that all ``matchers`` hold for, once they have fired for ``firing_for``.

    With ``count`` it fires on several of them together, and on none before there are enough.
    """

    matchers: tuple[Matcher, ...]
    firing_for: timedelta = timedelta(0)
    count: Count | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(matcher.matches(labels) for matcher in self.matchers)


@dataclass(frozen=True, slots=True)
class OtherTrigger:
    """A schedule or a manual trigger: no alert ever matches it."""

    kind: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A check with its parameters; in ``only_if`` with the answer that it has to have.

    A parameter that is text is a template; everything else is taken as it is written.
    """

    check: str
    params: Mapping[str, object] = field(default_factory=dict)
    expect: Expect = Expect.YES


@dataclass(frozen=True, slots=True)
class Step:
    """One action: ``id`` is unique within the rule, ``retry`` counts further tries after a proven failure."""

    id: str
    action: str
    params: Mapping[str, object] = field(default_factory=dict)
    timeout: timedelta = DEFAULT_STEP_TIMEOUT
    retry: int = 0


@dataclass(frozen=True, slots=True)
class Verify:
    """The proof: all ``checks`` say yes for ``stable_for`` without a break, before ``within`` is over."""

    checks: tuple[Condition, ...]
    within: timedelta
    stable_for: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one rule: ``cooldown`` and ``rate`` per target, ``targets`` over distinct ones."""

    cooldown: timedelta = DEFAULT_COOLDOWN
    rate: tuple[Rate, ...] = ()
    targets: Rate | None = None

    @property
    def looks_back(self) -> timedelta:
        """How far back they look, at most."""
        rates = (*self.rate, *filter(None, [self.targets]))
        return max([self.cooldown, *(rate.window for rate in rates)])


@dataclass(frozen=True, slots=True)
class Rule:
    """Trigger, target, guards, steps, proof."""

    name: str
    trigger: AlertTrigger | OtherTrigger
    target: TargetTemplate
    summary: str = ""
    was: tuple[str, ...] = ()
    severity: str | None = None
    only_if: tuple[Condition, ...] = ()
    limits: Limits = Limits()
    approval: ApprovalTerms | None = None
    deadline: timedelta = DEFAULT_DEADLINE
    steps: tuple[Step, ...] = ()
    verify: Verify | None = None
    on_failure: tuple[Step, ...] = ()
    escalate: tuple[str, ...] = ()
    report: tuple[str, ...] = ()
    mode: Mode = Mode.OBSERVE
    goes_on: bool = False
    #: The keys, such as ``limits.cooldown``, that it has from the policy's defaults.
    from_defaults: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """What the rule is and was called: the past of each is its own, in limits and pauses."""
        return frozenset({self.name, *self.was})

    def effective_mode(self, daemon: Mode) -> Mode:
        """The lower of the daemon's and the rule's."""
        return min(self.mode, daemon)

    def approval_in(self, mode: Mode) -> ApprovalTerms | None:
        """On what terms a person is asked: those it names, else in mode ``approve`` the usual ones."""
        return self.approval or (ApprovalTerms(_DEFAULT_WITHIN) if mode is Mode.APPROVE else None)


@dataclass(frozen=True, slots=True)
class Share:
    """At most ``percent`` of a namespace's Deployments, and always one, as distinct targets in ``window``."""

    percent: int
    window: timedelta

    def of(self, deployments: int) -> int:
        """How many that is."""
        return max(1, deployments * self.percent // 100)

    def __str__(self) -> str:
        return f"{self.percent}%/{format_duration(self.window)}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What may happen at once in one place; ``None`` where nothing is said.

    ``targets`` are distinct ones that runs were demanded on, ``failures`` runs that ended failed or unknown:
    once so many are within the window, the next demand stops automation. ``parallel`` runs are under way,
    further ones wait. ``share`` is of each namespace's own Deployments, and ``minimum_healthy`` are the
    ready replicas that each service keeps, or as many as it has.
    """

    targets: Rate | None = None
    parallel: int | None = None
    failures: Rate | None = None
    share: Share | None = None
    minimum_healthy: int | None = None

    @property
    def windows(self) -> tuple[timedelta, ...]:
        """How far back its budgets look."""
        return tuple(each.window for each in (self.targets, self.failures, self.share) if each is not None)


@dataclass(frozen=True, slots=True)
class Brake:
    """What may happen at once, over all rules, and in the namespaces that it names (law 8).

    ``release_after`` is when automation goes on by itself; ``None`` waits for a person.
    """

    everywhere: Budget = Budget(DEFAULT_TARGETS, DEFAULT_PARALLEL, DEFAULT_FAILURES)
    namespaces: Mapping[str, Budget] = field(default_factory=dict)
    release_after: timedelta | None = None

    @property
    def longest_window(self) -> timedelta:
        """How far back its budgets look, at most."""
        budgets = (self.everywhere, *self.namespaces.values())
        return max((window for each in budgets for window in each.windows), default=timedelta(0))

    @property
    def counts_deployments(self) -> bool:
        """Whether there is a budget for a share of any namespace's Deployments."""
        return any(each.share is not None for each in (self.everywhere, *self.namespaces.values()))

    def budget(self, space: Target | None) -> Budget | None:
        """What holds in a namespace, if it is named, or everywhere (``None``)."""
        return self.everywhere if space is None else self.namespaces.get(space.name)

    def share(self, space: Target | None) -> Share | None:
        """What holds of a namespace's Deployments: what is said of it, else of all; none lie outside one."""
        own = None if space is None else self.budget(space)
        return own.share if own and own.share else self.everywhere.share if space else None

    def minimum_healthy(self, space: Target | None) -> int | None:
        """What each service of a namespace keeps: what is said of it, else of all."""
        own = None if space is None else self.budget(space)
        return own.minimum_healthy if own and own.minimum_healthy else self.everywhere.minimum_healthy


@dataclass(frozen=True, slots=True)
class Severity:
    """A level of urgency, and the alerts that have it unless their rule says otherwise."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    respond_within: timedelta | None = None


@dataclass(frozen=True, slots=True)
class WatchdogPolicy:
    """Which alert always fires, and for how long it may stay away once it has arrived.

    With no matchers no alert is the Watchdog.
    """

    matchers: tuple[Matcher, ...] = (Matcher("alertname", Operator.EQUAL, "Watchdog"),)
    within: timedelta = timedelta(minutes=15)

    def matches(self, labels: Mapping[str, str]) -> bool:
        return bool(self.matchers) and all(matcher.matches(labels) for matcher in self.matchers)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an open episode may go untold: until it is asked about, until it has vanished, or lapsed.

    Each counts from when it was last told of, or found there by asking.
    """

    ask_after: timedelta = timedelta(minutes=30)
    vanish_after: timedelta = timedelta(hours=1)
    lapse_after: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Database:
    """A database, and the objects of Kubernetes that it also is: who acts on one acts on all of them."""

    target: Target
    objects: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules, in order, and the policy, as one value with a hash.

    ``scope`` is ``None`` when nothing but the protected is out of bounds; ``home`` is the namespace that
    Remediator itself runs in, which is protected always.
    ``warnings`` are what a person should know about it, each as ``file:line:column: text``.
    """

    hash: RulebookHash
    rules: tuple[Rule, ...]
    brake: Brake = Brake()
    per_target: Limits | None = None
    scope: Selection | None = None
    protect: tuple[Selection, ...] = ()
    home: str = DEFAULT_HOME
    freezes: tuple[Freeze, ...] = ()
    severities: tuple[Severity, ...] = ()
    databases: tuple[Database, ...] = ()
    default_report: tuple[str, ...] = DEFAULT_REPORT
    contacts: tuple[Contact, ...] = ()
    patience: Patience = Patience()
    watchdog: WatchdogPolicy = WatchdogPolicy()
    retention: Retention = DEFAULT_RETENTION
    warnings: tuple[str, ...] = ()
    #: Guards look rules up for every alert, and a rulebook may have thousands.
    _by_name: Mapping[str, Rule] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name: dict[str, Rule] = {}
        for rule in self.rules:
            for name in (rule.name, *rule.was):
                by_name.setdefault(name, rule)
        object.__setattr__(self, "_by_name", by_name)

    def rule(self, name: str) -> Rule | None:
        """The rule of that name, by its present or an earlier one."""
        return self._by_name.get(name)

    def severity_of(self, rule: Rule | None, labels: Mapping[str, str]) -> str:
        """The rule's own severity, else the first of the policy whose matchers hold, else P3."""
        if rule is not None and rule.severity is not None:
            return rule.severity
        for severity in self.severities:
            if severity.matchers and all(matcher.matches(labels) for matcher in severity.matchers):
                return severity.name
        return DEFAULT_SEVERITY

    def chain_of(self, rule: Rule | None) -> tuple[Contact, ...]:
        """Whom a page of a rule calls in turn; of one whom no file describes, only the name is known."""
        known = {contact.name: contact for contact in self.contacts}
        return tuple(known.get(name, Contact(name)) for name in (rule.escalate if rule else ()))

    def report_to(self, rule: Rule | None) -> tuple[str, ...]:
        """The channels that hear of a rule's runs."""
        return rule.report if rule is not None and rule.report else self.default_report


def databases_of(books: Iterable[Rulebook]) -> tuple[Database, ...]:
    """What any of the rulebooks knows of databases: of several that apply, none takes anything away."""
    return tuple(dict.fromkeys(database for book in books for database in book.databases))
