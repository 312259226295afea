"""The rules that come with Remediator."""

from __future__ import annotations

import pytest

from remediator import shipped_rules
from remediator.core.rule_index import RuleIndex
from remediator.core.rules import Mode, Rulebook
from remediator.core.selections import Selection
from tests.unit.rulebook.support import judged


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    found = judged(shipped_rules()).rulebook
    assert found is not None
    return found


def test_they_load_without_a_warning(rulebook: Rulebook) -> None:
    assert rulebook.warnings == ()


def test_they_only_observe_until_somebody_says_otherwise(rulebook: Rulebook) -> None:
    assert {rule.mode for rule in rulebook.rules} == {Mode.OBSERVE}


def test_they_stay_within_the_playbook_s_namespace(rulebook: Rulebook) -> None:
    assert rulebook.scope == Selection(namespaces=("selfmonitor",))


@pytest.mark.parametrize(
    ("alertname", "job", "rules"),
    [
        ("ServiceDown", "auth-service", ["service-down-rollback", "service-down-page"]),
        ("ServiceDown", "user-profile-service", ["service-down-rollback", "service-down-page"]),
        ("ServiceDown", "other-service", ["service-down-page"]),
        ("ServiceDown", "", ["service-down-page"]),
        ("HighErrorRate", "transactions-service", ["high-error-rate-rollback", "high-error-rate-page"]),
        ("HighErrorRate", "other-service", ["high-error-rate-page"]),
        ("DatabaseConnectionsFull", "postgres", ["database-connections-full"]),
        ("Watchdog", "auth-service", []),
    ],
)
def test_each_alert_meets_its_rules(rulebook: Rulebook, alertname: str, job: str, rules: list[str]) -> None:
    labels = {"alertname": alertname, "job": job, "severity": "critical"}
    assert [rule.name for rule in RuleIndex(rulebook.rules).matching(labels)] == rules


@pytest.mark.parametrize(
    ("labels", "target"),
    [
        ({"job": "auth-service"}, "deployment/selfmonitor/auth-service"),
        ({"job": "auth-service", "namespace": "blue"}, "deployment/blue/auth-service"),
        ({}, "deployment/selfmonitor/unnamed"),
    ],
)
def test_paging_needs_no_label(rulebook: Rulebook, labels: dict[str, str], target: str) -> None:
    rule = rulebook.rule("service-down-page")
    assert rule is not None
    assert rule.steps == ()
    assert str(rule.target.render({"labels": labels})) == target


@pytest.mark.parametrize("name", ["service-down-rollback", "high-error-rate-rollback"])
def test_a_rollback_is_proven_within_the_recovery_time_objective(rulebook: Rulebook, name: str) -> None:
    """The playbook's is 15 minutes."""
    rule = rulebook.rule(name)
    assert rule is not None
    assert rule.verify is not None
    assert [check.check for check in rule.verify.checks] == ["kubernetes.rolled_out", "alert.resolved"]
    assert rule.verify.stable_for.total_seconds() == 60
    assert rule.deadline.total_seconds() < 15 * 60


@pytest.mark.parametrize(
    ("labels", "severity"),
    [
        ({"severity": "critical", "impact": "platform"}, "P0"),
        ({"severity": "critical"}, "P1"),
        ({"severity": "warning"}, "P2"),
        ({}, "P3"),
    ],
)
def test_severities_are_the_playbook_s(rulebook: Rulebook, labels: dict[str, str], severity: str) -> None:
    assert rulebook.severity_of(None, labels) == severity
