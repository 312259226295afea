"""deploy/prometheus/remediator.rules.yml watches metrics and label values that the daemon really exports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from remediator.core.episodes import Sighting
from remediator.core.runs import RunState
from remediator.telemetry import Metrics, WebhookResult

RULES = Path(__file__).parents[2] / "deploy/prometheus/remediator.rules.yml"
EXPRESSIONS = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}
LABEL_VALUES = {
    "result": {*(result.value for result in WebhookResult), "sent", "failed"},
    "sighting": {sighting.value for sighting in Sighting},
    "outcome": {state.value for state in RunState},
    "job": {"remediator"},
}


def exported() -> set[str]:
    """The names of all series, counters with their `_total`."""
    families = Metrics("0").registry.collect()
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}


@pytest.mark.parametrize("alert", EXPRESSIONS)
def test_an_alert_asks_only_for_metrics_that_there_are(alert: str) -> None:
    asked = set(re.findall(r"remediator_\w+", EXPRESSIONS[alert]))
    assert asked <= exported()


@pytest.mark.parametrize("alert", EXPRESSIONS)
def test_an_alert_asks_only_for_label_values_that_there_are(alert: str) -> None:
    selectors = re.findall(r'(\w+)=~?"([^"]*)"', EXPRESSIONS[alert])
    assert selectors
    for label, values in selectors:
        assert set(values.split("|")) <= LABEL_VALUES[label]
