"""Groups of metrics that are shown together: what waits, what the ledger takes, where the brake stands."""

from __future__ import annotations

import math
from collections import Counter as Counts
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from remediator.core.changes import Backlog, Brakes
from remediator.core.guards import BudgetKey, PauseScope
from remediator.core.notices import Lane

_WRITE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class BacklogGauges:
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
        self._undecided_age.set(seconds_since(backlog.oldest_undecided, now))
        self._outbox_age.set(seconds_since(backlog.oldest_unsent, now))
        self._page_age.set(seconds_since(backlog.oldest_page, now))
        self._undecided_webhooks.set(backlog.webhooks)
        self._undecided_episodes.set(backlog.episodes)
        self._unsent_notices.set(backlog.outbox)
        self._unsent_pages.set(backlog.by_lane.get(Lane.PAGES, 0))
        self._parked_notices.set(backlog.parked_notices)
        self._quarantined_targets.set(backlog.quarantined)
        self._inquiries.set(backlog.inquiries)
        self._inquiry_age.set(seconds_since(backlog.oldest_inquiry, now))
        self._unfinished_runs.set(backlog.unfinished_runs)
        self._asking.set(backlog.asking)
        left = math.inf if backlog.next_lapse is None else (backlog.next_lapse - now).total_seconds()
        self._lapse.set(max(left, 0.0))


class RowGauges:
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


class StoreMetrics:
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


class BrakeGauges:
    """What the brake has stopped, and what it counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"remediator_{name}", what, labels, registry=registry)

        told = "Engaged brakes, on everything or on a namespace, by the budget that was overspent."
        engaged = gauge("brakes_engaged", told, "scope", "budget")
        scopes = {PauseScope.ALL: "all", PauseScope.TARGET: "namespace"}
        self._engaged = {
            (scope, budget): engaged.labels(word, budget.value)
            for scope, word in scopes.items()
            for budget in BudgetKey
        }
        self._alerts = gauge("braked_alerts", "Alerts that engaged brakes have stopped.")
        self._targets = gauge("braked_targets", "Targets on which engaged brakes have stopped something.")
        self._demanded = gauge(
            "demanded_targets", "Distinct targets on which runs were demanded in the brake's longest window."
        )

    def show(self, brakes: Brakes) -> None:
        engaged = [each for each in brakes.rows if each.release is None]
        counts = Counts((each.pause.scope, each.pause.brake) for each in engaged)
        for key, gauge in self._engaged.items():
            gauge.set(counts[key])
        self._alerts.set(sum(each.alerts for each in engaged))
        self._targets.set(sum(each.distinct for each in engaged))
        self._demanded.set(brakes.demanded)


def seconds_since(since: datetime | None, now: datetime) -> float:
    """How long ago that was; nothing for what never was."""
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)
