"""The format of one rule: what each key holds, what it means, and what it is when left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.core.rules import DEFAULT_COOLDOWN, DEFAULT_STEP_TIMEOUT
from remediator.core.rules import Expect as CoreExpect
from remediator.core.rules import Mode as CoreMode
from remediator.core.rules import Otherwise as CoreOtherwise
from remediator.rulebook import fields, schedules
from remediator.rulebook.parameters import UNKNOWN, check_parameters, read_parameters

NOTHING = timedelta(0)

ActionName = Annotated[
    str, PlainValidator(fields.one_of("action", ACTIONS)), WithJsonSchema({"enum": sorted(ACTIONS)})
]
CheckName = Annotated[
    str, PlainValidator(fields.one_of("check", CHECKS)), WithJsonSchema({"enum": sorted(CHECKS)})
]
Parameters = Annotated[
    Mapping[str, Any],
    PlainValidator(read_parameters),
    WithJsonSchema({"type": ["object", "null"]}),
    Field(description="Parameters. Text is a template: `{{ labels.job }}`.", examples=[{"replicas": 5}]),
]
Words = Annotated[tuple[str, ...], fields.Listed]
Labels = Annotated[tuple[fields.Label, ...], fields.Listed]
Matchers = Annotated[tuple[fields.Matcher, ...], fields.Listed]


class Strict(BaseModel):
    """A mapping of known keys."""

    #: Values for keys that can't be read, with which the rest is still judged.
    stand_ins: ClassVar[Mapping[str, Any]] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Count(Strict):
    """Fires only once enough alerts have, and on all of them together."""

    at_least: fields.Count = Field(
        description="How many alerts there have to be. Each counts once, however often it comes back.",
        examples=[3],
    )
    within: fields.PositiveDuration = Field(
        description="In how long. One that has waited for so long in vain goes on to the next rule.",
        examples=["5m"],
    )
    by: Annotated[Labels, *fields.NotEmpty] = Field(
        description="The labels whose values they have to share; templates of this rule see only these.",
        examples=[["job"]],
    )


class When(Strict):
    """What the rule answers to: `matchers`, or `schedule`, or `manual`, and one of them only."""

    matchers: Matchers | None = Field(
        default=None,
        description="Matchers as in Alertmanager: `=` `!=` `=~` `!~`, anchored, RE2. All have to hold; "
        "a label that is absent is the empty text.",
        examples=[['alertname="ServiceDown"', 'job=~"auth-service|user-profile-service"']],
    )
    firing_for: fields.Duration | None = Field(
        default=None,
        description="How long the alert must have fired before the rule decides.",
        examples=["30s"],
    )
    count: Count | None = Field(
        default=None,
        description="How many such alerts there have to be together before any of them is acted on.",
        examples=[{"at_least": 3, "within": "5m", "by": ["job"]}],
    )
    schedule: schedules.Cron | None = Field(
        default=None,
        description="A cron schedule of five fields. Not acted on yet: the rule never runs.",
        examples=["0 2 * * *"],
    )
    timezone: schedules.Timezone | None = Field(
        default=None, description="The schedule's timezone; left out, UTC.", examples=["Europe/London"]
    )
    manual: fields.Flag | None = Field(
        default=None,
        description="`true`: run by people alone, with `remediator run`.",
        examples=[True],
    )


class CheckUse(Strict):
    """A check, with its parameters."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"check": fields.StandIn("unknown"), "with": UNKNOWN}

    check: CheckName = Field(description="The check's name.", examples=["kubernetes.rolled_out"])
    params: Parameters = Field(default={}, alias="with", validate_default=True)

    @field_validator("params")
    @classmethod
    def _fit(cls, params: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        return check_parameters(CHECKS.get(info.data.get("check", "")), params)


class FactUse(CheckUse):
    """A check whose answer decides whether the rule takes the alert.

    Another answer than the expected one goes on to the next rule, an error stops and pages.
    """

    expect: fields.Expect = Field(
        default=CoreExpect.YES,
        description="The answer that it has to have: yes or no; left out, yes.",
        examples=["no"],
    )


class StepUse(Strict):
    """One action on the target."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"action": fields.StandIn("unknown"), "with": UNKNOWN}

    action: ActionName = Field(description="The action's name.", examples=["kubernetes.rollout_undo"])
    params: Parameters = Field(default={}, alias="with", validate_default=True)
    id: fields.StepId | None = Field(
        default=None,
        description="Under which name later steps see its results: `{{ steps.undo.revision }}`. "
        "Left out, the end of the action's name.",
        examples=["undo"],
    )
    timeout: fields.PositiveDuration = Field(
        default=DEFAULT_STEP_TIMEOUT, description="How long one try may take.", examples=["2m"]
    )
    retry: fields.Retries = Field(
        default=0, description="How many more tries after one that provably failed.", examples=[2]
    )

    @field_validator("params")
    @classmethod
    def _fit(cls, params: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        return check_parameters(ACTIONS.get(info.data.get("action", "")), params)


class Verify(Strict):
    """The proof: all checks say yes, for `stable_for` without a break, before `within` is over."""

    within: fields.PositiveDuration = Field(
        description="How long the proof may take, from the end of the last step.", examples=["8m"]
    )
    checks: Annotated[tuple[CheckUse, ...], *fields.NotEmpty] = Field(
        description="The checks that all have to say yes.",
        examples=[[{"check": "alert.resolved"}]],
    )
    stable_for: fields.Duration = Field(
        default=NOTHING, description="For how long they have to keep saying yes.", examples=["1m"]
    )


class Limits(Strict):
    """How often the rule may act. A run that is refused pages."""

    cooldown: fields.Duration = Field(
        default=DEFAULT_COOLDOWN,
        description="How long the rule leaves a target alone once a run on it has ended.",
        examples=["15m"],
    )
    rate: Annotated[tuple[fields.Rate, ...], fields.Listed] = Field(
        default=(),
        description="How often on one target in how long; all of them hold.",
        examples=[["3/1h", "7/1d"]],
    )
    targets: fields.Rate | None = Field(
        default=None,
        description="On how many distinct targets in how long.",
        examples=["2/10m"],
    )


class Approval(Strict):
    """Asks a person first, who approves or denies the very plan that is shown."""

    within: fields.PositiveDuration = Field(description="How long people have to answer.", examples=["10m"])
    otherwise: fields.Otherwise = Field(
        default=CoreOtherwise.ESCALATE,
        description="What happens when nobody answers: `escalate` ends it and pages, `skip` ends it and "
        "reports, `run` goes on as if approved.",
        examples=["escalate"],
    )


class Rule(Strict):
    """One rule: when it answers, to what it does what, how that is proven, and who hears of it."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"name": "unnamed", "when": {}, "target": "database/unnamed"}

    name: fields.RuleName = Field(
        description="Its identity: limits, pauses and history go by it.", examples=["service-down-rollback"]
    )
    when: When = Field(
        description="What the rule answers to.", examples=[{"matchers": ['alertname="ServiceDown"']}]
    )
    target: fields.Target = Field(
        description="What it acts on: `[cluster/]kind/[namespace/]name`. Each part is a template.",
        examples=["deployment/{{ labels.namespace }}/{{ labels.job }}"],
    )
    summary: str = Field(
        default="",
        description="One sentence for people: what it does, and why.",
        examples=["Undo the last rollout"],
    )
    was: Annotated[tuple[fields.RuleName, ...], fields.Listed] = Field(
        default=(), description="Its earlier names, so that limits and history go on.", examples=["old-name"]
    )
    severity: str | None = Field(
        default=None,
        description="P0 to P3, or one of `severities`; left out, by the policy's matchers, else P3.",
        examples=["P1"],
    )
    only_if: tuple[FactUse, ...] = Field(
        default=(),
        description="Checks made before deciding. An unexpected answer goes on to the next rule; "
        "one that can't be had stops and pages.",
        examples=[[{"check": "kubernetes.rolled_out_within", "with": {"window": "1h"}}]],
    )
    limits: Annotated[Limits, fields.OrEmpty] = Field(
        default=Limits(), description="How often it may act.", examples=[{"cooldown": "15m"}]
    )
    approval: Approval | None = Field(
        default=None,
        description="Asks a person first, also in mode `live`; left out in mode `approve`, for 10m and then "
        "`escalate`.",
        examples=[{"within": "10m", "otherwise": "escalate"}],
    )
    deadline: fields.PositiveDuration | None = Field(
        default=None,
        description="How long everything may take, proof included; left out, that of `defaults`, else 15m.",
        examples=["12m"],
    )
    steps: tuple[StepUse, ...] = Field(
        default=(),
        description="Actions, in order. None: the rule only pages.",
        examples=[[{"id": "undo", "action": "kubernetes.rollout_undo"}]],
    )
    verify: Verify | None = Field(
        default=None,
        description="How success is proven; left out, by the actions' own checks, within 8m.",
        examples=[{"within": "8m", "checks": [{"check": "kubernetes.rolled_out"}]}],
    )
    on_failure: tuple[StepUse, ...] = Field(
        default=(),
        description="Actions for when a step or the proof has provably failed; the proof is then made again.",
        examples=[[{"action": "kubernetes.rollout_restart"}]],
    )
    escalate: Words = Field(
        default=(),
        description="Who is called in turn when it pages, until somebody acknowledges; of `contacts`.",
        examples=[["engineering-lead"]],
    )
    report: Words = Field(
        default=(),
        description="Channels that hear of its runs, or names of `channels`; left out, those of `defaults`.",
        examples=[["slack:#incidents"]],
    )
    mode: fields.Mode = Field(
        default=CoreMode.OBSERVE,
        description="`observe` says what it would do, `approve` does it once a person approves, `live` does "
        "it. "
        "The lower of this and `REMEDIATOR_MODE` holds.",
        examples=["live"],
    )
    goes_on: fields.Flag = Field(
        default=False,
        alias="continue",
        description="`true`: later rules may take the alert too.",
        examples=[True],
    )
