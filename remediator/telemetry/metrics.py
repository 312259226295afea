"""The metrics at ``/metrics``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from remediator.core.approvals import Approval
from remediator.core.changes import Backlog, Brakes
from remediator.core.decide import DecisionKind
from remediator.core.episodes import Sighting
from remediator.core.ports.channels import Delivered, Delivery, TryAgain
from remediator.core.reasons import Reason
from remediator.core.retention import Shelf
from remediator.core.runs import Attempt, Run, RunState
from remediator.telemetry.gauges import BacklogGauges, BrakeGauges, RowGauges, StoreMetrics, seconds_since


class WebhookResult(StrEnum):
    """What became of one post to ``/alertmanager``."""

    STORED = "stored"
    UNAUTHORIZED = "unauthorized"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    ENCODED = "encoded"
    INCOMPLETE = "incomplete"
    CROWDED = "crowded"
    UNAVAILABLE = "unavailable"


_ACTION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_INTENT_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


#: What becomes of an episode that nobody tells of, and what a look at one may turn out to be.
_ENDS = (Sighting.QUIET, Sighting.VANISHED, Sighting.LAPSED)
_LOOKS = (Sighting.REPEATED, Sighting.REFIRED, *_ENDS)


class Metrics:
    """All ``remediator_*`` metrics, in a registry of their own.

    Labels are bounded: enums, the rulebook's rules, actions, channel schemes and routes.
    """

    def __init__(self, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        #: Posts to ``/alertmanager`` since the start, as a plain number for those who pace themselves by it.
        self.posts = 0
        ProcessCollector(registry=registry)

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"remediator_{name}", what, labels, registry=registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"remediator_{name}", what, labels, registry=registry)

        gauge("build_info", "The running version.", "version").labels(version).set(1)
        webhooks = counter("webhooks", "Posts to /alertmanager, by what became of them.", "result")
        self._webhooks = {result: webhooks.labels(result.value) for result in WebhookResult}
        sightings = counter(
            "webhook_alerts", "Alerts in webhooks, by what they turned out to be.", "sighting"
        )
        self._sightings = {told: sightings.labels(told.value) for told in Sighting if told not in _ENDS}
        looks = counter(
            "quiet_episodes",
            "Looks at open episodes that nobody told of for long, by what they turned out to be.",
            "sighting",
        )
        self._looks = {seen: looks.labels(seen.value) for seen in _LOOKS}
        self._quarantined = counter("webhooks_quarantined", "Stored posts that were JSON but no v4 payload.")
        self._asked_for = counter(
            "alertmanager_alerts", "Alerts taken in from Alertmanager's API, since webhooks left them out."
        )
        self._watchdog_age = gauge(
            "watchdog_age_seconds",
            "Time since the last Watchdog of a source that ever told of one.",
            "source",
        )
        beats = counter(
            "heartbeats", "Watchdogs that were passed on as heartbeats, or could not be.", "result"
        )
        self._beats = {failed: beats.labels("failed" if failed else "sent") for failed in (False, True)}
        self._decisions = counter("decisions", "Decisions, by kind and reason.", "kind", "reason")
        self._runs, self._run_reasons = (
            counter("runs", "Runs that ended, by rule and final state.", "rule", "outcome"),
            counter("run_reasons", "Runs that something stood in the way of, by reason.", "reason"),
        )
        self._approvals = counter(
            "approvals", "Requests for approval that ended, by how they did and which way.", "outcome", "how"
        )
        self._attempts = counter("attempts", "Attempts, by action and outcome.", "action", "outcome")
        self._action_seconds = Histogram(
            "remediator_action_seconds",
            "From an attempt's intent to its outcome.",
            ["action"],
            buckets=_ACTION_BUCKETS,
            registry=registry,
        )
        self._to_intent = Histogram(
            "remediator_alert_to_intent_seconds",
            "From an alert's receipt to its run's first intent, waits that its rule asks for included.",
            buckets=_INTENT_BUCKETS,
            registry=registry,
        )
        self._notices = counter(
            "notices", "Deliveries to channels, by scheme and result.", "channel", "result"
        )
        self._lease_lost = counter(
            "lease_lost", "Runs stopped because their lease could not be renewed, or was another's already."
        )
        self._lease_preempted = counter(
            "lease_preempted", "Runs stopped because one that may preempt them asked for their target."
        )
        taken_over = counter(
            "runs_taken_over", "Runs gone on with after whoever drove them was gone, by their state.", "state"
        )
        self._taken_over = {state: taken_over.labels(state.value) for state in RunState if not state.is_final}
        self._auth_refused = counter("auth_refused", "Requests with a wrong or missing token.", "route")
        self._store = StoreMetrics(registry)
        self._rulebook = gauge("rulebook_info", "The rulebook in force.", "hash")
        self._rules = gauge("rules", "Rules in the rulebook in force.")
        self._drift = gauge("rulebook_drift", "1 while this replica's rule files are not what is in force.")
        self._reloaded = gauge(
            "rulebook_last_reload_successful", "0 while this replica's rule files can't be used, else 1."
        )
        self._pauses = gauge("pauses", "Pauses in force.")
        self._slots = counter("slots", "First intents: places taken among those that limits count.", "rule")
        self._brakes = BrakeGauges(registry)
        self._backlog = BacklogGauges(registry)
        self._rows = RowGauges(registry)

    def webhook(self, result: WebhookResult) -> None:
        """Count one post to ``/alertmanager``."""
        self.posts += 1
        self._webhooks[result].inc()

    def webhook_quarantined(self) -> None:
        """Count a stored post that turned out to be no v4 payload."""
        self._quarantined.inc()

    def alerts_seen(self, sighting: Sighting, count: int = 1) -> None:
        """Count alerts by what intake made of them."""
        self._sightings[sighting].inc(count)

    def alerts_asked_for(self, count: int) -> None:
        """Count alerts that were left out of webhooks, and taken in by asking for them."""
        self._asked_for.inc(count)

    def reviewed(self, sightings: Mapping[Sighting, int]) -> None:
        """Count looks at quiet episodes by what came of them."""
        for sighting, count in sightings.items():
            self._looks[sighting].inc(count)

    def watchdogs(self, ages: Mapping[str, timedelta]) -> None:
        """Note how long ago each source's Watchdog came in."""
        self._watchdog_age.clear()
        for source, age in ages.items():
            self._watchdog_age.labels(source).set(max(age.total_seconds(), 0.0))

    def heartbeat(self, *, failed: bool) -> None:
        """Count a heartbeat."""
        self._beats[failed].inc()

    def decided(self, kind: DecisionKind, reason: Reason) -> None:
        """Count one recorded decision."""
        self._decisions.labels(kind.value, reason.value).inc()

    def run_ended(self, run: Run) -> None:
        """Count a run that is in a final state."""
        self._runs.labels(run.rule, run.state.value).inc()
        if run.reason is not None:
            self._run_reasons.labels(run.reason.value).inc()

    def approval_settled(self, approval: Approval) -> None:
        """Count a request for approval that has its end."""
        if approval.settled is not None and approval.how is not None:
            self._approvals.labels(approval.settled.value, approval.how.value).inc()

    def attempt_ended(self, attempt: Attempt) -> None:
        """Count an attempt that has its outcome, and how long it took."""
        if attempt.outcome is not None:
            self._attempts.labels(attempt.action, attempt.outcome.value).inc()
        if attempt.ended_at is not None:
            took = (attempt.ended_at - attempt.intended_at).total_seconds()
            self._action_seconds.labels(attempt.action).observe(max(took, 0.0))

    def intended(self, after: timedelta) -> None:
        """Note how long after an alert's receipt the first intent of its run was durable."""
        self._to_intent.observe(max(after.total_seconds(), 0.0))

    def notice(self, channel: str, delivery: Delivery) -> None:
        """Count what a channel (``slack:#incidents``) made of one notice."""
        scheme = channel.partition(":")[0]
        self._notices.labels(scheme, _delivery_word(delivery)).inc()

    def lease_lost(self) -> None:
        """Count a run that was stopped because its lease was not sure any more."""
        self._lease_lost.inc()

    def lease_preempted(self) -> None:
        """Count a run that was stopped to give way to another."""
        self._lease_preempted.inc()

    def taken_over(self, state: RunState) -> None:
        """Count a run that somebody had begun to drive and that is gone on with in this state."""
        self._taken_over[state].inc()

    def auth_refused(self, route: str) -> None:
        """Count a request to a route (its pattern, never its path) that was not let in."""
        self._auth_refused.labels(route).inc()

    def store_failed(self) -> None:
        """Count a call that the store could not serve."""
        self._store.errors.inc()

    def store_up(self, up: bool) -> None:  # noqa: FBT001 - the gauge's one value
        """Note whether the store would keep a write."""
        self._store.up.set(up)

    def store_wrote(self, seconds: float) -> None:
        """Note how long the store took to keep a small write."""
        self._store.seconds.observe(seconds)

    def lifeline(self, engaged: bool) -> None:  # noqa: FBT001 - the gauge's one value
        """Note whether people are told that the store is gone."""
        self._store.lifeline.set(engaged)

    def rulebook(self, hash_: str, rules: int, *, drift: bool, refused: bool) -> None:
        """Note which rulebook is in force, and whether this replica's own files are another or no good."""
        self._rulebook.clear()
        self._rulebook.labels(hash_).set(1)
        self._rules.set(rules)
        self._drift.set(drift)
        self._reloaded.set(not refused)

    def pauses(self, count: int) -> None:
        """Note how many pauses are in force."""
        self._pauses.set(count)

    def slot_taken(self, rule: str) -> None:
        """Count a run that took its place among those that limits count."""
        self._slots.labels(rule).inc()

    def brakes(self, brakes: Brakes) -> None:
        """Note what the brake has stopped, and what was demanded lately."""
        self._brakes.show(brakes)

    def unreadable(self, counts: Mapping[str, int]) -> None:
        """Note how many rows can't be read, of each table that has some."""
        self._rows.unreadable.clear()
        for table, count in counts.items():
            self._rows.unreadable.labels(table).set(count)

    def pruned(self, shelf: Shelf, rows: int, oldest: datetime | None, now: datetime) -> None:
        """Count dropped rows, and note how old the oldest is that stays, by the store's time."""
        self._rows.pruned.labels(shelf.value).inc(rows)
        self._rows.oldest.labels(shelf.value).set(seconds_since(oldest, now))

    def backlog(self, backlog: Backlog, now: datetime) -> None:
        """Note how far behind the daemon is; ``now`` is the store's time."""
        self._backlog.show(backlog, now)


def _delivery_word(delivery: Delivery) -> str:
    if isinstance(delivery, Delivered):
        return "delivered"
    return "delayed" if isinstance(delivery, TryAgain) else "rejected"
