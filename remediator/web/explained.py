"""What ``/api/v1/explain`` takes and gives, as it is on the wire."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from remediator.core.decide import DecisionKind
from remediator.core.explaining import Fate
from remediator.core.reasons import Reason
from remediator.web.models import (
    DecisionView,
    EpisodeView,
    FactView,
    GuardView,
    Hash,
    Instant,
    PauseView,
    QuarantineView,
    RunStory,
    RunView,
    TargetText,
    View,
)
from remediator.web.requests import Asked


class MatcherView(View, frozen=True):
    """A matcher, and what it saw of an alert; `value` is null where the alert has no such label."""

    matcher: Annotated[str, Meta(examples=['alertname="ServiceDown"'])]
    value: str | None
    holds: bool


class RuleAccountView(View, frozen=True):
    """What one rule made of an episode. `facts` are those that did not let it take the episode.

    `standing` is `decided` (see the decision), `matchers` or `facts` (one did not hold), `taken` (by a rule
    before it), `trigger` (no alert triggers it), or `undetermined` where nothing was stored of it.
    """

    rule: str
    standing: Fate
    meaning: Annotated[str, Meta(description="The standing, in words.")]
    decision: int | None
    matchers: list[MatcherView]
    facts: list[FactView]


class RulesAskedView(View, frozen=True):
    """The rules of the rulebook that an episode was decided by, in their order.

    `kept` is false where the ledger has it no more: what the other rules saw is undetermined then.
    """

    rulebook: Hash
    kept: bool
    rules: list[RuleAccountView]


class RunExplained(RunStory, frozen=True, tag_field="explains", tag="run"):
    """A run's story, and what each rule made of the alert that began it."""

    asked: list[RulesAskedView]


class EpisodeStory(EpisodeView, frozen=True):
    """An episode with all decisions on it, oldest first, what each rule made of it, and its runs."""

    decisions: list[DecisionView]
    asked: list[RulesAskedView]
    runs: list[RunView]


class EpisodeExplained(EpisodeStory, frozen=True, tag_field="explains", tag="episode"):
    """One episode."""


class AlertExplained(View, frozen=True, tag_field="explains", tag="alert"):
    """The latest episodes with a fingerprint, a name or labels; newest first."""

    asked_for: str
    episodes: list[EpisodeStory]


class ReasonCountView(View, frozen=True):
    """How often a rule decided so for this reason, and when last."""

    kind: DecisionKind
    reason: Reason
    meaning: str
    count: int
    latest: Instant


class GuardsNowView(View, frozen=True):
    """What each guard would say now, if the rule were to act on this target."""

    target: TargetText
    guards: list[GuardView]


class NotTakenView(View, frozen=True):
    """A recent episode that the rule gave no decision on; `account` is null where nobody can say why."""

    episode: EpisodeView
    account: RuleAccountView | None


class RuleExplained(View, frozen=True, tag_field="explains", tag="rule"):
    """A rule: what it decided lately, what it did not take and why, and what holds it now.

    `in_force` is false where the rulebook in force has it no more. `from_defaults` are the keys of the rule
    that `defaults` say for it. `counts` are of its latest 20,000
    decisions, `guards` of targets that it had to do with lately; `pauses` (the brake's too) and
    `quarantines` are those that concern it now.
    """

    rule: str
    was: list[str]
    summary: str
    in_force: bool
    mode: Annotated[str, Meta(description="The lower of the daemon's and the rule's own.")]
    matchers: list[str]
    from_defaults: list[str]
    counts: list[ReasonCountView]
    decisions: list[DecisionView]
    not_taken: list[NotTakenView]
    guards: list[GuardsNowView]
    pauses: list[PauseView]
    quarantines: list[QuarantineView]


Explained = RunExplained | EpisodeExplained | AlertExplained | RuleExplained


class ExplainQuery(Asked, frozen=True):
    """What is asked about."""

    of: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1000,
            description="A run's id or its beginning, an episode's number, a rule's name, an alert's"
            " fingerprint or name, or matchers.",
            examples=['alertname="ServiceDown", job="cart"'],
        ),
    ]
