"""Why something was decided: one enum, one metric label, one documented line each."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The single reason that every decision and every stop of a run carries."""

    MATCHED = "matched"
    JOINED = "joined"
    JOINED_LATE = "joined_late"
    FIRING_FOR = "firing_for"
    COUNT = "count"
    PARALLEL = "parallel"
    BRAKE = "brake"
    NO_RULE = "no_rule"
    PAGE_ONLY = "page_only"
    RESOLVED = "resolved"
    SUPERSEDED = "superseded"
    TARGET_INVALID = "target_invalid"
    FACT_ERROR = "fact_error"
    EXPIRED = "expired"
    PAUSED = "paused"
    SCOPE = "scope"
    PROTECTED = "protected"
    QUARANTINED = "quarantined"
    FROZEN = "frozen"
    COOLDOWN = "cooldown"
    RATE = "rate"
    TARGETS = "targets"
    MINIMUM_HEALTHY = "minimum_healthy"
    PER_TARGET = "per_target"
    MODE = "mode"
    LEASE = "lease"
    PREEMPTED = "preempted"
    RULE_GONE = "rule_gone"
    CLOCK = "clock"
    UNAPPROVED = "unapproved"
    DENIED = "denied"
    UNANSWERED = "unanswered"
    LAPSED = "lapsed"
    OUTDATED = "outdated"
    FORGOTTEN = "forgotten"

    @property
    def meaning(self) -> str:
        """One line for people: what this reason says."""
        return _MEANINGS[self]


_MEANINGS: dict[Reason, str] = {
    Reason.MATCHED: "the rule's matchers and facts hold, and every guard allows it",
    Reason.JOINED: "a run of the same rule on the same target is already under way",
    Reason.JOINED_LATE: "the alert began before the last run on this target ended, so that run covers it",
    Reason.FIRING_FOR: "the alert has not fired for as long as the rule asks",
    Reason.COUNT: "there are not as many alerts as the rule asks for together",
    Reason.PARALLEL: "as many runs as the brake allows in parallel are under way",
    Reason.BRAKE: "the brake is engaged: too many targets at once, or too many failures, are a person's",
    Reason.NO_RULE: "no rule's matchers and facts hold for this alert",
    Reason.PAGE_ONLY: "the rule has no steps: it tells people and changes nothing",
    Reason.RESOLVED: "the alert resolved before anything was begun",
    Reason.SUPERSEDED: "a newer episode of the same alert took its place",
    Reason.TARGET_INVALID: "the rule's target can't be made from this alert's labels",
    Reason.FACT_ERROR: "a check that the rule depends on could not be answered",
    Reason.EXPIRED: "it could not begin before its deadline",
    Reason.PAUSED: "a person paused the automation",
    Reason.SCOPE: "the target lies outside the rulebook's scope",
    Reason.PROTECTED: "the target is protected",
    Reason.QUARANTINED: "an earlier attempt on the target is not proven either way",
    Reason.FROZEN: "the rulebook has a freeze now: nothing is changed until it is over",
    Reason.COOLDOWN: "the rule acted on this target a short while ago, and the repair did not last",
    Reason.RATE: "the rule acted on this target as often as its `limits.rate` allows",
    Reason.TARGETS: "the rule acted on as many targets as its `limits.targets` allows",
    Reason.PER_TARGET: "this target was acted on as often, or as recently, as `limits.per_target` allows",
    Reason.MINIMUM_HEALTHY: (
        "at its worst it would leave fewer ready replicas than `brake.minimum_healthy` asks, and than now"
    ),
    Reason.MODE: "the daemon or the rule is not live",
    Reason.LEASE: "the target is held by another run",
    Reason.PREEMPTED: "a run that may preempt others took the target, which this one only shared",
    Reason.RULE_GONE: "the active rulebook no longer has this rule",
    Reason.CLOCK: "the clock jumped, and acting waits until leases taken before have expired",
    Reason.UNAPPROVED: "a person has to approve what it would do, and nobody has",
    Reason.DENIED: "a person said no",
    Reason.UNANSWERED: "nobody approved it in time, and the rule wants a person then",
    Reason.LAPSED: "nobody approved it in time, and the rule lets it rest then",
    Reason.OUTDATED: "what was approved is not what would be done now",
    Reason.FORGOTTEN: "the target bears this very attempt: it was done, and the ledger has forgotten it",
}
