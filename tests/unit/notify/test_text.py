"""Hostile text reads as it was written, and does nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.notify.text import clean, code, escape, fence, fenced, fit, flat, inline, newest, strong
from tests.unit.notify.hostile import HOSTILE, anything
from tests.unit.notify.mrkdwn import obeyed, seen


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("render", [inline, code])
def test_no_hostile_text_is_obeyed(render: object, text: str) -> None:
    assert callable(render)
    assert obeyed(render(text)) == []


@given(anything)
def test_no_text_at_all_is_obeyed(text: str) -> None:
    assert obeyed(inline(text)) == []
    assert obeyed(code(text)) == []
    assert obeyed(fence([fenced(line) for line in text.split("\n")])) == []


@given(anything)
def test_strong_is_bold_as_a_whole_or_not_at_all(text: str) -> None:
    told = strong(text)
    assert obeyed(told) in ([], [told])


@given(anything)
def test_it_reads_as_it_was_written(text: str) -> None:
    """But for its white space, for what can't be seen, and for backticks, which get a lookalike in code."""
    assert seen(inline(text)).replace("\u02cb", "`") == flat(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 of 3 pods ready", "0 of 3 pods ready"),
        ("deployment/selfmonitor/auth-service", "deployment/selfmonitor/auth-service"),
        ("at 03:12:04, 5 < 6 & so on", "at 03:12:04, 5 &lt; 6 &amp; so on"),
        ("the rate of http_requests_total rose", "the rate of `http_requests_total` rose"),
        ("  two\n lines ", "two lines"),
        ("look at `me`", "look at `\u02cbme\u02cb`"),
        ("at :100: or :1:", "at `:100:` or :1:"),
    ],
)
def test_only_words_that_could_be_markup_become_code(text: str, told: str) -> None:
    assert inline(text) == told


@given(anything)
def test_clean_text_holds_no_control_characters(text: str) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", clean(text))
    clean(text).encode()


def test_scripts_that_need_joiners_keep_them() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert clean(family + "\u0645\u06cc\u200c\u062e\u0648") == family + "\u0645\u06cc\u200c\u062e\u0648"


@given(anything, st.integers(40, 400), st.sampled_from([inline, code, strong, escape]))
def test_fit_never_exceeds_its_limit_and_counts_what_it_cut(text: str, limit: int, render: object) -> None:
    assert callable(render)
    told = fit(text, limit, render)
    assert len(told) <= limit
    if told != render(text):
        cut = re.search(r"… \(([\d,]+) characters cut\)$", told)
        assert cut
        kept = len(text) - int(cut[1].replace(",", ""))
        assert told.startswith(render(text[:kept]).lstrip())
        assert 0 <= kept < len(text)


def test_fit_cuts_no_entity_in_half_and_uses_its_room() -> None:
    told = fit("&" * 100, 60, escape)
    assert told == "&amp;" * 7 + " … (93 characters cut)"


def test_newest_lines_are_kept() -> None:
    assert newest(["one", "two", "three"], 10) == (["two", "three"], 1)
    assert newest(["one"], 0) == ([], 1)
