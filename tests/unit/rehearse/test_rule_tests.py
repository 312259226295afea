"""`remediator test`: what it says of tests that pass, that fail, and of files that can't be tests."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from click.testing import CliRunner, Result

from remediator.cli.testing import test as command
from remediator.core.durations import parse_duration

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "rule_tests"
BAD = sorted((DATA / "bad").glob("*.yaml"))
GUIDE = (ROOT / "docs" / "testing.md").read_text()
HANGS = {"labels": {"alertname": "Down", "job": "cart"}}
WORLD = {
    "checks": {"kubernetes.rolled_out": {"after": "kubernetes.rollout_restart", "says": "yes"}},
    "actions": {"kubernetes.rollout_restart": "succeeds"},
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def play(folder: Path, *arguments: str, **test: Any) -> Result:
    """Play one test about the rule `restart`."""
    written = {
        "rules": str(DATA / "rules.yaml"),
        "tests": [{"name": "one", "alerts": [HANGS], "world": WORLD, **test}],
    }
    file = folder / "one.yaml"
    file.write_text(yaml.safe_dump(written))
    return run(str(file), *arguments)


def timeline(result: Result) -> list[tuple[str, str, str]]:
    document = json.loads(result.output)
    return [(row["mark"], row["at"], row["text"]) for row in document["tests"][0]["timeline"]]


def test_every_shipped_rule_is_tested_and_every_test_passes() -> None:
    result = run(str(ROOT / "rules"))
    assert result.exit_code == 0, result.output
    tests = "".join(file.read_text() for file in (ROOT / "rules" / "tests").glob("*.yaml"))
    rules = [yaml.safe_load(file.read_text()) for file in (ROOT / "rules").glob("*.yaml")]
    names = [rule["name"] for file in rules for rule in file.get("rules", ())]
    assert len(names) > 3
    for name in names:
        assert re.search(rf"(run|rule): {name}\b", tests), name


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_a_bad_file_is_refused_with_every_mistake_at_its_place(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(DATA / "bad")
    result = run(file.name)
    assert result.exit_code == 1
    assert result.output == file.with_suffix(".txt").read_text()


def test_the_worked_example_of_the_guide_passes_as_it_is_written(tmp_path: Path) -> None:
    for name, text in re.findall(r"<!-- example (\S+) -->\n```yaml\n(.*?)```", GUIDE, re.DOTALL):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    result = run(str(tmp_path / "rules"))
    assert result.exit_code == 0, result.output
    assert result.output.startswith("3 tests in 1 file: 3 passed")
    tests = tmp_path / "rules" / "tests" / "cart.yaml"
    tests.write_text(tests.read_text().replace("skip: cooldown", "skip: rate"))
    failed = run(str(tmp_path / "rules"))
    assert failed.exit_code == 1
    shown = GUIDE[GUIDE.index("FAILED") :].partition("```")[0]
    assert failed.output.replace(f"{tmp_path}/", "").startswith(shown)


def test_a_run_that_nobody_expected_fails_the_test(tmp_path: Path) -> None:
    result = play(tmp_path, "--json", expect="nothing")
    assert result.exit_code == 1
    [(_, at, text)] = [row for row in timeline(result) if row[0] == "unexpected"]
    assert at == "0:00:00"
    assert text.startswith("run restart on deployment/shop/cart: succeeded, steps rollout_restart")


@pytest.mark.parametrize(
    ("expected", "differs"),
    [
        ({"run": "restart", "outcome": "failed"}, "outcome"),
        ({"run": "restart", "at": "1m"}, "at"),
        ({"run": "restart", "ends": "2m"}, "ends"),
        ({"run": "restart", "steps": []}, "steps"),
        ({"run": "restart", "joins": 1}, "joins"),
        ({"run": "restart", "reason": "denied"}, "reason"),
        ({"run": "restart", "target": "deployment/shop/mail"}, "target"),
        ({"run": "restart", "says": "by magic"}, "says"),
    ],
)
def test_what_differs_is_shown_beside_what_happened(
    tmp_path: Path, expected: dict[str, Any], differs: str
) -> None:
    result = play(tmp_path, "--json", expect=[expected])
    marks = [row[0] for row in timeline(result)]
    assert result.exit_code == 1
    assert marks.count("expected") == marks.count("happened") == 1
    assert f"  differs in {differs}" in [row[2] for row in timeline(result)]


@pytest.mark.parametrize(
    "expected",
    [
        {"skip": "cooldown"},
        {"wait": "firing_for"},
        {"page": "restart"},
        {"call": "lead"},
        {"brake": "all"},
        {"quarantine": "deployment/shop/cart"},
        {"told": "by magic"},
    ],
    ids=lambda each: next(iter(each)),
)
def test_what_is_expected_and_does_not_happen_is_missing(tmp_path: Path, expected: dict[str, Any]) -> None:
    result = play(tmp_path, "--json", expect=[{"run": "restart"}, expected])
    assert result.exit_code == 1
    assert [row[0] for row in timeline(result)].count("missing") == 1
    assert [row[0] for row in timeline(result)].count("ok") == 1


@pytest.mark.parametrize(
    ("world", "lacks"),
    [
        ({"actions": WORLD["actions"]}, "world.checks says nothing about kubernetes.rolled_out of"),
        ({"checks": WORLD["checks"]}, "world.actions says nothing about kubernetes.rollout_restart on"),
    ],
)
def test_what_is_asked_for_and_not_described_fails_whatever_is_expected(
    tmp_path: Path, world: dict[str, Any], lacks: str
) -> None:
    result = play(tmp_path, "--json", world=world, expect=[{"run": "restart"}])
    assert result.exit_code == 1
    [(_, _, problem)] = [row for row in timeline(result) if row[0] == "problem"]
    assert problem.startswith(f"{lacks} deployment/shop/cart, which is asked for at 0s")


@pytest.mark.parametrize(
    ("deed", "problem"),
    [
        ({"approve": "restart"}, "no run of restart asks for anything at this time"),
        ({"acknowledge": "restart"}, "no page of restart is open"),
        ({"resume": "all"}, "nothing was paused"),
        ({"clear": "deployment/shop/cart"}, "it was not quarantined"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_what_a_person_can_t_do_fails_the_test(tmp_path: Path, deed: dict[str, Any], problem: str) -> None:
    result = play(tmp_path, "--json", people=[deed], expect=[{"run": "restart"}])
    assert result.exit_code == 1
    assert any(row[0] == "problem" and problem in row[2] for row in timeline(result))


def test_people_act_by_the_engine_s_own_verbs(tmp_path: Path) -> None:
    result = play(
        tmp_path,
        world={**WORLD, "actions": {"kubernetes.rollout_restart": ["unknown", "succeeds"]}},
        alerts=[{**HANGS, "at": ["0m", "1h", "3h"], "lasts": "10m"}],
        people=[
            {"at": "3m", "acknowledge": "restart", "by": "anna"},
            {"at": "50m", "clear": "deployment/shop/cart"},
            {"at": "55m", "pause": "deployment/shop/cart"},
            {"at": "2h", "resume": "deployment/shop/cart"},
            {"at": "5h", "run": "restart", "labels": {"job": "mail"}},
        ],
        expect=[
            {"run": "restart", "outcome": "unknown"},
            {"quarantine": "deployment/shop/cart"},
            {"call": "lead"},
            {"skip": "paused", "at": "1h"},
            {"run": "restart", "at": "3h", "outcome": "succeeded"},
            {"run": "restart", "at": "5h", "target": "deployment/shop/mail"},
        ],
    )
    assert result.exit_code == 0, result.output


def test_a_report_for_ci_holds_every_test_and_why_one_failed(tmp_path: Path) -> None:
    report = tmp_path / "out.xml"
    result = play(tmp_path, "--junit", str(report), expect=[{"skip": "cooldown"}, {"told": "\x07 & <"}])
    assert result.exit_code == 1
    suite = ET.parse(report).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    failure = suite[0].find("failure")
    assert failure is not None
    assert "skip cooldown" in (failure.get("message") or "")
    assert "unexpected   0:00:00  run restart" in (failure.text or "")


def test_a_name_that_no_test_has_is_misuse_and_so_is_a_path_that_is_none(tmp_path: Path) -> None:
    assert play(tmp_path, "-k", "two", expect="nothing").exit_code == 2
    assert run(str(tmp_path / "gone.yaml")).exit_code == 2
    (tmp_path / "empty").mkdir()
    assert run(str(tmp_path / "empty")).exit_code == 1


def test_the_schema_describes_every_key() -> None:
    schema = json.loads(run("--schema").output)
    lacking = [
        f"{name}.{key}"
        for name, part in [("file", schema), *schema["$defs"].items()]
        for key, each in part.get("properties", {}).items()
        if "description" not in each
    ]
    assert not lacking
    assert "cooldown" in json.dumps(schema)


def test_a_day_is_played_in_a_moment(tmp_path: Path) -> None:
    """How long it took is printed, and no more than printed: this machine may be busy."""
    twelve = [f"{hour}h" for hour in range(0, 24, 2)]
    result = play(
        tmp_path,
        "--json",
        alerts=[{**HANGS, "at": twelve, "lasts": "10m"}],
        until="24h",
        expect=[{"run": "restart", "at": at, "outcome": "succeeded"} for at in twelve],
    )
    assert result.exit_code == 0, result.output
    [told] = json.loads(result.output)["tests"]
    assert parse_duration(told["played"]) == timedelta(days=1)
    print(f"a day of 12 runs in {told['seconds']} s")  # noqa: T201


def test_too_few_of_a_count_are_played_until_they_are_decided_and_no_longer(tmp_path: Path) -> None:
    book = tmp_path / "counting.yaml"
    counting = {
        "name": "counting",
        "when": {"matchers": ['alertname="Hangs"'], "count": {"at_least": 2, "within": "5m", "by": ["job"]}},
        "target": "deployment/shop/cart",
        "steps": [],
    }
    book.write_text(yaml.safe_dump({"rules": [counting]}))
    test = {"name": "one", "alerts": [{"labels": {"alertname": "Hangs", "job": "cart"}}]}
    file = tmp_path / "one.yaml"
    file.write_text(
        yaml.safe_dump({"rules": book.name, "tests": [{**test, "expect": [{"skip": "no_rule"}]}]})
    )
    result = run(str(file), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["tests"][0]["played"].startswith("6m")


def test_what_people_were_told_is_shown_to_who_misses_some_of_it(tmp_path: Path) -> None:
    hostile = {"labels": {"alertname": "Down", "job": "cart", "instance": "a\n\x1b[31mb"}}
    expected = [{"run": "restart"}, {"told": "rolled forward", "channel": "log"}]
    result = play(tmp_path, alerts=[hostile], expect=expected)
    assert result.exit_code == 1
    missing = next(line for line in result.output.splitlines() if "told rolled forward in log" in line)
    assert "missing" in missing.lower()
    assert re.search(r"told slack:#incidents: cart: repaired and verified", result.output), result.output
    assert "\x1b[31mb" not in result.output
