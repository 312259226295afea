"""The format of a rule file: rules, and the policy beside them.

Errors, JSON Schema and the guide's tables are all made from these models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from remediator.core import retention as core_retention
from remediator.core.contacts import DEFAULT_WAIT
from remediator.core.rules import (
    DEFAULT_DEADLINE,
    DEFAULT_FAILURES,
    DEFAULT_PARALLEL,
    DEFAULT_TARGETS,
    Patience,
    WatchdogPolicy,
)
from remediator.rulebook import addresses, fields, schedules
from remediator.rulebook.freezes import FreezeMoment
from remediator.rulebook.rule_models import NOTHING, Approval, Limits, Matchers, Rule, Strict, Words

_PATIENCE, _RETENTION, _WATCHDOG = Patience(), core_retention.Retention(), WatchdogPolicy()

Patterns = Annotated[
    tuple[str, ...],
    fields.Listed,
    Field(description="Shell patterns such as `shop-*`, any of which may fit.", examples=[["selfmonitor"]]),
]


class PerTarget(Strict):
    """How often one target may be acted on, whichever rule does it."""

    cooldown: fields.Duration = Field(
        default=NOTHING, description="How long a target is left alone after any run on it.", examples=["5m"]
    )
    rate: Annotated[tuple[fields.Rate, ...], fields.Listed] = Field(
        default=(), description="How often in how long, each of them.", examples=["4/1h"]
    )


class SharedLimits(Strict):
    """Limits across all rules."""

    per_target: Annotated[PerTarget | None, fields.OrEmpty] = Field(
        default=None,
        description="On one target, whichever rules act on it; a run that they refuse pages.",
        examples=[{"cooldown": "5m", "rate": "4/1h"}],
    )


_TARGETS = "Distinct targets that runs are demanded on, in how long: one more stops automation."
_PARALLEL = "Runs at the same time; further ones wait."
_SHARE = (
    "Distinct targets as a share of a namespace's Deployments, rounded down but always one, within the "
    "window of `targets` or its own: one more stops automation there."
)
_HEALTHY = (
    "Ready replicas that each service keeps, or as many as it has, even at the worst moment of an action: "
    "else that run is refused."
)
_FAILURES = "Runs that end failed or unknown, in how long: so many stop automation."


class NamespaceBrake(Strict):
    """The brake within one namespace: past its budgets automation stops there alone."""

    targets: fields.Rate | None = Field(default=None, description=_TARGETS, examples=["2/10m"])
    parallel: fields.Count | None = Field(default=None, description=_PARALLEL, examples=[1])
    failures: fields.Rate | None = Field(default=None, description=_FAILURES, examples=["1/1h"])
    share: fields.Share | None = Field(
        default=None, description="The same as `brake.share`, in its place.", examples=["50%/10m"]
    )
    minimum_healthy: fields.Count | None = Field(
        default=None, description="The same as `brake.minimum_healthy`, in its place.", examples=[2]
    )


class Brake(Strict):
    """What may happen at once, over all rules: many faults are an outage, and want a person."""

    targets: fields.Rate = Field(default=DEFAULT_TARGETS, description=_TARGETS, examples=["5/10m"])
    parallel: fields.Count = Field(default=DEFAULT_PARALLEL, description=_PARALLEL, examples=[3])
    failures: fields.Rate = Field(default=DEFAULT_FAILURES, description=_FAILURES, examples=["3/1h"])
    release_after: fields.PositiveDuration | None = Field(
        default=None,
        description="When an engaged brake lets go by itself; left out, a person has to resume.",
        examples=["1h"],
    )
    share: fields.Share | None = Field(default=None, description=_SHARE, examples=["30%"])
    minimum_healthy: fields.Count | None = Field(default=None, description=_HEALTHY, examples=[1])
    namespaces: Mapping[fields.NamespaceName, Annotated[NamespaceBrake, fields.OrEmpty]] = Field(
        default={},
        description="Budgets of single namespaces, beside those of everything.",
        examples=[{"shop": {"targets": "2/10m"}}],
    )


class Names(Strict):
    """Targets by namespace, kind and name; what is left out fits all."""

    namespaces: Patterns = ()
    kinds: Annotated[tuple[fields.Kind, ...], fields.Listed] = Field(
        default=(), description="Kinds of targets.", examples=[["deployment"]]
    )
    names: Patterns = ()


class Selection(Names):
    """Targets by what they are called and how they are labelled; what is left out fits all."""

    labels: fields.Selector = Field(
        default=(),
        description="Labels of the object, as `kubectl get -l` has them, or as a mapping, "
        "seen when a step is planned and tested by the write itself.",
        examples=["tier in (web, api), !legacy"],
    )


class Freeze(Names):
    """A time in which nothing is changed: everywhere, or on the targets that it names."""

    summary: str = Field(default="", description="What is going on.", examples=["Year's end"])
    begins: FreezeMoment = Field(
        alias="from",
        description="When it begins: a day, a time on a day, or one of every week.",
        examples=["2026-12-20", "fri 18:00"],
    )
    ends: FreezeMoment = Field(
        alias="to",
        description="When it ends, written as `from` is; a day is frozen to its end.",
        examples=["2027-01-04", "mon 08:00"],
    )
    timezone: schedules.Timezone = Field(
        default="UTC", description="Whose clocks and days these are.", examples=["Europe/London"]
    )


class Severity(Strict):
    """One level of urgency."""

    matchers: Matchers = Field(
        default=(),
        description="Alerts that have it, unless their rule says otherwise.",
        examples=[['severity="critical"']],
    )
    respond_within: fields.PositiveDuration | None = Field(
        default=None, description="How soon a person has to respond.", examples=["15m"]
    )


class Contact(Strict):
    """Somebody who can be named in `escalate`."""

    summary: str = Field(default="", description="Who that is.", examples=["Leads the platform's engineers"])
    slack: addresses.SlackId | None = Field(
        default=None, description="Slack id of the person or group to mention.", examples=["S0123456789"]
    )
    pagerduty: addresses.RoutingKey | None = Field(
        default=None,
        description="Their routing key: its name, as the file of `REMEDIATOR_PAGERDUTY_ROUTING_KEY` has it, "
        "or where it is kept, `{env: NAME}` or `{file: PATH}`.",
        examples=["lead"],
    )
    wait: fields.PositiveDuration = Field(
        default=DEFAULT_WAIT, description="How long they have before the next is called.", examples=["5m"]
    )
    email: str | None = Field(default=None, description="Email address.", examples=["lead@example.org"])
    phone: str | None = Field(default=None, description="Phone number.", examples=["+44 7700 900000"])


class Defaults(Strict):
    """What rules have when they don't say otherwise."""

    report: Annotated[Words, *fields.NotEmpty] | None = Field(
        default=None,
        description="Channels that hear of runs; left out, slack:#incidents.",
        examples=[["slack:#incidents"]],
    )
    escalate: Words = Field(
        default=(), description="Who is called in turn when a rule pages.", examples=[["on-call-engineer"]]
    )
    deadline: fields.PositiveDuration = Field(
        default=DEFAULT_DEADLINE, description="How long everything may take.", examples=["15m"]
    )
    mode: fields.Mode | None = Field(
        default=None, description="Their mode; left out, `observe`.", examples=["approve"]
    )
    severity: str | None = Field(
        default=None,
        description="Their severity; left out, by the matchers of `severities`, else P3.",
        examples=["P2"],
    )
    limits: Annotated[Limits | None, fields.OrEmpty] = Field(
        default=None,
        description="Their limits, each by itself: a rule with its own `cooldown` has the `rate` from here.",
        examples=[{"cooldown": "30m", "rate": ["3/1h", "7/1d"]}],
    )
    approval: Approval | None = Field(
        default=None,
        description="Asks a person before rules act; a rule is free of it with `approval: null`.",
        examples=[{"within": "10m"}],
    )


