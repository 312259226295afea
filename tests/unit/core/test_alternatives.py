"""The few texts that a pattern matches, against RE2."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.alternatives import texts_of
from remediator.core.matchers import MatcherError, Operator, matcher

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("cart", ("cart",)),
        ("cart|auth-service|cart", ("cart", "auth-service")),
        ("^(?:a|b)$", ("a", "b")),
        ("^a|b$", ("a", "b")),
        ("(a b|ü|x\ny)", ("a b", "ü", "x\ny")),
        (r"10\.0\.0\.1|node\-1", ("10.0.0.1", "node-1")),
        (r"a\|b|a\$|\\", ("a|b", "a$", "\\")),
        ("a|", ("a", "")),
        ("", ("",)),
        ("(a|b)-(c|d)", ("a-c", "a-d", "b-c", "b-d")),
        ("web(-canary)?", ("web-canary", "web")),
        ("((a))|a(b|c)", ("a", "ab", "ac")),
        ("(" * 3 + "a|b" + ")" * 3 + "c?", ("ac", "a", "bc", "b")),
    ],
)
def test_a_pattern_of_alternatives_is_written_out(pattern: str, texts: tuple[str, ...]) -> None:
    assert texts_of(pattern) == texts


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "a.b",
            "a+",
            "(?i)a",
            "[a]",
            "a$|b",
            "b|^a",
            r"\d",
            r"\Qa\E",
            r"\_",
            "a{2}",
            r"\pL",
            "a??",
            "a|)",
            "(a",
        ),
        *("(a|b)" * 9, "|".join(map(str, range(300)))),
    ],
)
def test_whatever_says_more_is_not(pattern: str) -> None:
    assert texts_of(pattern) is None


@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=4), min_size=1, max_size=4).map("|".join)
    | st.text(st.sampled_from("ab()|?:^$\\.-"), max_size=10),
    any_text | st.text(st.sampled_from("ab.-|$"), max_size=5),
)
def test_a_pattern_matches_the_texts_that_it_is_known_for_and_no_other(pattern: str, other: str) -> None:
    with suppress(MatcherError):
        made = matcher("a", Operator.REGEX, pattern)
        known = texts_of(pattern)
        if known is not None:
            assert all(made.matches({"a": text}) for text in known)
            assert made.matches({"a": other}) is (other in known)
