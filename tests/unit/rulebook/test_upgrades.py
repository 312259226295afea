"""Files of an older version of the format become new ones: in memory when read, and by `check --upgrade`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from remediator.cli.check import check
from remediator.rulebook import compile as compiling
from remediator.rulebook.document import Document, read
from remediator.rulebook.source import FileRules
from remediator.rulebook.upgrades import FORMAT, Edit, Format, StaleEdit, UnknownVersion, edited, renamed
from tests.unit.rulebook.support import of_text


def _goal(text: str, document: Document) -> Iterator[Edit]:
    """A made-up first version calls a rule's `summary` its `goal`."""
    for index, rule in enumerate(document.data.get("rules", ())):
        if "goal" in rule:
            yield renamed(text, document, ("rules", index, "goal"), "summary")


def _modes(_: str, document: Document) -> Iterator[Edit]:
    """A made-up second one calls mode live `armed`."""
    for index, rule in enumerate(document.data.get("rules", ())):
        if rule.get("mode") == "armed":
            yield Edit(*document.place(("rules", index, "mode")), "armed", "live")


MADE_UP = Format({1: _goal, 2: _modes})
OLD = """\
# Ours since 2019.
rules:
  - name: one   # the first
    "goal": Undo it   # and say so
    when: {matchers: ['alertname="A"']}
    target: deployment/shop/cart

  - {name: two, goal: Page, when: {matchers: [x="y"]}, target: node/a, mode: armed} # flow
"""
NEW = """\
# Ours since 2019.
version: 3
rules:
  - name: one   # the first
    "summary": Undo it   # and say so
    when: {matchers: ['alertname="A"']}
    target: deployment/shop/cart

  - {name: two, summary: Page, when: {matchers: [x="y"]}, target: node/a, mode: live} # flow
"""


def test_only_what_has_to_be_other_is_other() -> None:
    assert MADE_UP.upgraded(OLD) == NEW


def test_a_new_file_stays_as_it_is() -> None:
    assert MADE_UP.upgraded(NEW) == NEW
    assert FORMAT.upgraded(OLD) == OLD


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1 # old\nrules: []\n", "version: 3 # old\nrules: []\n"),
        ("rules: []\nversion: +2\n", "rules: []\nversion: 3\n"),
        ("{rules: []}", "{version: 3, rules: []}"),
        ("---\n  rules: []\n", "---\n  version: 3\n  rules: []\n"),
        ("# nothing\n", "# nothing\n"),
        ("{}", "{}"),
        ("rules: [", "rules: ["),
    ],
)
def test_the_version_is_said_where_it_was_or_first(old: str, new: str) -> None:
    assert MADE_UP.upgraded(old) == new


@pytest.mark.parametrize("written", ["0", "4", "two", "1.0", "true", "[1]"])
def test_a_version_that_is_not_read_says_which_are(written: str) -> None:
    with pytest.raises(UnknownVersion, match="this Remediator reads versions 1 to 3"):
        MADE_UP.upgraded(f"version: {written}\n")


def test_a_version_that_nobody_reads_any_more_is_not_known() -> None:
    with pytest.raises(UnknownVersion, match="reads versions 2 to 3"):
        Format({2: _modes}, oldest=2).version(read("rules: []"))


def test_an_edit_of_what_is_not_there_is_a_mistake_and_no_damage() -> None:
    with pytest.raises(StaleEdit):
        edited("a: b\n", [Edit(1, 4, "c", "d")])


def test_an_old_file_is_read_as_if_it_were_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "FORMAT", Format({1: _goal}))
    judgement = of_text(OLD.partition("\n\n")[0] + "\n    report: [log]\n    steps: []\n")
    assert (
        judgement.rulebook is None
    )  # what it became is judged as version 2, which this build's models are not
    assert [str(each) for each in judgement.errors] == [
        "rules.yaml:2:10: '2' does not fit: write a whole number from 1 to 1"
    ]


def test_files_are_rewritten_where_they_lie_and_others_left_alone(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    files = {"a.yaml": OLD, "team/b.yaml": NEW, "team/c.yaml": "version: 9\n", "d.yaml": "rules: ["}
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.replace("\n", "\r\n").encode())
    (tmp_path / "a.yaml").chmod(0o640)
    assert FileRules(tmp_path).upgrade(MADE_UP) == ["a.yaml"]
    assert (tmp_path / "a.yaml").read_bytes().count(b"\r\n") == NEW.count("\n") - 1
    assert (tmp_path / "a.yaml").read_text().replace("\r", "") == NEW
    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o640
    assert [(tmp_path / name).read_text() for name in list(files)[1:]] == list(files.values())[1:]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.yaml", "d.yaml", "team"]


def test_the_command_upgrades_and_then_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: [] # ours\n")
    done = CliRunner().invoke(check, ["--upgrade", str(file)])
    assert (done.exit_code, done.stderr) == (0, "nothing is older than version 1\n")
    monkeypatch.setattr("remediator.cli.check.FORMAT", MADE_UP)
    done = CliRunner().invoke(check, ["--upgrade", str(file)])
    assert done.stderr == "rules.yaml: rewritten as version 3\n"
    assert file.read_text() == "version: 3\nrules: [] # ours\n"
    assert "this Remediator reads version 1" in done.stdout
