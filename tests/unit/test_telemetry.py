"""Telemetry: secrets never reach a log line (law 12), and metrics have bounded labels."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from remediator.core.decide import DecisionKind
from remediator.core.episodes import Sighting
from remediator.core.ports.channels import Delivered, Rejected, TryAgain
from remediator.core.reasons import Reason
from remediator.telemetry import LogFormat, Metrics, Redaction, WebhookResult, configure_logging

SECRET = 'pa"ss w/örd'


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("remediator")
    before = root.handlers, root.level, ours.level
    yield
    root.handlers, root.level, ours.level = before
    structlog.reset_defaults()


def logged(form: LogFormat, event: str, **values: Any) -> str:
    stream = io.StringIO()
    configure_logging(form, [SECRET], stream)
    structlog.get_logger("remediator.test").info(event, **values)
    return stream.getvalue()


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_line_has_event_level_time_and_values(form: LogFormat) -> None:
    line = logged(form, "run ended", run="r-1")
    assert line.count("\n") == 1
    assert all(part in line for part in ("run ended", "info", "r-1", datetime.now(UTC).strftime("%Y-")))
    assert "\x1b" not in line


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize(
    "values",
    [
        {"authorization": "Bearer x1y2z3"},
        {"slack_token": "x1y2z3"},
        {"deep": {"headers": [{"Authorization": "x1y2z3"}]}},
        {"text": f"x {SECRET} y"},
        {"deep": [{"text": SECRET}]},
    ],
)
def test_secrets_are_masked_by_key_and_by_value(form: LogFormat, values: dict[str, Any]) -> None:
    line = logged(form, "asked", **values)
    assert "x1y2z3" not in line
    assert "ss w" not in line
    assert "***" in line


@pytest.mark.parametrize("form", ["console", "json"])
def test_secrets_in_other_peoples_logs_and_tracebacks_are_masked(form: LogFormat) -> None:
    stream = io.StringIO()
    configure_logging(form, [SECRET], stream)
    try:
        int(SECRET)
    except ValueError:
        logging.getLogger("somebody.else").exception("bad %s", SECRET, extra={"password": "x1y2z3"})
    line = stream.getvalue()
    assert "ValueError" in line
    assert "ss w" not in line
    assert "x1y2z3" not in line


def test_fencing_tokens_stay_readable() -> None:
    assert json.loads(logged("json", "leased", token=17))["token"] == 17


@given(st.text(min_size=4), st.text(), st.text())
def test_any_secret_is_masked_wherever_it_stands_in_json(secret: str, before: str, after: str) -> None:
    line = json.dumps({"event": before + secret + after})
    masked = Redaction([secret]).line(None, "", line)
    assert json.dumps(secret)[1:-1] not in masked


def test_metrics_count_what_they_are_told() -> None:
    metrics = Metrics("1.2.3")
    metrics.webhook(WebhookResult.STORED)
    metrics.alerts_seen(Sighting.OPENED, 3)
    metrics.decided(DecisionKind.SKIP, Reason.NO_RULE)
    metrics.intended(timedelta(milliseconds=4))
    for delivery in (Delivered(), TryAgain("busy"), Rejected("gone")):
        metrics.notice("slack:#incidents", delivery)
    metrics.rulebook("old", 1, drift=False, refused=True)
    metrics.rulebook("new", 2, drift=True, refused=False)
    told = generate_latest(metrics.registry).decode()
    for line in (
        'remediator_build_info{version="1.2.3"} 1.0',
        'remediator_webhooks_total{result="stored"} 1.0',
        'remediator_webhooks_total{result="too_large"} 0.0',
        'remediator_webhook_alerts_total{sighting="opened"} 3.0',
        'remediator_decisions_total{kind="skip",reason="no_rule"} 1.0',
        'remediator_alert_to_intent_seconds_bucket{le="0.005"} 1.0',
        'remediator_alert_to_intent_seconds_bucket{le="0.002"} 0.0',
        'remediator_notices_total{channel="slack",result="delivered"} 1.0',
        'remediator_notices_total{channel="slack",result="delayed"} 1.0',
        'remediator_notices_total{channel="slack",result="rejected"} 1.0',
        'remediator_rulebook_info{hash="new"} 1.0',
        "remediator_rules 2.0",
        "remediator_rulebook_drift 1.0",
    ):
        assert line in told.splitlines()
    assert 'hash="old"' not in told
