"""What matchers say about each other, against asking every label set of a small world."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.implications import contradiction, implies, values_of
from remediator.core.matchers import Matcher, Operator, matcher, parse_matcher

VALUES = ("", "a", "b", "ab", "ba", "c", "\n", "a.b")
PATTERNS = (
    "a",
    "a|b",
    "(a|b)c?",
    "ab?",
    "a?",
    "",
    ".*",
    ".+",
    "[ab]",
    "a|.+",
    r"a\.b",
    "(?:a|b)b?",
    "(a|b",
    "a{1,2}",
)
WORLD = [{"x": x, "y": y} for x, y in product(VALUES, VALUES)]


def readable(pattern: str) -> bool:
    return pattern.count("(") == pattern.count(")")


some_matchers = st.lists(
    st.builds(
        matcher,
        st.sampled_from("xy"),
        st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL]),
        st.sampled_from(VALUES),
    )
    | st.builds(
        matcher,
        st.sampled_from("xy"),
        st.sampled_from([Operator.REGEX, Operator.NOT_REGEX]),
        st.sampled_from([each for each in PATTERNS if readable(each)]),
    ),
    max_size=4,
)


def parsed(*texts: str) -> list[Matcher]:
    return [parse_matcher(text) for text in texts]


def fits(matchers: list[Matcher], labels: dict[str, str]) -> bool:
    return all(each.matches(labels) for each in matchers)


@given(some_matchers, some_matchers)
def test_what_is_said_to_follow_follows(narrow: list[Matcher], wide: list[Matcher]) -> None:
    if implies(narrow, wide):
        for labels in WORLD:
            multiline = "\n" in labels.values()  # `.*` is taken for all that a label can be
            assert multiline or not fits(narrow, labels) or fits(wide, labels)


@given(some_matchers)
def test_what_is_said_to_contradict_itself_holds_for_nothing(matchers: list[Matcher]) -> None:
    if contradiction(matchers) is not None:
        assert [each for each in WORLD if "\n" not in each.values() and fits(matchers, each)] == []


@given(some_matchers)
def test_the_values_are_all_that_fit(matchers: list[Matcher]) -> None:
    mine = [each for each in matchers if each.name == "x"]
    found = values_of(mine)
    if found is not None:
        assert {value for value in VALUES if fits(mine, {"x": value})} <= found
        assert all(fits(mine, {"x": value}) for value in found)


@pytest.mark.parametrize(
    ("narrow", "wide", "follows"),
    [
        (['x="a"'], [], True),
        (['x="a"'], ['x=~"a|b"'], True),
        (['x=~"a|b"'], ['x="a"'], False),
        (['x="a"', 'y="b"'], ['x="a"'], True),
        (['x="a"'], ['x="a"', 'y="b"'], False),
        (['x="a"'], ['y=""'], False),
        (['x="a"'], ['y=~".*"'], True),
        (['x="a"'], ['x!="b"'], True),
        (['x=~"a.*"'], ['x!="b"'], True),
        (['x=~"a.*"'], ['x!~"b|c"'], True),
        (['x=~"a.*"'], ['x!~"b|a"'], False),
        (['x=~"a.*"'], ['x=~"a.*"'], True),
        (['x=~"a.*"'], ['x=~".+"'], False),
        (['x=~"auth-(api|web)"'], ['x=~"auth-.+"'], True),
        ([], ['x!="a"'], False),
        (['x!="a"'], ['x!="a"'], True),
    ],
)
def test_what_follows_from_what(narrow: list[str], wide: list[str], *, follows: bool) -> None:
    assert implies(parsed(*narrow), parsed(*wide)) is follows


@pytest.mark.parametrize(
    ("matchers", "contradict"),
    [
        (['x="a"', 'x="b"'], True),
        (['x="a"', 'x!="a"'], True),
        (['x="a"', 'x!~"a|b"'], True),
        (['x=~"a|b"', 'x=~"c|d"'], True),
        (['x=~"a|b"', 'x=~"b|c"'], False),
        (['x=~"a.+"', 'x!~"a.+"'], True),
        (['x="a"', 'x=~"b.*"'], True),
        (['x=""', 'x=~".+"'], True),
        (['x!~".*"'], True),
        (['x="a"', 'y="b"'], False),
        (['x=~"a.+"', 'x=~"b.+"'], False),
    ],
)
def test_what_can_t_hold_together(matchers: list[str], *, contradict: bool) -> None:
    assert (contradiction(parsed('z="1"', *matchers)) is not None) is contradict
