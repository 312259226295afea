"""What `check` sees around a rulebook: the Role, the tests beside the rules, where the ledger is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remediator import shipped_role
from remediator.actions.specs import ACTIONS, CHECKS
from remediator.cli.check import check
from remediator.core.ports.actions import ActionSpec, CheckSpec
from remediator.core.rules import Step
from remediator.rulebook.compile import Judgement
from remediator.rulebook.examples import Example, examples, undefined_targets, untested
from remediator.rulebook.ledger import healing_the_ledger, hosts
from remediator.rulebook.permissions import Permission, granted, lacking
from tests.support.rulebooks import rule, rules
from tests.unit.rulebook.support import of_text

# Other tests share the machine, so that no single example has a time of its own.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ROLE = shipped_role().read_text()


def book(*some: dict[str, Any], **policy: Any) -> Judgement:
    found = of_text(rules(*some, **policy))
    assert found.errors == ()
    return found


def grants(text: str) -> frozenset[Permission]:
    found, problems = granted("role.yaml", text)
    assert problems == []
    return found


# --- permissions


def test_the_shipped_role_allows_whatever_a_rule_may_do() -> None:
    specs: list[ActionSpec | CheckSpec] = [*ACTIONS.values(), *CHECKS.values()]
    every = {each for spec in specs for each in spec.permissions}
    assert grants(ROLE) == every


@pytest.mark.parametrize("lost", sorted(ACTIONS["kubernetes.rollout_undo"].permissions))
def test_each_verb_that_is_taken_away_is_missed_where_it_is_needed(lost: Permission) -> None:
    group, resource, verb = lost
    one = book(rule(verify={"within": "8s", "checks": [{"check": "alert.resolved"}]}))
    (problem,) = lacking(one, grants(ROLE) - {lost}, "the Role of deploy/kubernetes")
    assert problem.message == (
        f"kubernetes.rollout_undo needs to {verb} {resource} of {group}, which the Role of deploy/kubernetes "
        "does not allow: add it there, or name the one you use with --role"
    )
    lines = rules(rule()).splitlines()
    assert lines[problem.place.line - 1].endswith("action: kubernetes.rollout_undo")


def test_facts_proofs_and_the_way_out_need_permissions_too() -> None:
    whole = rule(
        only_if=[{"check": "kubernetes.gitops_managed", "expect": "no"}],
        verify={"within": "8s", "checks": [{"check": "kubernetes.pods_ready"}]},
        on_failure=[{"action": "kubernetes.rollout_restart"}],
    )
    needing = {each.message.split()[0] for each in lacking(book(whole), frozenset(), "r")}
    assert needing == {
        *("kubernetes.gitops_managed", "kubernetes.pods_ready"),
        *("kubernetes.rollout_restart", "kubernetes.rollout_undo"),
    }
    assert lacking(book(rule("page", steps=[], verify=None)), frozenset(), "r") == []


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, True),
        ({"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["*"]}, True),
        ({"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"], "resourceNames": ["cart"]}, False),
        ({"apiGroups": [""], "resources": ["*"], "verbs": ["*"]}, False),
        ({"apiGroups": None, "resources": ["*"], "verbs": "*"}, False),
    ],
)
def test_a_role_allows_what_kubernetes_takes_it_to(written: dict[str, Any], *, allowed: bool) -> None:
    role = {"kind": "ClusterRole", "rules": [written]}
    for text in (
        yaml.safe_dump(role),
        yaml.safe_dump({"kind": "List", "items": [{"kind": "Service"}, role]}),
    ):
        assert (lacking(book(rule()), grants(text), "r") == []) is allowed


def test_what_is_no_role_is_an_error() -> None:
    _, problems = granted("a.yaml", "kind: Service\n---\nkind: [\n")
    assert [each.place.line for each in problems] == [4]
    _, problems = granted("a.yaml", "kind: Service\n")
    assert str(problems[0]).startswith("a.yaml:1:1: no Role here")


# --- the tests beside the rules

TESTS = """
tests:
  - name: t
    alerts:
      - labels: {alertname: ServiceDown, namespace: shop}
        each: {job: [cart, Shop]}
    people:
      - {at: 1m, run: by-hand, labels: {job: cart}}