class Watchdog(Strict):
    """An alert that always fires: once it has arrived, its absence says that no alert arrives any more."""

    matchers: Matchers = Field(
        default=_WATCHDOG.matchers,
        description="Which alert that is; an empty list: none. No rule is asked about it.",
        examples=[['alertname="Watchdog"']],
    )
    within: fields.PositiveDuration = Field(
        default=_WATCHDOG.within,
        description="How long it may stay away before people are paged.",
        examples=["15m"],
    )


class Episodes(Strict):
    """How long an alert may go untold that no webhook has told the end of."""

    ask_after: fields.PositiveDuration = Field(
        default=_PATIENCE.ask_after,
        description="After how long every Alertmanager is asked whether it still fires.",
        examples=["30m"],
    )
    vanish_after: fields.PositiveDuration = Field(
        default=_PATIENCE.vanish_after,
        description="After how long it is closed as vanished, if all of them prove that it is gone.",
        examples=["1h"],
    )
    lapse_after: fields.PositiveDuration = Field(
        default=_PATIENCE.lapse_after,
        description="After how long it is closed as lapsed, if they can't be asked: "
        "longer than twice Alertmanager's `repeat_interval`.",
        examples=["24h"],
    )


class Retention(Strict):
    """How long the ledger keeps what nothing needs any more."""

    bodies: fields.PositiveDuration = Field(
        default=_RETENTION.bodies,
        description="Webhooks as they came in; what was made of them is kept.",
        examples=["7d"],
    )
    events: fields.PositiveDuration = Field(
        default=_RETENTION.events,
        description="What happened, step by step, and the messages that were sent.",
        examples=["90d"],
    )
    decisions: fields.PositiveDuration = Field(
        default=_RETENTION.decisions,
        description="Alerts, decisions, runs, and the events of an audit: who steered what, and what was "
        "changed. At least as long as `events`, and as any limit looks back.",
        examples=["400d"],
    )


