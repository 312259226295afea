"""Our matchers and the real amtool's: the same texts are matchers, and the same labels fit them."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from remediator.core.matchers import Matcher, MatcherError, parse_matcher
from tests.support.matchers import stricter

NAMES = ("a", "job", "_x:y9")
# Characters with a meaning to either grammar, to a regular expression, to YAML or to UTF-8.
_CHARACTERS = st.sampled_from([*"ab\"\\n'`,{}=!~ \n\t", *".*+?|()[]^$-d2", "é", "日", "\U0001f600"])
_RAW = st.text(_CHARACTERS, max_size=6)
_PATTERNS = st.sampled_from(
    [
        "a|b",
        ".*",
        ".+",
        "a?b*",
        "[ab]+",
        "(?i)A",
        "(?s).*",
        r"\\d+",
        r"\\.",
        "a{1,2}",
        "^a$",
        "",
        "[^a]*",
        "日.",
    ]
)
_QUOTED = st.builds('"{}"'.format, _RAW.map(lambda text: text.replace('"', r"\"")) | _RAW | _PATTERNS)
_SPACE = st.sampled_from(["", "", "", " ", "\t", "\n "])
_OPERATORS = st.sampled_from(["=", "!=", "=~", "!~"])
TEXTS = st.builds(
    "{}{}{}{}{}{}{}".format,
    *(_SPACE, st.sampled_from(NAMES), _SPACE, _OPERATORS, _SPACE, _QUOTED | _PATTERNS | _RAW, _SPACE),
) | st.text(st.sampled_from([*'a1=!~" \\,{}', "b"]), max_size=8)
VALUES = st.sampled_from(
    ["", "a", "b", "ab", "aa", "A", "5", ".", "\n", "a\nb", '"', "\\", "\\n", "é", "日本"]
)
#: In every batch, since chance rarely brings such a matcher together with a label that fits it.
ALWAYS = (
    *(r'a="a\nb"', r"a=a\nb", r'a="\n"', r'a="\""', r"a=\"", r'a="\\"', r"a=\\", "a=\\", r'a="\\n"'),
    *(
        'a=""',
        'a!=""',
        'job=~".*"',
        'job!~".+"',
        'a=~"a.b"',
        'a=~"(?s)a.b"',
        'a=~"..本?"',
        'a="é"',
        'a=~"\\\\d"',
    ),
)
LABELS = st.dictionaries(st.sampled_from(NAMES), VALUES)

#: Starting a process costs more than what it does, so each example is a batch, and none is shrunk.
BATCHES = settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def amtool(*arguments: str) -> str:
    found = subprocess.run(
        ["amtool", *arguments], capture_output=True, text=True, check=False, timeout=60, errors="replace"
    )
    return found.stdout


@cache
def knows_names_in_quotes() -> bool:
    """Since 0.27; the grammar for UTF-8 is compared with that of a newer one in tests/unit/core too."""
    told = subprocess.run(["amtool", "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"version (\d+)\.(\d+)", told.stdout + told.stderr)
    assert version is not None
    return (int(version[1]), int(version[2])) >= (0, 27)


def config(texts: list[str]) -> str:
    """One route for each; JSON is YAML, so nothing but the matchers' own grammar is asked."""
    routes = [
        {"receiver": f"r{number}", "matchers": [text], "continue": True} for number, text in enumerate(texts)
    ]
    receivers = [{"name": "none"}, *({"name": f"r{number}"} for number in range(len(texts)))]
    return json.dumps(
        {"route": {"receiver": "none", "routes": routes}, "receivers": receivers}, ensure_ascii=False
    )


def accepted(texts: list[str], folder: Path) -> list[bool]:
    """Which texts amtool takes for matchers, with one process for all."""
    files = [folder / f"{number}.yml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(config([text]))
    told = amtool("check-config", *map(str, files))
    answers = dict(re.findall(r"^Checking '([^']+)' +(SUCCESS|FAILED)", told, re.MULTILINE))
    return [answers[str(file)] == "SUCCESS" for file in files]


def ours(text: str) -> Matcher | None:
    try:
        return parse_matcher(text)
    except MatcherError:
        return None


def value_of(text: str) -> str:
    """The value where somebody but us has to have read it."""
    return re.split(r"=~|!~|=", text, maxsplit=1)[-1]


def newer(text: str) -> bool:
    """Whether only the grammar of 0.27 and later can read it: its name, or an escape that only Go knows."""
    classic = re.match(r"[\t\n\f\r ]*[a-zA-Z_:][a-zA-Z0-9_:]*[\t\n\f\r ]*[=!]", text)
    return classic is None or re.search(r"\\[abfrtvxuU0-7]", text) is not None


def agree(text: str, read: Matcher | None, *, theirs: bool) -> bool:
    if read is None:
        return not theirs or not text.strip() or stricter(text, value_of(text))
    return theirs or (newer(text) and not knows_names_in_quotes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("amtool")


@BATCHES
@given(st.lists(TEXTS, min_size=40, max_size=60, unique=True))
def test_what_is_a_matcher_is_one_to_both(folder: Path, texts: list[str]) -> None:
    answers = zip(texts, accepted(texts, folder), strict=True)
    assert [text for text, theirs in answers if not agree(text, ours(text), theirs=theirs)] == []


@BATCHES
@given(
    st.lists(TEXTS, min_size=40, max_size=60, unique=True),
    st.lists(LABELS, max_size=4),
    st.lists(VALUES, min_size=4, max_size=6, unique=True),
)
def test_what_fits_a_matcher_fits_it_for_both(
    folder: Path, texts: list[str], some_labels: list[dict[str, str]], some_values: list[str]
) -> None:
    texts = [*texts, *ALWAYS]
    answers = zip(texts, accepted(texts, folder), strict=True)
    known = [text for text, theirs in answers if theirs and ours(text) is not None]
    file = folder / "routes.yml"
    file.write_text(config(known))
    for labels in [*some_labels, *({"a": value} for value in some_values)]:
        arguments = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()]
        routed = amtool("config", "routes", "test", "--config.file", str(file), *arguments)
        fitting = {f"r{number}" for number, text in enumerate(known) if parse_matcher(text).matches(labels)}
        assert set(routed.split()[-1].split(",")) == (fitting or {"none"}), labels