"""


def test_the_examples_are_the_tests_alerts_and_runs_with_their_places() -> None:
    found = examples("tests/t.yaml", TESTS)
    assert [(dict(each.labels), str(each.place), each.runs) for each in found] == [
        ({"alertname": "ServiceDown", "namespace": "shop", "job": "cart"}, "tests/t.yaml:5:17", None),
        ({"alertname": "ServiceDown", "namespace": "shop", "job": "Shop"}, "tests/t.yaml:5:17", None),
        ({"job": "cart"}, "tests/t.yaml:8:9", "by-hand"),
    ]


@pytest.mark.parametrize(
    ("target", "labels", "said"),
    [
        ("deployment/{{ labels.namespace }}/{{ labels.job }}", {"namespace": "a", "job": "b"}, ""),
        ("deployment/{{ labels.namespace }}/{{ labels.job }}", {"job": "b"}, "'namespace' is undefined"),
        ("deployment/{{ labels.namespace | default('a') }}/{{ labels.job }}", {"job": "b"}, ""),
        ("deployment/a/{{ labels.job }}", {"job": "B_"}, "'B_' is not a valid Kubernetes name"),
        ("deployment/a/{{ annotations.job }}", {}, "'job' is undefined"),
    ],
)
def test_a_target_that_an_example_leaves_undefined(target: str, labels: dict[str, str], said: str) -> None:
    some = [Example({"alertname": "ServiceDown", **labels}, examples("tests/t.yaml", TESTS)[0].place)]
    found = undefined_targets(book(rule(target=target)), some)
    assert [said in each.message and "tests/t.yaml:5:17" in each.message for each in found] == [True] * bool(
        said
    )


def test_an_example_that_a_rule_does_not_answer_to_says_nothing_of_it() -> None:
    other = [Example({"alertname": "Other"}, examples("t", TESTS)[0].place)]
    assert undefined_targets(book(rule()), other) == []


def test_a_rule_that_counts_sees_only_the_labels_by_which_it_counts() -> None:
    when = {"matchers": ['alertname="ServiceDown"'], "count": {"at_least": 2, "within": "5m", "by": ["job"]}}
    counting = book(rule(when=when, target="deployment/shop/{{ labels.job }}"))
    assert undefined_targets(counting, examples("t", TESTS)[:1]) == []


def test_a_rule_without_a_test_is_named() -> None:
    some = examples("t", TESTS)
    tested, by_hand = rule("tested"), rule("renamed", was=["by-hand"], when={"manual": True})
    lone = rule("lone", when={"matchers": ['alertname="Lone"']})
    found = untested(book(tested, by_hand, lone), some)
    assert [each.message.split("'")[1] for each in found] == ["lone"]
    assert found[0].message.endswith("write one in `tests/`, with an alert that it answers to")


json_like = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tests", "alerts", "labels", "each", "people", "run", "annotations"]), inner
        )
    ),
)


@UNHURRIED
@given(json_like)
def test_any_test_file_is_read(data: Any) -> None:
    for each in examples("t", yaml.safe_dump(data, allow_unicode=True)):
        undefined_targets(of_text(rules(rule(when={"matchers": ['labels!="x"', 'alertname="A"']}))), [each])


# --- the ledger

DATABASES = {
    "main": {"objects": ["statefulset/data/postgres"]},
    "other": {"objects": ["statefulset/data/pg"]},
}


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("sqlite:///remediator.db", []),
        ("postgresql://u:p@postgres/db", [("remediator", {"postgres"})]),
        ("postgresql://u:p%40ss@postgres.data:5432/db", [("data", {"postgres"})]),
        ("postgresql://pg.data.svc/db", [("data", {"pg"})]),
        ("postgresql://pg-0.pg.data.svc.cluster.local/db", [("data", {"pg", "pg-0"})]),
        ("postgres://pg-0.data,pg-1.data:5433/db", [("data", {"pg", "pg-0"}), ("data", {"pg", "pg-1"})]),
        ("postgresql:///db?host=postgres.data", [("data", {"postgres"})]),
        ("postgresql:///db?host=/run/postgresql", []),
        ("postgresql://localhost/db", []),
        ("postgresql://10.0.0.1:5432/db", []),
        ("postgresql://[::1]:5432/db", []),
        ("postgresql://db.example.org/db", []),
    ],
)
def test_where_a_ledger_is(url: str, names: list[tuple[str, set[str]]]) -> None:
    assert [(each.namespace, set(each.names)) for each in hosts(url, "remediator")] == names


@pytest.mark.parametrize(
    ("target", "warned"),
    [
        ("database/main", True),
        ("database/other", False),
        ("database/{{ labels.database }}", True),
        ("statefulset/data/postgres", True),
        ("statefulset/{{ labels.namespace }}/postgres", True),
        ("pod/data/postgres-0", True),
        ("west/statefulset/data/postgres", True),
        ("statefulset/shop/postgres", False),
        ("deployment/{{ labels.namespace }}/{{ labels.job }}", False),
        ("node/postgres", False),
    ],
)
def test_a_rule_that_acts_on_the_ledger_is_warned_of(target: str, *, warned: bool) -> None:
    one = {"name": "one", "when": {"matchers": ['alertname="A"']}, "target": target}
    judgement = of_text(rules(one, databases=DATABASES))
    assert judgement.rulebook is not None
    ledgers = hosts("postgresql://u@postgres-0.postgres.data.svc/db", "remediator")
    assert healing_the_ledger(judgement, ledgers) == []  # it only pages
    acting = judgement.written[0]
    judgement = armed(judgement)
    found = healing_the_ledger(judgement, ledgers)
    assert [each.place for each in found] == [acting[1].place(("target",))] * warned


def armed(judgement: Judgement) -> Judgement:
    """The same with a step, whichever kinds of target there is an action for."""
    written = [(replace(one, steps=(Step("s", "a"),)), reporter) for one, reporter in judgement.written]
    return replace(judgement, written=tuple(written))


# --- all of it on the command line


def test_check_looks_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = (
        rule("a", target="deployment/data/postgres"),
        rule("b", when={"matchers": ['alertname="B"']}, target="deployment/shop/{{ labels.job }}"),
    )
    (tmp_path / "rules.yaml").write_text(rules(*some, scope={"namespaces": ["shop", "data"]}))
    runner = CliRunner()
    alone = runner.invoke(check, [str(tmp_path)]).stdout.splitlines()
    assert alone[0].startswith(
        f"{tmp_path}/rules.yaml:2:9: warning: no rule has a test: write some in `tests/`"
    )
    assert alone[1:] == ["2 rules in 1 file: 0 errors, 1 warning"]
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "t.yaml").write_text("tests: [{alerts: [{labels: {alertname: B}}]}]\n")
    (tmp_path / "role.yml").write_text(ROLE.replace("[list, patch]", "[list]"))
    monkeypatch.setenv("REMEDIATOR_STORE", "postgresql://postgres.data/remediator")
    result = runner.invoke(check, [str(tmp_path / "rules.yaml"), "--role", str(tmp_path / "role.yml")])
    undefined = (
        f"undefined for the alert in {tmp_path}/tests/t.yaml:1:28: "
        "{{ labels.job }}: 'job' is undefined; give it a `default`"
    )
    assert [
        line.partition(" warning: ")[2].partition(",")[0] for line in result.stdout.splitlines()[:-1]
    ] == [
        "'a' has no test: write one in `tests/`",
        "'a' acts on postgres.data",
        "kubernetes.rollout_undo needs to patch replicasets of apps",
        undefined,
        "kubernetes.rollout_undo needs to patch replicasets of apps",
    ]
    assert result.exit_code == 0