class Database(Strict):
    """A database, and what it is in Kubernetes."""

    objects: Annotated[tuple[fields.Object, ...], fields.Listed] = Field(
        default=(),
        description="The objects that it also is: whoever acts on it acts on them, and the other way round. "
        "Pauses, quarantines and leases of one hold for all.",
        examples=[["statefulset/selfmonitor/postgres"]],
    )


class RuleFile(Strict):
    """A rule file of Remediator. Every key but `rules` is policy, and stands in one file only."""

    version: fields.FormatVersion = Field(
        default=1, description="Version of this format; left out, 1.", examples=[1]
    )
    rules: tuple[Rule, ...] = Field(
        default=(),
        description="In order of path, then position: the first whose `when` and `only_if` hold takes it.",
        examples=[
            [
                {
                    "name": "service-down-page",
                    "when": {"matchers": ['alertname="ServiceDown"']},
                    "target": "deployment/{{ labels.namespace }}/{{ labels.job }}",
                }
            ]
        ],
    )
    limits: Annotated[SharedLimits, fields.OrEmpty] = Field(
        default=SharedLimits(),
        description="Limits across all rules.",
        examples=[{"per_target": {"cooldown": "5m"}}],
    )
    brake: Annotated[Brake, fields.OrEmpty] = Field(
        default=Brake(), description="What may happen at once.", examples=[{"parallel": 3}]
    )
    scope: Selection | None = Field(
        default=None,
        description="The only targets that may be acted on; left out, all but the protected.",
        examples=[{"namespaces": ["selfmonitor"]}],
    )
    protect: tuple[Selection, ...] = Field(
        default=(),
        description="Targets that are never acted on; kube-system, kube-public, kube-node-lease "
        "and Remediator's own namespace never are anyway.",
        examples=[[{"kinds": ["deployment"], "names": ["payments-*"]}]],
    )
    severities: Mapping[str, Annotated[Severity, fields.OrEmpty]] = Field(
        default={},
        description="Levels of urgency, the most urgent first.",
        examples=[{"P1": {"matchers": ['severity="critical"'], "respond_within": "15m"}}],
    )
    contacts: Mapping[str, Annotated[Contact, fields.OrEmpty]] = Field(
        default={},
        description="Who can be named in `escalate`.",
        examples=[{"engineering-lead": {"summary": "Leads the platform's engineers"}}],
    )
    channels: Mapping[str, addresses.Channel] = Field(
        default={},
        description="Short names for channels, to be used in `report`. One that a webhook posts to is "
        "`{slack_webhook: {env: NAME}}`, or `{file: PATH}`: where the webhook's URL is kept.",
        examples=[{"incidents": "slack:#incidents", "leads": {"slack_webhook": {"env": "LEADS_WEBHOOK"}}}],
    )
    defaults: Annotated[Defaults, fields.OrEmpty] = Field(
        default=Defaults(),
        description="What rules have when they don't say otherwise.",
        examples=[{"report": ["slack:#incidents"]}],
    )
    watchdog: Annotated[Watchdog, fields.OrEmpty] = Field(
        default=Watchdog(),
        description="The alert that always fires, and is missed when it stays away.",
        examples=[{"within": "15m"}],
    )
    episodes: Annotated[Episodes, fields.OrEmpty] = Field(
        default=Episodes(),
        description="When alerts that nobody tells of any more are asked about, and closed.",
        examples=[{"ask_after": "30m"}],
    )
    retention: Annotated[Retention, fields.OrEmpty] = Field(
        default=Retention(),
        description="How long the ledger keeps what nothing needs any more.",
        examples=[{"bodies": "7d", "events": "90d", "decisions": "400d"}],
    )
    databases: Mapping[fields.DatabaseName, Annotated[Database, fields.OrEmpty]] = Field(
        default={},
        description="Databases, by the name under which rules act on them: `database/NAME`.",
        examples=[{"production": {"objects": ["statefulset/selfmonitor/postgres"]}}],
    )
    backups: Mapping[str, Any] = Field(
        default={}, description="Backups, by name. Not acted on yet.", examples=[{"nightly": {}}]
    )
    freezes: tuple[Freeze, ...] = Field(
        default=(),
        description="Times in which nothing is changed; people are told all the same.",
        examples=[[{"summary": "Year's end", "from": "2026-12-20", "to": "2027-01-04"}]],
    )
