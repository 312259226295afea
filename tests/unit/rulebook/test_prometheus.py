"""`check --prometheus`: rules that wait in vain, and critical alerts that nobody takes; no claim in doubt."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remediator import shipped_rules
from remediator.core.rules import AlertTrigger
from remediator.rulebook.against_prometheus import without_alert, without_rule
from remediator.rulebook.compile import Judgement
from remediator.rulebook.problems import Place
from remediator.rulebook.prometheus import AlertingRule, alerting_rules
from tests.support.rulebooks import rule, rules
from tests.unit.rulebook.support import RULES, judged, of_text

# Other tests share the machine, so that no single example has a time of its own.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ROOT = RULES.parents[2]
MIXIN = RULES.parent / "prometheus" / "kubernetes-mixin.yaml"
PLAYBOOK = ROOT / "deploy" / "prometheus" / "playbook.rules.yml"


def file(*alerts: dict[str, Any], **more: Any) -> str:
    return yaml.safe_dump(
        {"groups": [{"name": "g", "rules": [{"expr": "up == 0"} | each for each in alerts]}]} | more
    )


def alert(name: str = "ServiceDown", **labels: Any) -> dict[str, Any]:
    return {"alert": name, "labels": labels}


def of(*alerts: dict[str, Any]) -> list[AlertingRule]:
    found, problems = alerting_rules("p.yml", file(*alerts))
    assert problems == []
    return found


def book(*matchers: str, **policy: Any) -> Judgement:
    found = of_text(rules(rule("one", when={"matchers": list(matchers)}), **policy))
    assert found.errors == ()
    return found


def uncovered(judgement: Judgement, alerts: list[AlertingRule]) -> list[str]:
    return [each.message.split("'")[1] for each in without_rule(judgement, alerts)]


# --- the playbook's own rules, and a public mixin's


def test_the_shipped_rules_take_all_that_is_critical_in_the_playbook() -> None:
    alerts, problems = alerting_rules("playbook.rules.yml", PLAYBOOK.read_text())
    assert [each.name for each in alerts] == [
        "ServiceDown",
        "HighErrorRate",
        "DatabaseConnectionsFull",
        "Watchdog",
    ]
    shipped = judged(shipped_rules())
    assert (problems, without_alert(shipped, alerts), without_rule(shipped, alerts)) == ([], [], [])


def test_a_public_mixin_s_critical_alerts_are_all_found() -> None:
    """Counted by hand: grep -c 'severity: critical'; KubeAPIErrorBudgetBurn is there twice."""
    text = MIXIN.read_text()
    alerts, problems = alerting_rules("mixin.yaml", text)
    assert problems == []
    assert len(alerts) == text.count("- alert: ")
    shipped = judged(shipped_rules())
    found = without_rule(shipped, alerts)
    assert len(found) == text.count("severity: critical") == 13
    lines = text.splitlines()
    for each in found:
        assert lines[each.place.line - 1][each.place.column - 1 :] == each.message.split("'")[1]
    assert len(without_alert(shipped, alerts)) == shipped.rules


def test_a_rule_for_a_mixin_s_alert_is_told_of_its_labels() -> None:
    alerts, _ = alerting_rules("mixin.yaml", MIXIN.read_text())
    fine = book('alertname="KubePodCrashLooping"', 'severity="warning"', 'namespace="shop"')
    assert without_alert(fine, alerts) == []
    wrong = book('alertname="KubePodCrashLooping"', 'severity="critical"')
    (problem,) = without_alert(wrong, alerts)
    assert problem.message == (
        "'one' is never asked: no alert satisfies severity=\"critical\" besides: mend it, "
        "or the label in mixin.yaml:6:12 (severity='warning')"
    )
    (problem,) = without_alert(book('alertname="KubePodCrashLoping"'), alerts)
    assert problem.message.endswith("did you mean 'KubePodCrashLooping'?")


# --- what an alert may be


@pytest.mark.parametrize(
    ("matchers", "labels", "reached"),
    [
        (['alertname="ServiceDown"'], {}, True),
        (['alertname="Other"'], {}, False),
        (['alertname=~"Service.*"', 'job="cart"'], {}, True),  # a series may bring `job`
        (['alertname="ServiceDown"', 'team="a"'], {"team": "b"}, False),
        (['alertname="ServiceDown"', 'team="a"'], {"team": "{{ $labels.team }}"}, True),
        (['alertname="ServiceDown"', 'team!=""'], {"team": ""}, False),  # an empty one takes the series' away
        (['alertname="ServiceDown"', 'team=""'], {"team": None}, True),
        (['alertname="ServiceDown"', 'tier="1"'], {"tier": 1}, True),
        (['team="a"'], {}, True),
        (['alertname="ServiceDown"', 'team!~"a|b"'], {"team": "a"}, False),
    ],
)
def test_only_what_is_certain_keeps_an_alert_from_a_rule(
    matchers: list[str], labels: dict[str, Any], *, reached: bool
) -> None:
    found = without_alert(book(*matchers), of(alert(**labels)))
    assert (found == []) is reached


label_values = st.sampled_from(["a", "b", "{{ $value }}", ""])


@UNHURRIED
@given(
    st.dictionaries(st.sampled_from("xyz"), label_values),
    st.dictionaries(st.sampled_from("xyz"), st.sampled_from(["a", "b"])),
    st.lists(
        st.sampled_from(['x="a"', 'x!="a"', 'y=~"a|b"', 'y!~".+"', 'z=""', 'z!=""']), unique=True, max_size=3
    ),
)
def test_a_rule_that_is_said_to_wait_in_vain_matches_no_alert(
    static: dict[str, str], series: dict[str, str], matchers: list[str]
) -> None:
    judgement = book('alertname="ServiceDown"', *matchers)
    (written,) = of(alert(**static))
    raised = series | {name: "b" if "{{" in value else value for name, value in static.items()}
    raised["alertname"] = "ServiceDown"
    assert judgement.rulebook is not None
    trigger = judgement.rulebook.rules[0].trigger
    assert isinstance(trigger, AlertTrigger)
    if trigger.matches(raised):
        assert without_alert(judgement, [written]) == []


def test_no_alerts_prove_nothing() -> None:
    assert without_alert(book('alertname="X"'), []) == []


# --- what is critical


@pytest.mark.parametrize(
    ("labels", "severities", "critical"),
    [
        ({"severity": "critical"}, None, True),
        ({"severity": "warning"}, None, False),
        ({}, None, False),
        ({"severity": "{{ $labels.severity }}"}, None, False),
        ({"severity": "page"}, {"P1": 'severity="page"', "P2": 'severity="critical"'}, True),
        ({"severity": "critical"}, {"P1": 'severity="page"', "P2": 'severity="critical"'}, False),
        ({"severity": "critical"}, {"high": 'severity=~"critical|page"', "low": 'severity="info"'}, True),
        ({"severity": "info"}, {"high": 'severity=~"critical|page"', "low": 'severity="info"'}, False),
        # `team` may make it P2 first, so nothing is sure
        ({"severity": "critical"}, {"P2": 'team="a"', "P1": 'severity="critical"'}, False),
        ({"severity": "critical"}, {"P0": 'impact="platform"', "P1": 'severity="critical"'}, True),
    ],
)
def test_the_policy_says_what_is_critical(
    labels: dict[str, Any], severities: dict[str, str] | None, *, critical: bool
) -> None:
    levels = {name: {"matchers": matcher} for name, matcher in (severities or {}).items()}
    judgement = book('alertname="Other"', **({"severities": levels} if levels else {}))
    assert uncovered(judgement, of(alert(**labels))) == (["ServiceDown"] if critical else [])


@pytest.mark.parametrize(
    ("matchers", "covered"),
    [
        (['alertname="ServiceDown"'], True),
        (['alertname="ServiceDown"', 'job="cart"'], True),  # perhaps
        (['alertname=~"Service.+"', 'severity!="critical"'], False),
        (['alertname="ServiceDown"', 'x="a"', 'x="b"'], False),
    ],
)
def test_a_rule_that_may_take_an_alert_covers_it(matchers: list[str], *, covered: bool) -> None:
    found = uncovered(book(*matchers), of(alert(severity="critical")))
    assert (found == []) is covered


def test_the_watchdog_needs_no_rule() -> None:
    assert uncovered(book('alertname="X"'), of(alert("Watchdog", severity="critical"))) == []


# --- files


def test_objects_of_the_operator_are_read_with_their_places() -> None:
    groups = yaml.safe_load(file(alert("A"), {"record": "a:b", "labels": {}}))["groups"]
    one = {"kind": "PrometheusRule", "spec": {"groups": groups}}
    several = {"kind": "List", "items": [{"kind": "ConfigMap", "groups": 1}, one]}
    text = "---\n" + "---\n".join(map(yaml.safe_dump, (one, {"kind": "Service"}, several)))
    found, problems = alerting_rules("p.yml", text)
    assert problems == []
    lines = text.splitlines()
    assert [lines[each.place.line - 1][each.place.column - 1 :] for each in found] == ["A", "A"]
    assert found[0].place != found[1].place


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "p.yml:1:1: no alerting rules here: a rule file has `groups`"),
        ("kind: Service\n", "p.yml:1:1: no alerting rules here"),
        ("groups:\n  - {name: a, rules: {}}\n", "p.yml:2:5: no alerting rules: "),
        ("groups:\n  - name: a\n    rules:\n      - up\n", "p.yml:4:9: no alerting rules: "),
        ("groups: [{rules: [{alert: A, labels: x}]}]\n", "p.yml:1:38: no alerting rules: "),
        ("a: b\n---\ngroups: [\n", "p.yml:4:1: not YAML: "),
    ],
)
def test_what_is_no_file_of_alerting_rules_is_an_error_with_its_place(text: str, problem: str) -> None:
    found, problems = alerting_rules("p.yml", text)
    assert found == []
    assert [str(each)[: len(problem)] for each in problems] == [problem]


values = st.recursive(
    st.none() | st.text(max_size=3) | st.sampled_from(["A", "PrometheusRule", "List"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["groups", "rules", "alert", "labels", "kind", "spec", "items"]), inner
        )
    ),
)


@UNHURRIED
@given(values)
def test_any_structure_is_read_or_refused(data: Any) -> None:
    _, problems = alerting_rules("p.yml", yaml.safe_dump(data, allow_unicode=True))
    assert all(each.place.line >= 1 for each in problems)


def test_nothing_is_said_of_a_rulebook_with_errors() -> None:
    broken = of_text("rules: [{}]\n")
    some = [AlertingRule("A", {"alertname": "A", "severity": "critical"}, Place("p.yml", 1, 1))]
    assert (without_alert(broken, some), without_rule(broken, some)) == ([], [])
