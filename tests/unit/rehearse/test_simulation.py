"""What rules would have decided: from what was stored, with what was not left undetermined."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.core.alerts import AlertKey
from remediator.core.checks import CheckAnswer, Fact, Said
from remediator.core.manual import SOURCE, Request, fingerprint_of
from remediator.core.rules import Expect
from remediator.rehearse.posts import Post
from remediator.rehearse.recollection import Remembered
from remediator.rehearse.simulation import Simulated, Simulation, Simulator, differences
from remediator.rulebook.source import FileRules
from remediator.store.sqlite.memory import MemoryStore

T0 = datetime(2025, 3, 1, 8, 0, tzinfo=UTC)
CHECK = "kubernetes.rolled_out_within"
ROLLED_OUT = "only_if: [{check: kubernetes.rolled_out_within, with: {window: 1h}}]"


def rules(folder: Path, first: str = "", rest: str = "", name: str = "rules") -> FileRules:
    """A rule that repairs what is down, with what else it says, and one that pages for it."""
    path = folder / f"{name}.yaml"
    path.write_text(f"""
rules:
  - name: repair
    when: {{matchers: ['alertname="Down"']}}
    target: deployment/shop/{{{{ labels.job }}}}
    steps: [{{action: kubernetes.scale, with: {{replicas: 3}}}}]
    mode: live
    {first}
  - name: page
    when: {{matchers: ['alertname="Down"']}}
    target: deployment/shop/{{{{ labels.job }}}}
    steps: []
