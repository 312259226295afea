"""The format of a file of rule tests: alerts on a timeline, a described world, and what has to come of it.

Errors and JSON Schema are made from these models, by what reads rule files too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from remediator.rehearse import words
from remediator.rulebook import fields, schedules
from remediator.rulebook.problems import nearest
from remediator.rulebook.rule_models import ActionName, CheckName, Strict

#: When a test begins, unless it says otherwise: a Monday at noon.
DEFAULT_START = datetime(2026, 1, 5, 12)  # noqa: DTZ001 - of whichever timezone the test names
NOTHING = timedelta(0)


def _end(value: object) -> object:
    return {"at": value} if not isinstance(value, Mapping) else value


class End(Strict):
    """When an alert ends: at a time of the test, or so long after a repair that it was part of."""

    at: fields.Duration | None = Field(default=None, description="The time.", examples=["12m"])
    after: ActionName | None = Field(
        default=None,
        description="Counted from when this action succeeded in a run that the alert is part of.",
        examples=["kubernetes.rollout_undo"],
    )
    delay: fields.Duration = Field(
        default=NOTHING, alias="in", description="How long after it.", examples=["90s"]
    )

    @model_validator(mode="after")
    def _one(self) -> End:
        if (self.at is None) == (self.after is None):
            message = "write a time such as 12m, or {after: ACTION, in: 90s}"
            raise ValueError(message)
        return self


class Alert(Strict):
    """An alert as Alertmanager tells of it. Without an end it fires until the test is over."""

    labels: words.Labels = Field(
        description="Its labels; `alertname` among them.",
        examples=[{"alertname": "ServiceDown", "job": "auth-service"}],
    )
    annotations: words.Labels = Field(
        default={}, description="Its annotations.", examples=[{"summary": "down"}]
    )
    each: Mapping[str, Annotated[words.Values, *fields.NotEmpty]] = Field(
        default={},
        description="One such alert for each of these values of a label.",
        examples=[{"instance": ["a", "b", "c"]}],
    )
    at: Annotated[tuple[fields.Duration, ...], fields.Listed, *fields.NotEmpty] = Field(
        default=(NOTHING,), description="When it begins to fire; several times, once each.", examples=["5m"]
    )
    resolved: Annotated[End | None, fields.Also(_end, lambda _: {"type": "string"})] = Field(
        default=None, description="When it ends.", examples=["12m"]
    )
    lasts: fields.PositiveDuration | None = Field(
        default=None, description="How long it fires each time, instead of `resolved`.", examples=["5m"]
    )
    repeat: fields.PositiveDuration | None = Field(
        default=None,
        description="How often Alertmanager tells of it again while it fires; left out, never.",
        examples=["4h"],
    )
    told: fields.Flag = Field(
        default=True,
        description="`no`: no webhook tells of its end, as when it is silenced; Alertmanager knows if asked.",
        examples=["no"],
    )

    @model_validator(mode="after")
    def _ends_once(self) -> Alert:
        if self.resolved is not None and self.lasts is not None:
            message = "write `resolved` or `lasts`, not both"
            raise ValueError(message)
        if self.resolved is not None and len(self.at) > 1:
            message = "one that fires several times ends by `lasts`, not by `resolved`"
            raise ValueError(message)
        if self.resolved is not None and self.resolved.at is not None and self.resolved.at <= self.at[0]:
            message = "it is resolved before it fires"
            raise ValueError(message)
        return self


class CheckAnswer(Strict):
    """What a check answers from some time on, until a later one of the list."""

    says: words.Answer = Field(description="The answer.", examples=["yes"])
    begins: fields.Duration = Field(
        default=NOTHING, alias="from", description="From when on.", examples=["5m"]
    )
    after: ActionName | None = Field(
        default=None,
        description="From when this action has succeeded on the target that is looked at.",
        examples=["kubernetes.rollout_undo"],
    )
    delay: fields.Duration = Field(
        default=NOTHING, alias="in", description="So long after it.", examples=["40s"]
    )
    target: words.Target | None = Field(
        default=None,
        description="Of this target alone; left out, of every.",
        examples=["deployment/shop/cart"],
    )
    detail: str = Field(default="", description="The sentence that people read.", examples=["2 of 3 ready"])
    evidence: Mapping[str, Any] = Field(
        default={}, description="What it found.", examples=[{"deployments": 3}]
    )


class Try(Strict):
    """What becomes of one try of an action; of several in a list each takes the next, the last the rest."""

    does: words.Ending = Field(
        description="`succeeds`; `fails`, proven to have changed nothing; `unknown`, nobody can tell; "
        "`refuses`, it can't be planned.",
        examples=["succeeds"],
    )
    takes: fields.Duration = Field(
        default=NOTHING,
        description="How long it takes. Longer than the step's timeout makes it unknown.",
        examples=["20s"],
    )
    probe: words.Sighting = Field(
        default="unprovable",
        description="What a look at the target finds once it is unknown whether it happened.",
        examples=["happened"],
    )
    target: words.Target | None = Field(
        default=None,
        description="On this target alone; left out, on every.",
        examples=["deployment/shop/cart"],
    )
    detail: str = Field(default="", description="The sentence that people read.", examples=["quota exceeded"])
    values: Mapping[str, Any] = Field(
        default={}, description="What later steps see of it.", examples=[{"revision": 5}]
    )
    labels: words.Labels = Field(
        default={}, description="The labels that its target bears.", examples=[{"tier": "web"}]
    )
    ready: fields.Count | None = Field(
        default=None, description="Ready replicas of its target when it is planned.", examples=[3]
    )
    least: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="How many would be ready at its worst moment.", examples=[2]
    )


CheckAnswers = Annotated[
    tuple[Annotated[CheckAnswer, words.word_as("says")], ...], fields.ListedAny, *fields.NotEmpty
]
Tries = Annotated[tuple[Annotated[Try, words.word_as("does")], ...], fields.ListedAny, *fields.NotEmpty]


class World(Strict):
    """What stands in for the cluster. What is asked for and not described here fails the test."""

    checks: Mapping[CheckName, CheckAnswers] = Field(
        default={},
        description="What each check answers, and from when on. "
        "Left out, `alert.resolved` goes by the alerts.",
        examples=[{"kubernetes.gitops_managed": "no"}],
    )
    actions: Mapping[ActionName, Tries] = Field(
        default={},
        description="What becomes of each action.",
        examples=[{"kubernetes.rollout_undo": {"does": "succeeds", "takes": "20s"}}],
    )


#: What people do: the key is the verb.
VERBS = ("pause", "resume", "approve", "deny", "acknowledge", "clear", "run")


class Person(Strict):
    """Something that a person does: one verb, such as `pause` or `approve`."""

    at: fields.Duration = Field(default=NOTHING, description="When.", examples=["5m"])
    by: str = Field(default="somebody", description="Their name.", examples=["anna"])
    why: str = Field(default="rehearsed", description="Their reason.", examples=["looks right"])
    pause: words.Word | None = Field(
        default=None, description="Pause `all`, a rule or a target.", examples=["all"]
    )
    resume: words.Word | None = Field(
        default=None, description="Lift the pauses of `all`, a rule or a target.", examples=["all"]
    )
    approve: words.Word | None = Field(
        default=None, description="Approve what a run of this rule asks for.", examples=["rollback"]
    )
    deny: words.Word | None = Field(default=None, description="Deny it.", examples=["rollback"])
    acknowledge: words.Word | None = Field(
        default=None, description="Take on the page of a run of this rule.", examples=["rollback"]
    )
    clear: words.Target | None = Field(
        default=None, description="Lift the quarantine of this target.", examples=["deployment/shop/cart"]
    )
    run: words.Word | None = Field(
        default=None, description="Ask for a run of this rule.", examples=["rollback"]
    )
    labels: words.Labels = Field(default={}, description="The labels for `run`.", examples=[{"job": "cart"}])
    target: words.Target | None = Field(
        default=None,
        description="With `approve`, `deny` and `acknowledge`: of the run on this target.",
        examples=["deployment/shop/cart"],
    )
    length: fields.PositiveDuration | None = Field(
        default=None,
        alias="for",
        description="With `pause`: how long; left out, until resumed.",
        examples=["1h"],
    )

    @model_validator(mode="after")
    def _one(self) -> Person:
        if sum(getattr(self, verb) is not None for verb in VERBS) != 1:
            message = f"has to do one thing: write one of {', '.join(VERBS)}"
            raise ValueError(message)
        return self

    @property
    def verb(self) -> str:
        return next(verb for verb in VERBS if getattr(self, verb) is not None)


#: What can be expected, and which further keys each takes beside `at`, `rule`, `target` and `says`.
KINDS: Mapping[str, frozenset[str]] = {
    "run": frozenset({"outcome", "reason", "steps", "joins", "ends", "times"}),
    "skip": frozenset({"times"}),
    "wait": frozenset({"times"}),
    "page": frozenset({"times"}),
    "call": frozenset({"times"}),
    "brake": frozenset(),
    "quarantine": frozenset(),
    "told": frozenset({"channel"}),
}
_EVERY = frozenset({"at", "rule", "target", "says"})


class Expectation(Strict):
    """Something that has to happen: one of `run`, `skip`, `page` and so on.

    Runs and skips have to be expected, all of them; the rest only counts where it is named.
    """

    at: fields.Duration | None = Field(
        default=None, description="When, to five seconds; left out, at any time.", examples=["15m"]
    )
    run: words.Word | None = Field(default=None, description="A run of this rule.", examples=["rollback"])
    skip: words.ReasonWord | None = Field(
        default=None,
        description="An alert that nothing is done about, for this reason.",
        examples=["cooldown"],
    )
    wait: words.ReasonWord | None = Field(
        default=None, description="A decision that is put off, for this reason.", examples=["firing_for"]
    )
    page: words.Word | None = Field(
        default=None, description="A page of this rule, or of the `brake`.", examples=["rollback"]
    )
    call: words.Word | None = Field(
        default=None, description="This contact is called by a page.", examples=["engineering-lead"]
    )
    brake: words.Word | None = Field(
        default=None, description="The brake engages: for `all`, or one namespace.", examples=["all"]
    )
    quarantine: words.Target | None = Field(
        default=None, description="This target is quarantined.", examples=["deployment/shop/cart"]
    )
    told: words.Word | None = Field(
        default=None, description="People are told something that holds this text.", examples=["rolled back"]
    )
    rule: words.Word | None = Field(default=None, description="Of this rule.", examples=["rollback"])
    target: words.Target | None = Field(
        default=None, description="On this target.", examples=["deployment/shop/cart"]
    )
    says: words.Word | None = Field(
        default=None, description="Its detail holds this text.", examples=["frozen until"]
    )
    outcome: words.Outcome | None = Field(
        default=None, description="How the run ends, or where it is at the end.", examples=["succeeded"]
    )
    reason: words.ReasonWord | None = Field(
        default=None, description="Why the run was stopped.", examples=["denied"]
    )
    steps: Annotated[tuple[words.Word, ...], fields.Listed] | None = Field(
        default=None, description="The steps that were tried, in order, retries too.", examples=[["undo"]]
    )
    joins: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="How many further alerts joined it.", examples=[2]
    )
    ends: fields.Duration | None = Field(
        default=None, description="When the run ends, to five seconds.", examples=["3m"]
    )
    times: fields.Count = Field(default=1, description="How many such.", examples=[3])
    channel: words.Word | None = Field(
        default=None, description="In this channel.", examples=["slack:#incidents"]
    )

    @model_validator(mode="after")
    def _one(self) -> Expectation:
        found = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(found) != 1:
            message = f"has to expect one thing: write one of {', '.join(KINDS)}"
            raise ValueError(message)
        allowed = KINDS[found[0]] | _EVERY | {found[0]}
        extra = sorted(self.model_fields_set - allowed)
        if extra:
            message = f"`{extra[0]}` says nothing about a {found[0]}: {nearest(extra[0], sorted(allowed))}"
            raise ValueError(message)
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class Test(Strict):
    """One story: it begins with an empty ledger."""

    __test__: ClassVar[bool] = False  # no test of pytest's
    stand_ins: ClassVar[Mapping[str, Any]] = {"name": "unnamed"}

    name: words.Word = Field(
        description="What it shows, as a sentence.", examples=["a bad rollout is undone"]
    )
    starts: words.Moment = Field(
        default=DEFAULT_START,
        description="When it begins; left out, a Monday at noon. Freezes go by it.",
        examples=["2026-12-24 18:00"],
    )
    timezone: schedules.Timezone = Field(
        default="UTC", description="Whose clocks `starts` is on.", examples=["Europe/London"]
    )
    mode: words.Modes = Field(
        default="live",
        description="`live`: as if daemon and rules were live, to test rules before they are trusted; "
        "`approve`, `observe`: the daemon's, with live rules; `as_written`: a live daemon, the rules' own.",
        examples=["as_written"],
    )
    alerts: tuple[Alert, ...] = Field(
        default=(),
        description="What Alertmanager tells.",
        examples=[[{"labels": {"alertname": "ServiceDown"}}]],
    )
    world: Annotated[World, fields.OrEmpty] = Field(
        default=World(),
        description="In the place of the file's `world`, check by check and action by action.",
    )
    people: tuple[Person, ...] = Field(
        default=(), description="What people do.", examples=[[{"at": "2m", "approve": "rollback"}]]
    )
    until: fields.PositiveDuration | None = Field(
        default=None,
        description="When it is over; left out, when nothing is left to do, after all that is written here.",
        examples=["1h"],
    )
    expect: Annotated[
        tuple[Expectation, ...], fields.Also(words.expected, lambda _: {"const": "nothing"})
    ] = Field(
        description="What has to happen, or `nothing`: no run, and no skip.",
        examples=[[{"run": "rollback", "outcome": "succeeded"}]],
    )


class TestFile(Strict):
    """A file of rule tests of Remediator."""

    __test__: ClassVar[bool] = False

    version: fields.FormatVersion = Field(default=1, description="Version of this format; left out, 1.")
    rules: words.Word | None = Field(
        default=None,
        description="The rules' file or folder, from this file's folder; left out, what holds `tests/`.",
        examples=["../.."],
    )
    world: Annotated[World, fields.OrEmpty] = Field(
        default=World(), description="What stands in for the cluster, in all tests."
    )
    tests: tuple[Test, ...] = Field(default=(), description="The tests.")
