"""What rules and policy become once they are read."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.core.rules import (
    AlertTrigger,
    ApprovalTerms,
    Brake,
    Budget,
    Condition,
    Count,
    Database,
    Expect,
    Limits,
    Mode,
    OtherTrigger,
    Otherwise,
    Patience,
    Rate,
    Rule,
    Rulebook,
    Share,
    Verify,
)
from remediator.core.selections import Selection
from remediator.core.targets import parse_target
from remediator.core.triggers import count_of
from tests.support.rulebooks import rule, rules
from tests.unit.rulebook.support import RULES, judged, of_text

MINUTE = timedelta(minutes=1)
RULE = """
rules:
  - name: one
    when: {{matchers: [alertname="A"]}}
    target: deployment/shop/cart
    steps: [{{action: kubernetes.rollout_restart}}]
    verify: {{within: 1m, checks: [{{check: alert.resolved}}]}}
    mode: live
    {rule}
{file}
"""


def rulebook(rule: str = "", file: str = "") -> Rulebook:
    judgement = of_text(RULE.format(rule=rule, file=file))
    assert judgement.rulebook is not None, judgement.errors
    return judgement.rulebook


def one(rule: str = "", file: str = "") -> Rule:
    return rulebook(rule, file).rules[0]


def from_good(name: str) -> Rulebook:
    found = judged(RULES / "good" / name).rulebook
    assert found is not None
    return found


def test_every_key_of_a_rule_arrives() -> None:
    rule = from_good("every-rule-key.yaml").rules[0]
    assert rule.name == "service-down-rollback"
    assert isinstance(rule.trigger, AlertTrigger)
    assert [str(each) for each in rule.trigger.matchers] == [
        'alertname="ServiceDown"',
        'job=~"auth-service|user-profile-service"',
    ]
    assert rule.trigger.firing_for == timedelta(seconds=30)
    assert rule.severity == "P1"
    assert str(rule.target) == 'deployment/{{ labels.namespace | default("selfmonitor") }}/{{ labels.job }}'
    assert rule.only_if == (
        Condition("kubernetes.rolled_out_within", {"window": "1h"}),
        Condition("kubernetes.gitops_managed", {}, Expect.NO),
    )
    assert rule.limits == Limits(
        15 * MINUTE,
        (Rate(3, timedelta(hours=1)), Rate(7, timedelta(days=1))),
        Rate(2, 10 * MINUTE),
    )
    assert rule.deadline == 12 * MINUTE
    assert [(step.id, step.action, step.timeout, step.retry) for step in rule.steps] == [
        ("undo", "kubernetes.rollout_undo", 2 * MINUTE, 2),
        ("scale", "kubernetes.scale", MINUTE, 0),
    ]
    assert rule.verify == Verify(
        (Condition("kubernetes.rolled_out"), Condition("alert.resolved")), 8 * MINUTE, MINUTE
    )
    assert [step.id for step in rule.on_failure] == ["rollout_restart"]
    assert (rule.escalate, rule.report) == (("engineering-lead",), ("slack:#incidents",))
    assert rule.mode is Mode.LIVE


def test_every_key_of_the_policy_arrives() -> None:
    book = from_good("every-policy-key.yaml")
    assert book.brake == Brake(
        Budget(Rate(5, 10 * MINUTE), 2, Rate(3, timedelta(hours=1)), Share(30, 10 * MINUTE), 1),
        {
            "shop": Budget(targets=Rate(2, 20 * MINUTE), share=Share(50, 20 * MINUTE), minimum_healthy=2),
            "bank": Budget(share=Share(25, 10 * MINUTE)),
            "data": Budget(share=Share(100, 60 * MINUTE)),
        },
        timedelta(hours=1),
    )
    assert book.per_target == Limits(5 * MINUTE, (Rate(4, timedelta(hours=1)),))
    assert book.scope == Selection(("shop-*",), ("deployment",), ("*",))
    assert book.protect == (Selection(kinds=("deployment",), names=("payments-*",)),)
    assert [each.name for each in book.severities] == ["P0", "P3"]
    assert book.severities[0].respond_within == 5 * MINUTE
    assert book.default_report == ("slack:#incidents",)
    assert book.watchdog.matches({"alertname": "DeadMansSnitch"})
    assert book.watchdog.within == 5 * MINUTE
    assert book.patience == Patience(20 * MINUTE, 40 * MINUTE, timedelta(days=2))
    plain = book.rules[0]
    assert (plain.was, plain.escalate, plain.deadline) == (("older",), ("lead",), 10 * MINUTE)
    assert plain.goes_on
    assert [step.id for step in plain.steps] == ["scale", "scale_2"]
    assert [rule.trigger for rule in book.rules[1:]] == [OtherTrigger("schedule"), OtherTrigger("manual")]


def test_a_database_is_known_by_its_name_and_by_the_objects_that_it_also_is() -> None:
    book = of_text(
        "databases: {main: {objects: [statefulset/data/pg, west/pod/data/pg-0]}, bare: }\n"
    ).rulebook
    assert book is not None
    objects = (parse_target("statefulset/data/pg"), parse_target("west/pod/data/pg-0"))
    assert book.databases == (
        Database(parse_target("database/main"), objects),
        Database(parse_target("database/bare"), ()),
    )


@pytest.mark.parametrize(
    ("target", "warned"),
    [("database/main", False), ("database/other", True), ("database/{{ labels.name }}", False)],
)
def test_a_rule_on_a_database_that_no_file_lists_is_warned_of(target: str, *, warned: bool) -> None:
    text = 'rules: [{name: a, when: {matchers: alertname="A"}, target: "%s"}]\ndatabases: {main: }\n'
    messages = [each.message for each in of_text(text % target).warnings]
    assert any("is not in `databases`" in each for each in messages) is warned


def test_approval_is_asked_for_on_the_terms_that_are_written() -> None:
    assert one().approval is None
    assert one("approval: {within: 5m}").approval == ApprovalTerms(timedelta(minutes=5), Otherwise.ESCALATE)
    for otherwise in Otherwise:
        written = one(f"approval: {{within: 5m, otherwise: {otherwise.value}}}").approval
        assert written == ApprovalTerms(timedelta(minutes=5), otherwise)


def test_a_count_is_read_as_it_is_written() -> None:
    assert count_of(one()) is None
    when = {"matchers": ['a="b"'], "count": {"at_least": 3, "within": "5m", "by": "job"}}
    found = of_text(rules(rule(when=when, target="deployment/shop/cart"))).rulebook
    assert found is not None
    assert count_of(found.rules[0]) == Count(3, timedelta(minutes=5), ("job",))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("job", ""),
        ("{{ labels.job }}", ""),
        ("{{ labels['job'] | lower }}", ""),
        ("{{ labels.node | default('x') }}", "warning"),
        ("{{ annotations.node | d('x') }}", "warning"),
        ("{{ labels.node }}", "error"),
        ("{{ labels['node'] }}", "error"),
        ("{{ labels.node | lower | default('x') }}", "error"),
        ("{{ labels.job | default(labels.node) }}", "error"),
        ("{{ labels.job if labels.node is defined else 'x' }}", "warning"),
        ("{{ annotations.node }}", "error"),
        ("{{ fingerprint }}", "error"),
        ("{{ starts_at }}", "error"),
        ("{{ group.job }}", "error"),
    ],
)
def test_a_rule_that_counts_sees_the_labels_alone_by_which_it_counts(name: str, said: str) -> None:
    when = {"matchers": ['alertname="Down"'], "count": {"at_least": 2, "within": "5m", "by": ["job"]}}
    judgement = of_text(rules(rule(when=when, target=f"deployment/shop/{name}")))
    errors = [each.message for each in judgement.errors if "not in scope" in each.message]
    warnings = [each.message for each in judgement.warnings if "not in scope" in each.message]
    assert (bool(errors), bool(warnings)) == (said == "error", said == "warning")


@pytest.mark.parametrize(
    ("file", "acts"),
    [
        ("limits: {per_target: {cooldown: 5m}}", True),
        ("limits: {}", True),
        ("freezes: []", True),
        ("brake: {targets: 1/10m, failures: 1/1h, share: 1%, minimum_healthy: 9}", True),
        ("databases: {main: }", True),
    ],
)
def test_a_guard_that_is_not_enforced_yet_keeps_every_rule_from_acting(file: str, acts: bool) -> None:  # noqa: FBT001  # a table's column
    assert one(file=file).effective_mode(Mode.LIVE) is (Mode.LIVE if acts else Mode.OBSERVE)


@pytest.mark.parametrize(
    ("file", "warned"),
    [("", True), ("watchdog: {matchers: []}", False), ("watchdog: {matchers: 'alertname=\"W\"'}", False)],
)
def test_a_rule_about_the_watchdog_is_warned_of(file: str, warned: bool) -> None:  # noqa: FBT001  # a table's column
    text = 'rules: [{name: a, when: {matchers: [alertname="Watchdog", x="y"]}, target: node/n, steps: []}]\n'
    found = [str(each) for each in of_text(text + file).warnings]
    assert any("'a' is never asked: its alert is the Watchdog" in each for each in found) is warned


def test_what_is_left_out_has_its_default() -> None:
    text = 'rules: [{name: a, when: {matchers: alertname="A"}, target: deployment/shop/cart, '
    judgement = of_text(text + "steps: [{action: kubernetes.scale, with: {replicas: 2}}]}]")
    assert judgement.rulebook is not None
    rule = judgement.rulebook.rules[0]
    assert (rule.mode, rule.deadline, rule.limits) == (Mode.OBSERVE, 15 * MINUTE, Limits())
    assert rule.verify == Verify((Condition("kubernetes.rolled_out"),), 8 * MINUTE)
    assert judgement.rulebook.scope is None
    assert [each.message.partition(":")[0] for each in judgement.warnings] == [
        "no file has a `scope`",
        "'a' has no `verify`",
    ]


def test_the_usual_proof_fits_into_a_short_deadline() -> None:
    text = 'rules: [{name: a, when: {matchers: alertname="A"}, target: deployment/shop/cart, deadline: 2m, '
    judgement = of_text(text + "steps: [{action: kubernetes.rollout_restart}]}]")
    assert judgement.rulebook is not None
    verify = judgement.rulebook.rules[0].verify
    assert verify is not None
    assert verify.within == 2 * MINUTE


@pytest.mark.parametrize("written", ["no", "false", "False", "'no'"])
def test_no_may_be_written_in_any_way_that_yaml_knows(written: str) -> None:
    rule = one(f"only_if: [{{check: kubernetes.gitops_managed, expect: {written}}}]")
    assert rule.only_if[0].expect is Expect.NO


def test_errors_anywhere_in_a_rule_are_found_at_once() -> None:
    """Keys that can't be read don't hide what is wrong between those that can."""
    judgement = of_text("""
