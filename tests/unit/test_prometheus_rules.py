"""deploy/prometheus/remediator.rules.yml watches metrics and label values that the daemon really exports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from remediator.core.episodes import Sighting
from remediator.core.runs import RunState
from remediator.telemetry import WebhookResult
from tests.support.exported import series
from tests.support.promql import parse

RULES = Path(__file__).parents[2] / "deploy/prometheus/remediator.rules.yml"
TESTS = RULES.parent / "tests/remediator.test.yml"
RULES_OF = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
EXPRESSIONS = {alert: rule["expr"] for alert, rule in RULES_OF.items()}
LABEL_VALUES = {
    "result": {*(result.value for result in WebhookResult), "sent", "failed"},
    "sighting": {sighting.value for sighting in Sighting},
    "outcome": {state.value for state in RunState},
    "job": {"remediator"},
}


@pytest.mark.parametrize("alert", EXPRESSIONS)
def test_an_alert_asks_only_for_series_and_labels_that_there_are(alert: str) -> None:
    there, query = series(), parse(EXPRESSIONS[alert])
    assert query.selectors
    for selector in query.selectors:
        assert selector.metric in there
        assert set(selector.matchers) <= there[selector.metric]
    assert query.labels <= frozenset[str]().union(*(there[each.metric] for each in query.selectors))


@pytest.mark.parametrize("alert", EXPRESSIONS)
def test_a_text_names_only_labels_that_the_alert_keeps(alert: str) -> None:
    told = set(re.findall(r"\$labels\.(\w+)", " ".join(RULES_OF[alert]["annotations"].values())))
    assert told <= parse(EXPRESSIONS[alert]).labels


@pytest.mark.parametrize("alert", EXPRESSIONS)
def test_an_alert_is_tested_firing_and_silent(alert: str) -> None:
    """By `promtool test rules`, which CI runs."""
    tests = [test for each in yaml.safe_load(TESTS.read_text())["tests"] for test in each["alert_rule_test"]]
    fired = {bool(test["exp_alerts"]) for test in tests if test["alertname"] == alert}
    assert fired == {True, False}


@pytest.mark.parametrize("alert", EXPRESSIONS)
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: str) -> None:
    assert RULES_OF[alert]["labels"]["severity"] in {"critical", "warning"}
    assert set(RULES_OF[alert]["annotations"]) == {"summary", "runbook"}


@pytest.mark.parametrize("alert", EXPRESSIONS)
def test_an_alert_asks_only_for_label_values_that_there_are(alert: str) -> None:
    selectors = re.findall(r'(\w+)=~?"([^"]*)"', EXPRESSIONS[alert])
    assert selectors
    for label, values in selectors:
        assert set(values.split("|")) <= LABEL_VALUES[label]
