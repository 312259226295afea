"""Matchers as Alertmanager reads them, the index over them, and what a rule says of its mode and urgency."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.ids import RulebookHash
from remediator.core.matchers import (
    Matcher,
    MatcherError,
    Operator,
    matcher,
    parse_matcher,
    parse_selection,
)
from remediator.core.rule_index import RuleIndex
from remediator.core.rules import AlertTrigger, Mode, OtherTrigger, Rule, Rulebook, Severity
from remediator.core.templates import target_template
from tests.support.matchers import stricter
from tests.unit.core.values import BOOK, rule

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize(
    ("text", "name", "operator", "value"),
    [
        ('a="b"', "a", "=", "b"),
        ("a=b", "a", "=", "b"),
        ("a=", "a", "=", ""),
        (' a != "b c" ', "a", "!=", "b c"),
        ('a=~"b|c"', "a", "=~", "b|c"),
        ("a!~b.*", "a", "!~", "b.*"),
        (r'a="say \"hi\"\n\\"', "a", "=", 'say "hi"\n\\'),
        (r'a=~"\d+"', "a", "=~", r"\d+"),
        ('"föö bar"="x"', "föö bar", "=", "x"),
        ("a==b", "a", "=", "=b"),
        ("a=b c", "a", "=", "b c"),
        (r"a=b\nc\\", "a", "=", "b\nc\\"),
        (r'a="\u00f6"', "a", "=", r"\u00f6"),
        (r'a=~"\u00f6"', "a", "=~", "ö"),
        ("1a=b", "1a", "=", "b"),
        ("föö.bar=b", "föö.bar", "=", "b"),
        (r'"a\tb"="\u00f6\x41\101"', "a\tb", "=", "öAA"),
    ],
)
def test_a_matcher_is_read_as_alertmanager_reads_it(text: str, name: str, operator: str, value: str) -> None:
    read = parse_matcher(text)
    assert (read.name, read.operator.value, read.value) == (name, operator, value)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a=b", ['a="b"']),
        ('{a="b", c!="d"}', ['a="b"', 'c!="d"']),
        (r'a=~"x,\"y",b=c', [r'a=~"x,\"y"', 'b="c"']),
        (r'a=~"x{2}"', ['a=~"x{2}"']),
        ("a=b,", ['a="b"']),
        ("", []),
    ],
)
def test_a_selection_is_matchers_between_commas(text: str, read: list[str]) -> None:
    assert [str(each) for each in parse_selection(text)] == read


@pytest.mark.parametrize("text", ["a=b,c", 'a="', 'a="b",c="'])
def test_a_selection_with_something_else_in_it_is_refused(text: str) -> None:
    with pytest.raises(MatcherError, match="no matcher"):
        parse_selection(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "=b", '""="b"', 'a="b', 'a=b"', "a=b,c=d", "a=b,", "a>b", 'a="b" c', "{a=b}", "a=~b{2}"),
        *("1a=b c", '"a"=', r'"a"="\d"', r'"\xff"=b', r'"\ud800"=b', r'"\UFFFFFFFF"=b', '"a\n"=b'),
    ],
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(MatcherError):
        parse_matcher(text)


def read_by_alertmanager() -> list[tuple[str, list[str] | None]]:
    """Made up texts, and what Alertmanager 0.34 made of each: name, operator and value, or nothing."""
    return [
        tuple(json.loads(line)) for line in (DATA / "matchers/alertmanager.jsonl").read_text().splitlines()
    ]


def test_we_read_what_a_newer_alertmanager_reads_and_refuse_what_it_refuses() -> None:
    """The one that Debian has, which tests/e2e asks, doesn't know names in quotes yet."""
    table = read_by_alertmanager()
    assert sum(read is None for _, read in table) > 100
    for text, read in table:
        assert ours(text) == read or (read is not None and stricter(text, read[2])), text


def ours(text: str) -> list[str] | None:
    try:
        found = parse_matcher(text)
    except MatcherError:
        return None
    return [found.name, found.operator.value, found.value]


@pytest.mark.parametrize(
    "pattern", ["(", "(?=x)", r"(a)\1", "(?<!x)", "a{1001}", "*", r"\C", r"\\\C", "a)|(b"]
)
def test_only_what_re2_knows_is_a_pattern(pattern: str) -> None:
    """Look-around and back-references are what lets a label run a pattern for ever."""
    with pytest.raises(MatcherError, match="RE2"):
        matcher("a", Operator.REGEX, pattern)


@pytest.mark.parametrize(
    ("text", "labels", "holds"),
    [
        ('a=~"b|c"', {"a": "b"}, True),
        ('a=~"b|c"', {"a": "bc"}, False),
        ('a=~"b"', {"a": "xbx"}, False),
        ('a!~"b"', {"a": "xbx"}, True),
        ('a=~"b.*"', {"a": "b\nc"}, False),
        (r'a=~"\\QC\\C\\E"', {"a": "C\\C"}, True),
        (r'a=~"\\\\C"', {"a": "\\C"}, True),
        ('a=""', {}, True),
        ('a=""', {"a": ""}, True),
        ('a!=""', {}, False),
        ('a!="b"', {}, True),
        ('a=~".*"', {}, True),
        ('a=~".+"', {}, False),
        ('a!~".+"', {}, True),
        ('a=~"(a+)+$"', {"a": "a" * 20_000 + "b"}, False),
    ],
)
def test_matchers_are_anchored_and_an_absent_label_is_empty(
    text: str, labels: Mapping[str, str], *, holds: bool
) -> None:
    assert parse_matcher(text).matches(labels) is holds