rules:
  - name: one
    when: {matchers: [alertname="A"], firing_for: soon}
    target: deployment/shop/cart
    deadline: 5m
    steps:
      - {id: undo, action: kubernetes.rolout_undo, timeout: 6m}
      - {id: undo, action: kubernetes.rollout_undo, typo: 1}
    verify: {within: 8m, checks: [{check: kubernetes.roled_out}]}
  - name: one
    when: {}
    target: pod/shop/cart
""")
    lines = {problem.place.line for problem in judgement.errors}
    assert lines == {4, 8, 9, 10, 11, 12}
    assert len(judgement.errors) == 7


def test_rules_come_in_order_of_path_then_position() -> None:
    book = judged(RULES.parents[2] / "rules").rulebook
    assert book is not None
    assert [rule.name for rule in book.rules] == [
        "database-connections-full",
        "high-error-rate-rollback",
        "high-error-rate-page",
        "service-down-rollback",
        "service-down-page",
    ]


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
        "{{ " + "+".join(["1"] * 5000) + " }}",
        "{{ " + "9" * 5000 + " }}",
        "{{ labels" + ".a" * 4000 + " }}",
        "{{ 9**(9**9) }}",
        "{{ labels.x | nothing }}",
        "{{ labels.x is nothing }}",
        "{{ labels.x() }}",
        "{{ labels",
        "{{ }}",
    ],
    ids=lambda template: template[:20],
)
def test_a_template_that_can_t_be_read_is_one_error_and_takes_no_time(template: str) -> None:
    text = RULE.format(rule="", file="").replace("/cart", f"/{template}")
    (problem,) = of_text(text.replace("deployment", "'deployment").replace(template, f"{template}'")).errors
    assert problem.place.line == 5


def test_a_time_that_the_deadline_cuts_short_is_warned_of_only_where_it_is_written() -> None:
    judgement = of_text("""
    rules:
      - name: one
        when: {matchers: ['alertname="A"']}
        target: deployment/shop/cart
        deadline: 30s
        steps: [{action: kubernetes.rollout_undo}, {action: kubernetes.rollout_undo, timeout: 40s}]
        verify: {within: 1m, checks: [{check: kubernetes.rolled_out}]}
    scope: {namespaces: [shop]}
    """)
    assert not judgement.errors
    assert [str(each).partition(" is longer")[0] for each in judgement.warnings] == [
        "rules.yaml:7:95: `timeout` 40s",
        "rules.yaml:8:26: `within` 1m",
    ]
