"""What the API gives, as it is on the wire; ``/api/openapi.json`` is made from these types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from remediator.core.approvals import How, Settled
from remediator.core.changes import Proposal
from remediator.core.checks import Said
from remediator.core.decide import DecisionKind
from remediator.core.episodes import Closed
from remediator.core.events import EventKind
from remediator.core.guards import Answer, BudgetKey, Guard, PauseScope
from remediator.core.reasons import Reason
from remediator.core.rules import Expect, Otherwise
from remediator.core.runs import Outcome, Phase, RunState
from remediator.web.ports import Health

Instant = Annotated[
    str, Meta(description="RFC 3339, in UTC, with microseconds.", extra_json_schema={"format": "date-time"})
]
Hash = Annotated[str, Meta(description="SHA-256 over a rulebook's files, in hex.")]
Digest = Annotated[str, Meta(description="SHA-256 over all that a run would do, in hex.")]
TargetText = Annotated[
    str, Meta(description="`[cluster/]kind/[namespace/]name`", examples=["deployment/shop/cart"])
]


def instant(at: datetime) -> str:
    """Write a time as every answer does."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class View(Struct, frozen=True):
    """Something that is told."""


class RunView(View, frozen=True):
    """A run. `outcome` is its final state, null while it has not ended; `acted` is its first intent."""

    id: str
    rule: str
    target: TargetText
    outcome: RunState | None
    started: Instant
    ended: Instant | None
    state: RunState
    severity: str
    mode: str
    acted: Instant | None
    deadline: Instant
    phase: Phase
    position: int
    reason: Reason | None
    detail: str
    rulebook: Hash
    episode: int


class EpisodeView(View, frozen=True):
    """One firing of an alert; `starts_at` and `ended_at` are Alertmanager's times."""

    id: int
    source: str
    fingerprint: str
    alertname: str
    labels: dict[str, str]
    annotations: dict[str, str]
    group: dict[str, str]
    starts_at: Instant
    ended_at: Instant | None
    first_seen: Instant
    last_seen: Instant
    closed: Closed | None
    closed_at: Instant | None
    repeats: int


class FactView(View, frozen=True):
    """A check's answer, gathered before the decision. `holds` says whether it was the expected one."""

    check: str
    params: dict[str, Any] = field(name="with")
    expect: Expect
    said: Said
    holds: bool
    detail: str
    evidence: dict[str, Any]
    at: Instant


class PassedOverView(View, frozen=True):
    """A rule whose matchers held and whose facts did not. `target` is empty where it was not kept."""

    rule: str
    target: str
    facts: list[FactView]


class GuardView(View, frozen=True):
    """What one guard said, with the value that it saw."""

    guard: Guard
    answer: Answer
    detail: str
    reason: Reason | None


class DecisionView(View, frozen=True):
    """What was decided on an episode by one rule (empty: no rule), and why."""

    id: int
    episode: int
    rule: str
    target: str
    at: Instant
    kind: DecisionKind
    reason: Reason
    meaning: Annotated[str, Meta(description="The reason, in words.")]
    detail: str
    mode: str
    run: str | None
    not_before: Instant | None
    expires: Instant | None
    rulebook: Hash
    facts: list[FactView]
    guards: list[GuardView]
    passed: Annotated[list[PassedOverView], Meta(description="Rules before it that did not take the alert.")]


class PastEpisodeView(EpisodeView, frozen=True):
    """An episode with the final decisions on it, oldest first."""

    decisions: list[DecisionView]


class PastView(View, frozen=True):
    """Episodes, newest first; `before` asks for the next page, null on the last."""

    episodes: list[PastEpisodeView]
    before: int | None


class AttemptView(View, frozen=True):
    """One try of a step. `diff` is what it was to change; `outcome` is null while nobody knows."""

    id: str
    step: str
    phase: Phase
    number: int
    action: str
    params: dict[str, Any] = field(name="with")
    fencing_token: int
    intended: Instant
    deadline: Instant
    ended: Instant | None
    outcome: Outcome | None
    summary: str
    diff: str
    detail: str


class EventView(View, frozen=True):
    """An immutable fact of the ledger."""

    id: int
    kind: EventKind
    at: Instant
    version: int
    data: dict[str, Any]
    episode: int | None
    run: str | None
    rule: str | None
    target: str | None


class PlannedStepView(View, frozen=True):
    """What a step would do. `planned` is false where that can't be known before others are done."""

    step: str
    action: str
    params: dict[str, Any] = field(name="with")
    summary: str
    diff: str
    planned: bool