names = st.one_of(st.sampled_from(["a", "b", "job"]), st.text(min_size=1, max_size=6))
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
patterns = st.sampled_from(
    [
        "a",
        "a|b",
        "(a|bb)",
        "(?:ab|a|ab)",
        "^(a|b)$",
        "a|",
        "|",
        "()",
        "^a|b$",
        r"a\|b|b",
        "(a)|b",
        ".*",
        "b+",
        "[ab]?",
        "",
    ]
)
values = st.sampled_from(["", "a", "b", "bb", "ab"])
matchers = st.one_of(
    st.builds(matcher, st.sampled_from("xyz"), st.sampled_from(["=", "!="]).map(Operator), values),
    st.builds(matcher, st.sampled_from("xyz"), st.sampled_from(["=~", "!~"]).map(Operator), patterns),
)
labels_of = st.dictionaries(st.sampled_from("xyz"), values)


@given(names, any_text)
def test_a_matcher_is_written_as_it_is_read(name: str, value: str) -> None:
    written = Matcher(name, Operator.EQUAL, value)
    assert parse_matcher(str(written)) == written


@given(matchers, labels_of)
def test_a_matcher_agrees_with_a_naive_one(one: Matcher, labels: dict[str, str]) -> None:
    actual = labels.get(one.name, "")
    is_equal = one.operator in (Operator.EQUAL, Operator.NOT_EQUAL)
    same = actual == one.value if is_equal else bool(re.match(rf"\A(?:{one.value})\Z", actual))
    assert one.matches(labels) is (same != one.operator.value.startswith("!"))


# --- the index


def a_rule(number: int, some: list[Matcher]) -> Rule:
    trigger = AlertTrigger(tuple(some)) if number % 7 != 6 else OtherTrigger("schedule")
    return Rule(f"r{number}", trigger, target_template("node/n"))


@given(st.lists(st.lists(matchers, max_size=3), max_size=12), st.lists(labels_of, max_size=5))
def test_the_index_finds_what_asking_each_rule_finds(
    all_matchers: list[list[Matcher]], alerts: list[dict[str, str]]
) -> None:
    rules = [a_rule(number, some) for number, some in enumerate(all_matchers)]
    index = RuleIndex(rules)
    for labels in alerts:
        scan = [r for r in rules if isinstance(r.trigger, AlertTrigger) and r.trigger.matches(labels)]
        assert index.matching(labels) == scan


def test_a_rule_is_filed_where_the_fewest_are_and_found_there_alone() -> None:
    """Of a thousand rules none is asked that demands another job."""
    asked = 0

    class Counting(AlertTrigger):
        def matches(self, labels: Mapping[str, str]) -> bool:
            nonlocal asked
            asked += 1
            return super().matches(labels)

    matchers = [
        [parse_matcher('severity=~"critical|warning"'), parse_matcher(f'job=~"service-{n}|worker-{n}"')]
        for n in range(1000)
    ]
    index = RuleIndex(
        [Rule(f"r{n}", Counting(tuple(each)), target_template("node/n")) for n, each in enumerate(matchers)]
    )
    assert [rule.name for rule in index.matching({"job": "worker-7", "severity": "warning"})] == ["r7"]
    assert asked == 1


def test_a_renamed_rule_is_found_by_either_name() -> None:
    renamed = Rule("new", OtherTrigger("manual"), target_template("node/n"), was=("old",))
    book = Rulebook(RulebookHash("x"), (renamed,))
    assert book.rule("new") is book.rule("old") is renamed
    assert book.rule("other") is None


@pytest.mark.parametrize("daemon", Mode)
@pytest.mark.parametrize("own", Mode)
def test_the_lower_of_the_daemon_s_and_the_rule_s_mode_holds(daemon: Mode, own: Mode) -> None:
    assert rule(mode=own).effective_mode(daemon) is Mode(min(daemon, own))
    assert Rule("r", OtherTrigger("manual"), target_template("node/n")).effective_mode(daemon) is Mode.OBSERVE


def test_a_rule_s_own_severity_and_channels_come_before_the_policy_s() -> None:
    critical = Severity("P1", (parse_matcher("severity=critical"),))
    book = Rulebook(BOOK, (), severities=(Severity("P0"), critical), default_report=("slack:#all",))
    own = replace(rule(), severity="P2", report=("slack:#own",))
    assert book.severity_of(own, {"severity": "critical"}) == "P2"
    assert book.severity_of(rule(), {"severity": "critical"}) == "P1"
    assert book.severity_of(None, {}) == "P3"
    assert (book.report_to(own), book.report_to(rule()), book.report_to(None)) == (
        ("slack:#own",),
        ("slack:#all",),
        ("slack:#all",),
    )
