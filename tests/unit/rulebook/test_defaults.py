"""What rules have from `defaults`, and from where `check --json` says that they have it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from remediator.cli.check import check
from remediator.core.rules import ApprovalTerms, Limits, Mode, Rate, Rule
from tests.unit.rulebook.support import of_text

RULES = """
defaults:
  mode: live
  severity: P1
  deadline: 9m
  approval: {{within: 7m}}
  limits: {{cooldown: 1h, rate: [3/1d]}}
  escalate: [lead]
  report: ["slack:#ours"]
contacts: {{lead: , other: }}
rules:
  - name: one
    when: {{matchers: [alertname="A"]}}
    target: deployment/shop/{{{{ labels.job }}}}
    {rule}
scope: {{namespaces: [shop]}}
"""
STEPS = """steps: [{action: kubernetes.rollout_restart}]
    verify: {within: 5m, checks: [{check: alert.resolved}]}"""
DAY = timedelta(days=1)


def one(rule: str) -> Rule:
    judgement = of_text(RULES.format(rule=rule))
    assert judgement.rulebook is not None, judgement.errors
    return judgement.rulebook.rules[0]


def test_a_rule_that_says_nothing_has_what_defaults_say() -> None:
    rule = one(STEPS)
    assert (rule.mode, rule.severity, rule.deadline) == (Mode.LIVE, "P1", timedelta(minutes=9))
    assert rule.approval == ApprovalTerms(timedelta(minutes=7))
    assert rule.limits == Limits(timedelta(hours=1), (Rate(3, DAY),))
    assert rule.escalate == ("lead",)
    said = (
        "mode",
        "severity",
        "deadline",
        "report",
        "escalate",
        "approval",
        "limits.cooldown",
        "limits.rate",
    )
    assert rule.from_defaults == said


@pytest.mark.parametrize(
    ("said", "key", "expected"),
    [
        ("mode: observe", "mode", Mode.OBSERVE),
        ("severity: P3", "severity", "P3"),
        ("deadline: 15m", "deadline", timedelta(minutes=15)),
        ("approval: null", "approval", None),
        ("limits: {cooldown: 15m}", "limits", Limits(timedelta(minutes=15), (Rate(3, DAY),))),
        ("limits: {rate: []}", "limits", Limits(timedelta(hours=1))),
        ("escalate: []", "escalate", ()),
        ("escalate: [other]", "escalate", ("other",)),
    ],
)
def test_what_a_rule_says_itself_holds_also_if_it_is_the_usual(said: str, key: str, expected: Any) -> None:
    rule = one(f"{STEPS}\n    {said}")
    assert getattr(rule, key) == expected
    assert key not in rule.from_defaults


def test_a_rule_that_only_pages_has_nothing_to_approve_or_to_limit() -> None:
    rule = one("steps: []")
    assert (rule.approval, rule.limits, rule.severity) == (None, Limits(), "P1")
    assert not [key for key in rule.from_defaults if key.startswith(("approval", "limits"))]
    judgement = of_text(RULES.format(rule="steps: []"))
    assert not [each for each in judgement.warnings if "never bites" in each.message]


def test_what_defaults_name_has_to_be_there() -> None:
    judgement = of_text("defaults: {severity: P9, escalate: [nobody]}\ncontacts: {lead: }\nrules: []\n")
    assert [str(each) for each in judgement.errors] == [
        "rules.yaml:1:22: unknown severity 'P9': write one of P0, P1, P2, P3",
        "rules.yaml:1:37: unknown contact 'nobody': write one of lead",
    ]


def test_check_says_from_where_each_rule_has_what_it_has(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES.format(rule=f"{STEPS}\n    mode: observe\n    limits: {{cooldown: 2h}}"))
    done = CliRunner().invoke(check, ["--json", str(file)])
    settings = {each["key"]: each for each in json.loads(done.stdout)["settings"]}
    told = {key: (each["value"], each["from"], each.get("line")) for key, each in settings.items()}
    assert told == {
        "mode": ("observe", "rule", 17),
        "severity": ("P1", "defaults", 4),
        "deadline": ("9m", "defaults", 5),
        "report": (["slack:#ours"], "defaults", 9),
        "escalate": (["lead"], "defaults", 8),
        "approval": ({"within": "7m", "otherwise": "escalate"}, "defaults", 6),
        "limits.cooldown": ("2h", "rule", 18),
        "limits.rate": (["3/1d"], "defaults", 7),
        "limits.targets": (None, "built in", None),
    }
    assert {each["file"] for each in settings.values() if "file" in each} == {str(file)}