scope: {{namespaces: [shop]}}
{rest}
""")
    return FileRules(path)


def down(minute: float, job: str = "cart", instance: str = "a", lasts: float = 3) -> list[Post]:
    """An alert that fires at a minute, and is over after some."""
    at, end = T0 + timedelta(minutes=minute), T0 + timedelta(minutes=minute + lasts)
    fingerprint = f"{sum((job + instance).encode()):016x}"
    labels = {"alertname": "Down", "job": job, "instance": instance}

    def post(when: datetime, status: str, **more: str) -> Post:
        alert = {"status": status, "labels": labels, "fingerprint": fingerprint, "startsAt": at.isoformat()}
        body = {"version": "4", "alerts": [{**alert, **more}]}
        return Post(when, "default", json.dumps(body).encode())

    return [post(at, "firing"), post(end, "resolved", endsAt=end.isoformat())]


def stored(post: Post, said: Said, *, target: str = "deployment/shop/cart", window: str = "1h") -> Remembered:
    """What the check said when this alert was decided on."""
    (alert,) = json.loads(post.body)["alerts"]
    fact = Fact(CHECK, {"window": window}, Expect.YES, CheckAnswer(said, "as it was"), post.at)
    return Remembered(AlertKey(post.source, alert["fingerprint"]), post.at, target, fact)


def simulator(*posts: list[Post], **more: Any) -> Simulator:
    every = sorted((post for some in posts for post in some), key=lambda post: post.at)
    return Simulator(
        every, CHECKS, ACTIONS, lambda clock, monotonic: MemoryStore(clock=clock, monotonic=monotonic), **more
    )


def told(it: Simulation) -> list[str]:
    """Each episode in a few words."""
    return [_words(each) for each in it.episodes]


def _words(each: Simulated) -> str:
    said = " ".join(f"{one.rule}:{one.reason.value}{'*' * one.assumes}" for one in each.choices)
    if not each.undetermined:
        return said
    other = " ".join(f"{one.rule}:{one.reason.value}{'*' * one.assumes}" for one in each.otherwise)
    return f"{said} or {other}"


def test_limits_bite_and_say_that_they_come_of_simulated_runs(tmp_path: Path) -> None:
    book = rules(tmp_path, "limits: {cooldown: 15m, rate: [2/1d]}")
    past = simulator(down(0), down(0.25, instance="b"), down(10), down(60), down(120), down(121, "bank"))
    it = past.simulate(book)
    assert told(it) == [
        "repair:matched",
        "repair:joined*",
        "repair:cooldown*",
        "repair:matched",
        "repair:rate*",
        "repair:matched",
    ]
    run = it.episodes[0].choices[0]
    assert (run.target, run.steps[0].action, run.steps[0].params) == (
        "deployment/shop/cart",
        "kubernetes.scale",
        {"replicas": 3},
    )
    (rate,) = it.episodes[4].choices[0].guards
    assert rate.detail == "2 runs on this target, the limit is 2/1d"
    assert not it.problems


@pytest.mark.parametrize(
    ("facts", "becomes"),
    [
        ([(Said.YES, {})], "repair:matched"),
        ([(Said.NO, {})], "page:page_only"),
        ([(Said.ERROR, {})], "repair:fact_error"),
        ([], "repair:matched or page:page_only"),
        ([(Said.YES, {"window": "60m"})], "repair:matched"),
        ([(Said.YES, {"window": "2h"})], "repair:matched or page:page_only"),
        ([(Said.YES, {"target": "deployment/shop/bank"})], "repair:matched or page:page_only"),
    ],
)
def test_a_fact_is_what_was_stored_of_that_very_question_and_nothing_else(
    tmp_path: Path, facts: list[tuple[Said, Mapping[str, str]]], becomes: str
) -> None:
    posts = down(0)
    past = simulator(posts, remembered=[stored(posts[0], said, **more) for said, more in facts])
    assert told(past.simulate(rules(tmp_path, ROLLED_OUT))) == [becomes]


def test_facts_of_another_episode_of_the_same_alert_are_not_taken_for_its_own(tmp_path: Path) -> None:
    first, second = down(0), down(60)
    past = simulator(first, second, remembered=[stored(first[0], Said.YES)])
    it = past.simulate(rules(tmp_path, ROLLED_OUT))
    assert told(it) == ["repair:matched", "repair:matched or page:page_only"]
    (unknown,) = it.episodes[1].unknown
    assert unknown.line == f"{CHECK} (window: 1h) on deployment/shop/cart, for repair"


def test_what_depends_on_what_is_not_known_is_undetermined_too_and_the_rest_is_not(tmp_path: Path) -> None:
    first, second, elsewhere = down(0), down(10, instance="b"), down(11, "bank")
    known = [stored(second[0], Said.YES), stored(elsewhere[0], Said.YES, target="deployment/shop/bank")]
    it = simulator(first, second, elsewhere, remembered=known).simulate(rules(tmp_path, ROLLED_OUT))
    assert told(it) == [
        "repair:matched or page:page_only",
        "repair:cooldown* or repair:matched",
        "repair:matched",
    ]
    assert it.episodes[1].unknown == ()
    assert it.counts == {("undetermined", ""): 2, ("run", "matched"): 1}


def test_two_unknowns_that_a_rule_wants_different_answers_of_are_both_as_it_asks(tmp_path: Path) -> None:
    asks = f"{ROLLED_OUT[:-1]}, {{check: kubernetes.gitops_managed, expect: no}}]"
    it = simulator(down(0)).simulate(rules(tmp_path, asks))
    assert told(it) == ["repair:matched or page:page_only"]
    assert [each.check for each in it.episodes[0].unknown] == [CHECK, "kubernetes.gitops_managed"]


def test_an_assumed_answer_stands_in_for_what_is_not_known_alone(tmp_path: Path) -> None:
    first, second = down(0), down(60)
    past = simulator(first, second, remembered=[stored(first[0], Said.YES)], assumed={CHECK: Said.NO})
    assert told(past.simulate(rules(tmp_path, ROLLED_OUT))) == ["repair:matched", "page:page_only"]


def test_a_check_that_a_rule_asks_before_and_proves_with_after_says_both(tmp_path: Path) -> None:
    asks = "only_if: [{check: kubernetes.rolled_out, expect: no}]"
    proof = "verify: {within: 2m, checks: [{check: kubernetes.rolled_out}]}"
    book = rules(tmp_path, f"{asks}\n    {proof}")
    past = simulator(down(0), down(60), assumed={"kubernetes.rolled_out": Said.NO})
    assert told(past.simulate(book)) == ["repair:matched", "repair:matched"]


def test_rules_that_only_observe_may_be_taken_for_live_ones(tmp_path: Path) -> None:
    book = rules(tmp_path, name="observing")
    path = tmp_path / "observing.yaml"
    path.write_text(path.read_text().replace("mode: live", ""))
    alone, live = simulator(down(0)), simulator(down(0), live=True)
    assert [alone.simulate(book).episodes[0].choices[0].mode.word] == ["observe"]
    assert [live.simulate(book).episodes[0].choices[0].mode.word] == ["live"]


def test_what_a_person_asked_for_is_decided_as_such(tmp_path: Path) -> None:
    posts = [_requested("repair", 0), _requested("gone", 1)]
    assert told(simulator(posts).simulate(rules(tmp_path))) == ["repair:matched", ":no_rule"]


def _requested(rule: str, minute: float) -> Post:
    at = T0 + timedelta(minutes=minute)
    alert = {
        "status": "firing",
        "labels": {"alertname": "ManualRun", "job": "cart"},
        "annotations": Request(rule, "ada", "it is slow").annotations,
        "startsAt": at.isoformat(),
        "fingerprint": fingerprint_of(rule),
    }
    return Post(at, SOURCE, json.dumps({"version": "4", "alerts": [alert]}).encode())


def test_two_rulebooks_differ_where_they_decide_otherwise(tmp_path: Path) -> None:
    before = rules(tmp_path, name="before")
    after = rules(tmp_path, "limits: {rate: [1/1d]}", name="after")
    past = simulator(down(0), down(60), down(120, "bank"))
    one, other = past.simulate(before), past.simulate(after)
    assert differences(one, past.simulate(before)) == []
    (found,) = differences(one, other)
    assert (_words(found.before), _words(found.after)) == ("repair:matched", "repair:rate*")
    assert not found.undetermined


def test_what_is_undetermined_alike_does_not_differ(tmp_path: Path) -> None:
    before = rules(tmp_path, ROLLED_OUT, name="before")
    after = rules(tmp_path, ROLLED_OUT.replace("1h", "2h"), name="after")
    otherwise = rules(tmp_path, f"{ROLLED_OUT}\n    target: deployment/shop/x", name="otherwise")
    otherwise_path = tmp_path / "otherwise.yaml"
    text = otherwise_path.read_text().replace("    target: deployment/shop/{{ labels.job }}\n", "", 1)
    otherwise_path.write_text(text)
    past = simulator(down(0))
    assert differences(past.simulate(before), past.simulate(after)) == []
    (found,) = differences(past.simulate(before), past.simulate(otherwise))
    assert found.undetermined


def test_a_webhook_of_thousands_of_alerts_is_simulated_whole(tmp_path: Path) -> None:
    at = T0.isoformat()
    alerts = [
        {"status": "firing", "labels": {"alertname": "Other", "n": f"{n:0300}"}, "startsAt": at}
        for n in range(1000)
    ]
    large = Post(T0, "default", json.dumps({"version": "4", "alerts": alerts}).encode(), left_out=7)
    it = simulator([large]).simulate(rules(tmp_path))
    assert it.counts == {("skip", "no_rule"): 1000}
    assert it.left_out == 7


def test_alerts_that_no_rule_hears_of_are_decided_as_the_engine_decides_them(tmp_path: Path) -> None:
    """The one rulebook hears of every alert, by a rule whose facts never hold; the other of none but one."""
    deaf = rules(tmp_path, name="deaf")
    hearing = rules(
        tmp_path,
        "was: [r]\n  - name: all\n    when: {matchers: ['alertname!=\"\"']}\n"
        "    target: deployment/shop/x\n    only_if: [{check: kubernetes.gitops_managed}]\n    steps: []",
        name="hearing",
    )
    posts = [_mixed(at / 7, n) for n, at in enumerate((0, 1, 5, 6, 60, 61, 90))]
    past = simulator(posts, down(8), assumed={"kubernetes.gitops_managed": Said.NO})
    one, other = past.simulate(deaf), past.simulate(hearing)
    assert one.counts["skip", "no_rule"] > 5
    assert one.counts["skip", "resolved"] == 1
    assert [_decided(each) for each in one.episodes] == [_decided(each) for each in other.episodes]


def _decided(each: Simulated) -> tuple[object, ...]:
    reasons = [choice.reason.value for choice in each.choices]
    return each.episode.key, each.episode.first_seen, each.episode.labels, reasons


def _mixed(minute: float, number: int) -> Post:
    """A webhook of several alerts, some of which end, and one of which is over when it is first told of."""
    at = T0 + timedelta(minutes=minute)
    told = [
        ("firing", "Down", "cart", at),
        ("firing", "Deaf", str(number), at),
        ("resolved" if number % 2 else "firing", "Deaf", "x", at),
        ("firing", "Deaf", f"flaps{number // 6}", at),
        *([("resolved", "Deaf", "flaps1", at)] if number == 6 else []),
    ]
    alerts = [
        {
            "status": status,
            "labels": {"alertname": name, "job": job},
            "startsAt": (when - timedelta(seconds=number)).isoformat(),
            "endsAt": when.isoformat() if status == "resolved" else "0001-01-01T00:00:00Z",
        }
        for status, name, job, when in told
    ]
    return Post(at, "default", json.dumps({"version": "4", "alerts": alerts}).encode())
