"""`remediator check`: what it prints, and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from remediator.cli.check import check
from remediator.rulebook.schema import json_schema
from tests.unit.rulebook.support import RULES

BAD = RULES / "bad"


def run(*arguments: str | Path, **settings: str) -> Result:
    return CliRunner().invoke(check, [str(each) for each in arguments], env=settings)


def test_errors_come_a_line_each_with_places_to_click_on() -> None:
    result = run(BAD / "two-files")
    expected = (BAD / "two-files.txt").read_text().splitlines()
    *lines, summary = result.stdout.splitlines()
    assert lines == [f"{BAD / 'two-files'}/{line}" for line in expected]
    assert summary == "4 rules in 2 files: 4 errors, 0 warnings"
    assert result.exit_code == 1


def test_a_lone_file_is_named_as_it_was_given() -> None:
    result = run(BAD / "list.yaml")
    assert result.stdout.startswith(f"{BAD / 'list.yaml'}:1:1: a rule file is a mapping")
    assert result.stdout.endswith("0 rules in 1 file: 1 error, 0 warnings\n")


def test_warnings_alone_are_fine() -> None:
    result = run(RULES / "good" / "aliases.yaml")
    assert ":14:12: warning: 'unreachable' is never asked" in result.stdout
    assert result.stdout.endswith("3 rules in 1 file: 0 errors, 2 warnings\n")
    assert result.exit_code == 0


def test_the_shipped_rules_have_no_finding() -> None:
    result = run(RULES.parents[2] / "rules")
    assert result.stdout == "5 rules in 4 files: 0 errors, 0 warnings\n"


def test_left_out_the_path_is_that_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REMEDIATOR_RULES", raising=False)
    assert "0 rules in 0 files" in run().stdout
    assert run(REMEDIATOR_RULES=str(BAD / "list.yaml")).exit_code == 1


def test_an_empty_folder_is_warned_of(tmp_path: Path) -> None:
    assert run(tmp_path).stdout.startswith(f"{tmp_path}: warning: no rules here")


def test_a_file_that_is_not_read_for_its_name_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("rules: []\n")
    result = run(tmp_path)
    assert f"{tmp_path}/a.yml: warning: not read, since its name ends in .yml" in result.stdout
    assert result.exit_code == 0


def test_a_missing_path_says_what_to_do(tmp_path: Path) -> None:
    result = run(tmp_path / "gone")
    assert "gone: no such file or folder: " in result.stdout
    assert "REMEDIATOR_RULES" in result.stdout
    assert result.exit_code == 1


def test_json_is_one_document() -> None:
    result = run("--json", BAD / "list.yaml")
    document = json.loads(result.stdout)
    assert document["ok"] is False
    assert (document["rules"], document["files"], document["warnings"]) == (0, 1, [])
    (error,) = document["errors"]
    assert (error["file"], error["line"], error["column"]) == (str(BAD / "list.yaml"), 1, 1)
    assert error["message"].startswith("a rule file is a mapping")
    assert result.exit_code == 1


def test_the_schema_is_printed_whatever_the_rules_are() -> None:
    result = run("--schema", BAD)
    assert json.loads(result.stdout) == json_schema()
    assert result.exit_code == 0


@pytest.mark.parametrize("arguments", [["--jsn"], ["a", "b"]])
def test_misuse_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_it_needs_no_settings_no_sdk_and_no_colour_off_a_terminal() -> None:
    """A real process: a matcher that RE2 refuses writes nothing to stderr either."""
    code = (
        "import sys\n"
        "from remediator.cli.check import check\n"
        "try: check()\n"
        "finally: print(*sorted({'kubernetes_asyncio', 'slack_sdk', 'aiohttp'} & set(sys.modules)))"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("REMEDIATOR_")}
    found = subprocess.run(
        [sys.executable, "-c", code, BAD / "values.yaml"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=30,
    )
    assert found.returncode == 1
    assert found.stdout.endswith(" warnings\n\n")
    assert "\x1b" not in found.stdout
    assert found.stderr == ""
