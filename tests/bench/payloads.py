"""Alertmanager v4 posts of distinct alerts: 8 labels and 3 annotations each, about 0.9 KB an alert."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

RULES = 100
"""How many different alert names the alerts go round, one for each rule of the usual rulebook."""


def alert_name(index: int) -> str:
    """The `alertname` of the rule with this index."""
    return f"Bench{index:05d}"


def deployment(index: int) -> str:
    """The Deployment that the alert with this index is about: one each, so one target each."""
    return f"workload-{index:06d}"


def namespace(index: int) -> str:
    """The namespace of that Deployment, its own too."""
    return f"shop-{index:06d}"


def fingerprint(index: int) -> str:
    """Sixteen hex digits, distinct for each alert, as Alertmanager's are, and as opaque to receivers."""
    return blake2b(index.to_bytes(8, "big"), digest_size=8).hexdigest()


def alert(index: int, *, names: int = RULES, started: datetime | None = None) -> dict[str, Any]:
    """The firing alert with this index; its name is one of `names`, its target its own."""
    name, workload = alert_name(index % names), deployment(index)
    started = started or datetime.now(UTC) - timedelta(seconds=1)
    return {
        "status": "firing",
        "labels": {
            "alertname": name,
            "cluster": "bench",
            "namespace": namespace(index),
            "deployment": workload,
            "instance": f"10.0.{index // 250 % 250}.{index % 250}:9102",
            "job": "workload-metrics",
            "severity": "critical",
            "team": "platform-engineering",
        },
        "annotations": {
            "summary": f"{workload} answers too many requests with an error",
            "description": f"{workload} has answered more than 5 % of its requests with 5xx for the last ten"
            " minutes; the share of a healthy week is below 0.1 %.",
            "runbook_url": f"https://runbooks.example.org/platform/{name.lower()}#what-to-do-first",
        },
        "startsAt": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.org:9090/graph?g0.expr=sum+by+%28deployment%29+%28rate%28http_requests"
        "_total%7Bcode%3D~%225..%22%7D%5B10m%5D%29%29&g0.tab=1",
        "fingerprint": fingerprint(index),
    }


def post(first: int, size: int, *, names: int = RULES) -> bytes:
    """The body of one post with the alerts `first` to `first + size - 1`, without a line break in it."""
    alerts = [alert(index, names=names) for index in range(first, first + size)]
    envelope = {
        "receiver": "remediator",
        "status": "firing",
        "alerts": alerts,
        "groupLabels": {"cluster": "bench"},
        "commonLabels": {"cluster": "bench", "severity": "critical"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.org:9093",
        "version": "4",
        "groupKey": '{}:{cluster="bench"}',
        "truncatedAlerts": 0,
    }
    return json.dumps(envelope, separators=(",", ":")).encode()


def posts(alerts: int, size: int, *, first: int = 0, names: int = RULES) -> Iterator[bytes]:
    """Bodies that carry `alerts` distinct alerts, `size` to a post."""
    for start in range(first, first + alerts, size):
        yield post(start, size, names=names)