class ApprovalView(View, frozen=True):
    """What a person is asked about a run: what it would do, until when, and who said what.

    `digest` names the plan, and an answer counts for no other; `number` counts the run's requests. `outcome`
    is null while it waits; `who` is empty where it was nobody.
    """

    run: str
    number: int
    rule: str
    target: TargetText
    digest: Digest
    steps: list[PlannedStepView]
    fallback: list[PlannedStepView]
    asked: list[str]
    asked_at: Instant
    until: Instant
    otherwise: Otherwise
    outcome: Settled | None
    settled: Instant | None
    who: str
    why: str
    how: How | None


class AskingView(View, frozen=True):
    """A run that waits for a person; `asked` are those who may answer."""

    run: str
    rule: str
    target: TargetText
    severity: str
    summary: str
    asked: list[str]
    until: Instant
    otherwise: Otherwise


class RunStory(RunView, frozen=True):
    """A run with what led to it and came of it.

    `joined` counts the episodes that belong to it; of these and of the decisions the first 100 are here.
    `pruned` says that of `events` only an audit's are left: they are older than `retention.events`.
    """

    joined: int
    episodes: list[EpisodeView]
    decisions: list[DecisionView]
    attempts: list[AttemptView]
    events: list[EventView]
    approvals: list[ApprovalView]
    pruned: bool


class PauseView(View, frozen=True):
    """Automation stopped; `until` is null while it is open-ended.

    `brake` is the budget that was overspent, if the brake stopped it and not a person; `name` is what they
    called it, empty if nothing.
    """

    id: int
    scope: PauseScope
    value: str
    why: str
    who: str
    name: str
    at: Instant
    until: Instant | None
    brake: BudgetKey | None


class StoppedView(View, frozen=True):
    """What the brake kept a rule from: so many alerts, on so many targets."""

    rule: str
    alerts: int
    targets: int


class BrakeView(View, frozen=True):
    """An engaged brake, and what it has stopped; `examples` are the first of the targets."""

    pause: PauseView
    alerts: int
    targets: int
    rules: list[StoppedView]
    examples: list[TargetText]


class QuarantineView(View, frozen=True):
    """A target on which nothing is done until a person, or a probe, knows what happened."""

    target: TargetText
    run: str
    attempt: str | None
    why: str
    at: Instant


class BacklogView(View, frozen=True):
    """How far behind the daemon is."""

    webhooks: int
    episodes: int
    outbox: int
    parked_notices: int
    unfinished_runs: int
    oldest_undecided: Instant | None
    oldest_unsent: Instant | None
    inquiries: int
    oldest_inquiry: Instant | None


class RulebookView(View, frozen=True):
    """A rulebook that the ledger knows."""

    hash: Hash
    first_seen: Instant


class PageView(View, frozen=True):
    """A call for a person that is not over. `called` counts the calls of its chain, the next is at `next`."""

    id: int
    run: str | None
    rule: str
    target: str
    title: str
    severity: str
    opened: Instant
    called: int
    next: Instant | None
    acknowledged: Instant | None
    acknowledged_by: str
    acknowledged_why: str


class UnreadableView(View, frozen=True):
    """A row of the ledger that this daemon can't read, and passes over. `newer`: a newer version wrote it."""

    table: str
    id: str
    why: str
    newer: bool
    met: Instant


class StatusView(View, frozen=True):
    """Where the daemon stands. `mode` is this daemon's; a rule's own may be lower.

    `rule_files` tells why this daemon's rule files are not the rulebook in force, empty while they are;
    `drift` is their hash while another rulebook is in force.
    """

    version: str
    mode: str
    time: Instant
    rulebook: RulebookView | None
    rule_files: str
    drift: Hash | None
    backlog: BacklogView
    pauses: list[PauseView]
    brakes: list[BrakeView]
    quarantines: list[QuarantineView]
    asking: list[AskingView]
    pages: list[PageView]
    unreadable: list[UnreadableView]


class Requested(View, frozen=True):
    """A request that was kept, and what was decided on it; `null` while that takes longer than the answer."""

    request: str
    target: TargetText
    decision: DecisionView | None


class Resumed(View, frozen=True):
    """How many pauses were lifted."""

    lifted: int


class Cleared(View, frozen=True):
    """The target whose quarantine was lifted."""

    target: TargetText


class Reloaded(View, frozen=True):
    """What became of the rule files, and the rulebook that is in force now."""

    proposal: Proposal
    rulebook: RulebookView | None


class DependencyView(View, frozen=True):
    """How one dependency is doing."""

    status: Health
    detail: str


class HealthView(View, frozen=True):
    """How the daemon is doing; each dependency is a further member, by its name."""

    status: Health
    timestamp: Instant
    version: str


class ReadyView(View, frozen=True):
    """Whether a webhook would be kept now. `detail` is why not, or what is wrong with the rule files."""

    status: str
    detail: str


class Problem(View, frozen=True):
    """What went wrong and what to do about it (RFC 9457)."""

    title: str
    status: int
    detail: str
    remedy: str
    request_id: str
    problems: list[str] = field(default_factory=list)
    type: str = "about:blank"
