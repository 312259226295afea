"""What the daemon tells about itself: logs as key and value, and the metrics at ``/metrics``."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, TextIO
from urllib.parse import quote

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from structlog.typing import EventDict, Processor, WrappedLogger

from remediator.core.approvals import Approval
from remediator.core.changes import Backlog, Brakes
from remediator.core.decide import DecisionKind
from remediator.core.episodes import Sighting
from remediator.core.guards import PauseScope
from remediator.core.notices import Lane
from remediator.core.ports.channels import Delivered, Delivery, TryAgain
from remediator.core.reasons import Reason
from remediator.core.retention import Shelf
from remediator.core.runs import Attempt, Run, RunState

__all__ = ["LogFormat", "Metrics", "Redaction", "WebhookResult", "configure_logging"]

MASK = "***"
#: Shorter values are not masked wherever they occur: they would tear up every log line, and guard nothing.
SHORTEST_SECRET = 4
_SECRET_KEY = re.compile(
    r"(?i)(?:token|secret|password|passphrase|authorization|cookie|api_?key|routing_key)$"
)
#: Fencing tokens are numbers that people must be able to compare.
_PLAIN = (bool, int, float, type(None))


#: How log lines look.
LogFormat = Literal["console", "json"]


class Redaction:
    """Keeps secrets out of log lines (law 12): by the names of keys, and by the secrets' own text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        shapes = {shape for secret in secrets if len(secret) >= SHORTEST_SECRET for shape in _shapes(secret)}
        longest_first = sorted(shapes, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if shapes else None

    def keys(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        """Mask the values of keys that are named like a secret, at any depth."""
        return {key: _masked(key, value) for key, value in event.items()}

    def line(self, _: WrappedLogger, __: str, rendered: Any) -> str:
        """Mask every known secret in a finished line, tracebacks included."""
        text = rendered.decode() if isinstance(rendered, bytes) else str(rendered)
        return text if self._secrets is None else self._secrets.sub(MASK, text)


def _shapes(secret: str) -> tuple[str, ...]:
    """A secret as it may appear in a line: plain, JSON-escaped, in a repr, percent-encoded."""
    return secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")


def _masked(key: object, value: object) -> object:
    if isinstance(key, str) and _SECRET_KEY.search(key) and not isinstance(value, _PLAIN):
        return MASK
    if isinstance(value, Mapping):
        return {inner: _masked(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(None, item) for item in value]
    return value


def configure_logging(
    form: LogFormat,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
    *,
    level: int = logging.INFO,
) -> None:
    """Send structlog's and the standard library's logs to ``stream`` (stderr), one line per event.

    Console lines have colours on a terminal. Told is what has ``level`` and up, of other people's loggers
    WARNING and up; aiohttp's access log is off.
    """
    stream = stream or sys.stderr
    redaction = Redaction(secrets)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redaction.keys,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(form, stream),
                redaction.line,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("remediator").setLevel(level)
    logging.getLogger("aiohttp.access").disabled = True


def _renderers(form: LogFormat, stream: TextIO) -> list[Processor]:
    if form == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(sort_keys=False)]
    # Tracebacks without local variables: those hold whatever was being worked on.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]


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
_WRITE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
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
        self._store = _StoreMetrics(registry)
        self._rulebook = gauge("rulebook_info", "The rulebook in force.", "hash")
        self._rules = gauge("rules", "Rules in the rulebook in force.")
        self._drift = gauge("rulebook_drift", "1 while this replica's rule files are not what is in force.")
        self._pauses = gauge("pauses", "Pauses in force.")
        self._slots = counter("slots", "First intents: places taken among those that limits count.", "rule")
        self._brakes = _BrakeGauges(registry)
        self._backlog = _BacklogGauges(registry)
        self._rows = _RowGauges(registry)

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

    def rulebook(self, hash_: str, rules: int, *, drift: bool) -> None:
        """Note which rulebook is in force, and whether this replica's own files are another."""
        self._rulebook.clear()
        self._rulebook.labels(hash_).set(1)
        self._rules.set(rules)
        self._drift.set(drift)

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
        self._rows.oldest.labels(shelf.value).set(_age(oldest, now))

    def backlog(self, backlog: Backlog, now: datetime) -> None:
        """Note how far behind the daemon is; ``now`` is the store's time."""
        self._backlog.show(backlog, now)


class _BacklogGauges:
    """How far behind the daemon is, and what waits for people."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, what: str) -> Gauge:
            return Gauge(f"remediator_{name}", what, registry=registry)

        self._undecided_age = gauge("undecided_age_seconds", "Age of the oldest episode to be decided.")
        self._outbox_age = gauge("outbox_age_seconds", "Age of the oldest notice to be sent.")
        self._page_age = gauge("page_age_seconds", "Age of the oldest page to be sent.")
        self._undecided_webhooks = gauge("undecided_webhooks", "Webhooks stored and not taken apart yet.")
        self._undecided_episodes = gauge("undecided_episodes", "Episodes waiting for a decision.")
        self._unsent_notices = gauge("unsent_notices", "Notices waiting to be sent.")
        self._unsent_pages = gauge("unsent_pages", "Pages waiting to be sent.")
        self._parked_notices = gauge("parked_notices", "Notices given up for good.")
        self._quarantined_targets = gauge("quarantined_targets", "Targets in quarantine.")
        self._inquiries = gauge(
            "inquiries", "Groups of which webhooks left alerts out that nobody has told yet."
        )
        self._inquiry_age = gauge(
            "inquiry_age_seconds",
            "Age of the oldest group of which alerts were left out that nobody has told yet.",
        )
        self._unfinished_runs = gauge("unfinished_runs", "Runs that have not ended.")
        self._asking = gauge("approvals_waiting", "Runs that wait for a person's approval.")
        self._lapse = gauge(
            "approval_lapses_seconds",
            "Seconds until the first request for approval lapses; +Inf while there is none.",
        )

    def show(self, backlog: Backlog, now: datetime) -> None:
        self._undecided_age.set(_age(backlog.oldest_undecided, now))
        self._outbox_age.set(_age(backlog.oldest_unsent, now))
        self._page_age.set(_age(backlog.oldest_page, now))
        self._undecided_webhooks.set(backlog.webhooks)
        self._undecided_episodes.set(backlog.episodes)
        self._unsent_notices.set(backlog.outbox)
        self._unsent_pages.set(backlog.by_lane.get(Lane.PAGES, 0))
        self._parked_notices.set(backlog.parked_notices)
        self._quarantined_targets.set(backlog.quarantined)
        self._inquiries.set(backlog.inquiries)
        self._inquiry_age.set(_age(backlog.oldest_inquiry, now))
        self._unfinished_runs.set(backlog.unfinished_runs)
        self._asking.set(backlog.asking)
        left = math.inf if backlog.next_lapse is None else (backlog.next_lapse - now).total_seconds()
        self._lapse.set(max(left, 0.0))


class _RowGauges:
    """What becomes of the ledger's rows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.unreadable = Gauge(
            "remediator_unreadable_rows",
            "Rows of the ledger that this replica can't read, by table.",
            ["table"],
            registry=registry,
        )
        self.pruned = Counter(
            "remediator_pruned_rows",
            "Old rows of the ledger that were dropped.",
            ["shelf"],
            registry=registry,
        )
        self.oldest = Gauge(
            "remediator_oldest_row_age_seconds",
            "Age of the oldest row that is kept, as the replica saw it that pruned last.",
            ["shelf"],
            registry=registry,
        )


class _StoreMetrics:
    """How the store does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.errors = Counter(
            "remediator_store_errors", "Calls that the store could not serve.", registry=registry
        )
        self.up = Gauge("remediator_store_up", "1 while the store would keep a write.", registry=registry)
        self.seconds = Histogram(
            "remediator_store_write_seconds",
            "How long the store took to keep a small write, tried every few seconds.",
            buckets=_WRITE_BUCKETS,
            registry=registry,
        )
        self.lifeline = Gauge(
            "remediator_lifeline_engaged",
            "1 while people are told, without the store, that the store is gone.",
            registry=registry,
        )


class _BrakeGauges:
    """What the brake has stopped, and what it counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"remediator_{name}", what, labels, registry=registry)

        engaged = gauge("brakes_engaged", "Engaged brakes, on everything or on a namespace.", "scope")
        scopes = {PauseScope.ALL: "all", PauseScope.TARGET: "namespace"}
        self._engaged = {scope: engaged.labels(word) for scope, word in scopes.items()}
        self._alerts = gauge("braked_alerts", "Alerts that engaged brakes have stopped.")
        self._targets = gauge("braked_targets", "Targets on which engaged brakes have stopped something.")
        self._demanded = gauge(
            "demanded_targets", "Distinct targets on which runs were demanded in the brake's longest window."
        )

    def show(self, brakes: Brakes) -> None:
        engaged = [each for each in brakes.rows if each.release is None]
        for scope, gauge in self._engaged.items():
            gauge.set(sum(each.pause.scope is scope for each in engaged))
        self._alerts.set(sum(each.alerts for each in engaged))
        self._targets.set(sum(each.distinct for each in engaged))
        self._demanded.set(brakes.demanded)


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)


def _delivery_word(delivery: Delivery) -> str:
    if isinstance(delivery, Delivered):
        return "delivered"
    return "delayed" if isinstance(delivery, TryAgain) else "rejected"
