"""Whatever a file holds, reading it raises nothing, takes little, and each finding has a place in it."""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.cli.check import check
from remediator.core.ports.channels import RulebookError, RuleFiles
from remediator.rulebook.models import RuleFile
from remediator.rulebook.rule_models import Rule
from remediator.rulebook.source import FileRules, rulebook_hash
from tests.unit.rulebook.support import RULES, of_text

_BREAKS = re.compile("[\n\r\x85\u2028\u2029]")
GOOD = (RULES / "good" / "every-rule-key.yaml").read_text()
WORDS = st.sampled_from(
    [
        *(field.alias or name for model in (Rule, RuleFile) for name, field in model.model_fields.items()),
        *("check", "action", "with", "within", "matchers", "schedule", "manual", "checks", "replicas"),
        *ACTIONS,
        *CHECKS,
        *(
            'alertname="A"',
            "3/1h",
            "30s",
            "5",
            "no",
            "live",
            "deployment/shop/cart",
            "{{ labels.job }}",
            "{{",
            "<<",
            "[key]",
        ),
    ]
)
# Other tests share the machine, so that no single example has a time of its own.
FUZZED = settings(deadline=None)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


def judge_text(text: str) -> None:
    """Judge it as the daemon does: only RulebookError may come out, and every place exists."""
    texts = {"rules.yaml": text}
    with contextlib.suppress(RulebookError):
        FileRules(RULES).compile(RuleFiles(texts, rulebook_hash(texts)))
    judgement = of_text(text)
    assert (judgement.rulebook is None) is bool(judgement.errors)
    for problem in (*judgement.errors, *judgement.warnings):
        assert 1 <= problem.place.line <= len(_BREAKS.findall(text)) + 2
        assert problem.place.column >= 1


@FUZZED
@given(st.text() | st.text("[]{}:-,&*!|>'\"%@`#?~ \n\tab01"))
def test_any_text(text: str) -> None:
    judge_text(text)


@FUZZED
@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    judge_text(content.decode("utf-8", errors="surrogateescape"))


@FUZZED
@given(VALUES)
def test_any_structure(data: Any) -> None:
    judge_text(yaml.safe_dump(data, allow_unicode=True))


@FUZZED
@given(
    st.lists(st.dictionaries(WORDS, VALUES, max_size=8), max_size=3),
    st.dictionaries(WORDS, VALUES, max_size=4),
)
def test_anything_in_place_of_rules_and_policy(rules: list[Any], policy: dict[str, Any]) -> None:
    judge_text(yaml.safe_dump(policy | {"rules": rules}, allow_unicode=True))


@FUZZED
@given(st.data())
def test_any_change_of_a_good_file(data: st.DataObject) -> None:
    """One value anywhere is replaced, or one key: what was near to right is where special cases hide."""
    book = yaml.safe_load(GOOD)
    place, part = book, "rules"
    while isinstance(place[part], (dict, list)) and place[part] and data.draw(st.integers(0, 5)):
        place = place[part]
        part = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
    value = place[part]
    if isinstance(place, dict) and data.draw(st.booleans()):
        del place[part]
        place[data.draw(WORDS)] = value
    else:
        place[part] = data.draw(VALUES)
    judge_text(yaml.safe_dump(book))


@FUZZED
@given(st.integers(0, len(GOOD)), st.integers(0, 30), st.text("{}[]:-, \n\"'x", max_size=3))
def test_any_edit_of_a_good_file(start: int, length: int, text: str) -> None:
    judge_text(GOOD[:start] + text + GOOD[start + length :])


names = st.sampled_from(
    ["a.yaml", "b.yaml", "sub/c.yaml", "tests/t.yaml", ".d.yaml", "e.yml", "f.yaml/g.yaml"]
)


@settings(FUZZED, max_examples=50)
@given(
    st.dictionaries(names, st.binary(max_size=40) | st.sampled_from([GOOD.encode(), b"rules: []", b"\xff"]))
)
def test_any_folder(files: dict[str, bytes]) -> None:
    """As the daemon and `check` read it: the one raises its own error alone, the other says what it is."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name, content in files.items():
            with contextlib.suppress(FileExistsError, NotADirectoryError):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
        source = FileRules(folder)
        with contextlib.suppress(RulebookError):
            source.compile(source.read())
        told = CliRunner().invoke(check, [made, "--format", "github"])
        assert isinstance(told.exception, SystemExit | None), told.exception
        assert ("::error" in told.stdout) is (told.exit_code == 1)


@FUZZED
@given(st.lists(st.text(max_size=30) | st.sampled_from([GOOD, "rules: []", "brake: {}"]), max_size=3))
def test_any_files_together(texts: list[str]) -> None:
    named = {f"{number}.yaml": text for number, text in enumerate(texts)}
    with contextlib.suppress(RulebookError):
        FileRules(RULES).compile(RuleFiles(named, rulebook_hash(named)))


def test_a_key_named_like_pydantic_s_mark_of_a_bad_key_is_a_key() -> None:
    for text in ("'[key]': 1", "databases: {'[key]': 1}", "databases: {'[key]': {'[key]': 1}}"):
        judge_text(text)
    assert "unknown key '[key]'" in of_text("'[key]': 1").errors[0].message
