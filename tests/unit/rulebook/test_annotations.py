"""`check` where others read it: CI's annotations, a pre-commit hook, and several files of Prometheus."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from remediator.cli.check import check
from remediator.cli.findings import Findings, github
from remediator.rulebook.problems import Place, Problem
from tests.unit.rulebook.support import RULES

ROOT = RULES.parents[2]
BAD = RULES / "bad" / "list.yaml"
UNREACHED = RULES / "good" / "unreached.yaml"
PLAYBOOK = ROOT / "deploy" / "prometheus" / "playbook.rules.yml"
OWN = ROOT / "deploy" / "prometheus" / "remediator.rules.yml"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(check, [str(each) for each in arguments])


def test_github_shows_each_finding_at_its_line() -> None:
    result = run(BAD, "--format", "github")
    first, summary = result.stdout.splitlines()
    assert first.startswith(f"::error file={BAD},line=1,col=1::a rule file is a mapping")
    assert summary == "0 rules in 1 file: 1 error, 0 warnings"
    assert result.exit_code == 1
    assert f"::warning file={UNREACHED},line=4,col=12::" in run(UNREACHED, "--format", "github").stdout


def test_github_is_told_nothing_that_it_would_take_for_a_command() -> None:
    """Its own escapes: https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts."""
    found = Findings(
        (Problem(Place("a:b,c%.yaml", 2, 3), "100%\r\n::error::x"), Problem(Place("d"), "e")), (), 1, 1
    )
    assert github(found).splitlines()[:2] == [
        "::error file=a%3Ab%2Cc%25.yaml,line=2,col=3::100%25%0D%0A::error::x",
        "::error file=d::e",
    ]


def test_gitlab_gets_a_code_quality_report() -> None:
    report = json.loads(run(UNREACHED, "--format", "gitlab").stdout)
    (found,) = [each for each in report if "'narrower' is never asked" in each["description"]]
    assert found["location"] == {"path": str(UNREACHED), "lines": {"begin": 4}}
    assert (found["severity"], found["check_name"]) == ("minor", "remediator-warning")
    assert len({each["fingerprint"] for each in report}) == len(report) == 7


def test_code_scanning_gets_sarif() -> None:
    log = json.loads(run(BAD, "--format", "sarif").stdout)
    (result,) = log["runs"][0]["results"]
    assert (log["version"], result["level"]) == ("2.1.0", "error")
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": str(BAD)},
        "region": {"startLine": 1, "startColumn": 1},
    }


def test_json_has_two_names() -> None:
    assert run(BAD, "--json").stdout == run(BAD, "--format", "json").stdout


def test_an_unknown_format_is_misuse() -> None:
    assert run(BAD, "--format", "xml").exit_code == 2


def hook() -> dict[str, Any]:
    (found,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    return dict(found)


def test_the_hook_checks_the_rules_of_whoever_commits_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its entry is an installed script, its arguments check the folder that its pattern watches."""
    monkeypatch.chdir(ROOT)
    program, command = hook()["entry"].split()
    assert f'{program} = "remediator.cli:main"' in (ROOT / "pyproject.toml").read_text()
    assert (command, hook()["pass_filenames"], hook()["language"]) == ("check", False, "python")
    assert run(*hook()["args"]).exit_code == 0
    assert re.search(hook()["files"], "rules/policy.yaml")
    assert re.search(hook()["files"], "team/rules/deep/x.yml")
    assert not re.search(hook()["files"], "myrules/x.yaml")


# --- several files of Prometheus


@pytest.mark.parametrize(
    "arguments",
    [
        ("--prometheus", PLAYBOOK, OWN),
        ("--prometheus", PLAYBOOK, OWN, "--format", "text"),
        ("--prometheus", PLAYBOOK, "--prometheus", OWN),
        ("--prometheus", PLAYBOOK.parent),
    ],
)
def test_several_files_follow_one_option(arguments: tuple[str | Path, ...]) -> None:
    result = run(ROOT / "rules", *arguments)
    assert "playbook.rules.yml" not in result.stdout
    assert f"{OWN}:7:16: warning: no rule takes the critical alert 'RemediatorDown'" in result.stdout
    assert result.stdout.endswith("5 rules in 4 files: 0 errors, 8 warnings\n")
    assert result.exit_code == 0


def test_the_shipped_rules_and_the_playbook_s_alerts_go_together() -> None:
    result = run(ROOT / "rules", "--prometheus", PLAYBOOK)
    assert result.stdout == "5 rules in 4 files: 0 errors, 0 warnings\n"


def test_a_file_without_alerting_rules_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("a: b\n")
    result = run(ROOT / "rules", "--prometheus", tmp_path / "x.yml")
    assert f"{tmp_path}/x.yml:1:1: no alerting rules here" in result.stdout
    assert result.exit_code == 1
    assert run(ROOT / "rules", "--prometheus", tmp_path).exit_code == 0
    assert run(ROOT / "rules", "--prometheus", tmp_path / "gone").exit_code == 2


def test_a_rule_that_waits_in_vain_is_warned_of_at_its_matcher(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.yml"
    alerts.write_text("groups: [{name: g, rules: [{alert: Dwon, expr: up}]}]\n")
    result = run(UNREACHED, "--prometheus", alerts)
    expected = (
        f"{UNREACHED}:3:37: warning: 'named' is never asked: "
        "no alert's name satisfies alertname=\"Down\": did you mean 'Dwon'?"
    )
    assert expected in result.stdout.splitlines()
