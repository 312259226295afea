"""`remediator simulate` as it is called: what it prints, and how it exits."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.text import Text

from remediator.cli import cli
from remediator.cli.client import Terminal
from tests.unit.rehearse.test_simulation import ROLLED_OUT, down, rules

PAGE = Path(__file__).parents[3] / "docs" / "simulating.md"


def call(*words: str | Path, said: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["simulate", *map(str, words)], input=said)


@pytest.fixture
def webhooks(tmp_path: Path) -> Path:
    file = tmp_path / "webhooks.jsonl"
    file.write_bytes(b"\n".join(post.body for post in [*down(0), *down(60)]))
    return file


@pytest.fixture
def book(tmp_path: Path) -> Path:
    rules(tmp_path, ROLLED_OUT, name="book")
    return tmp_path / "book.yaml"


def test_the_documented_example_says_what_is_documented(tmp_path: Path) -> None:
    text = PAGE.read_text()
    (script,) = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (printed,) = re.findall(r"^```text\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=tmp_path,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert [line.rstrip() for line in done.stdout.splitlines()] == printed.splitlines()
    assert done.returncode == 1


def test_one_document_holds_everything(webhooks: Path, book: Path) -> None:
    done = call("-", "--rules", book, "--json", said=webhooks.read_text())
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["webhooks"] == 4
    assert told["counts"] == [{"kind": "undetermined", "reason": None, "count": 2}]
    first = told["episodes"][0]
    assert (first["labels"]["job"], first["undetermined"]) == ("cart", True)
    assert [each["check"] for each in first["unknown"]] == ["kubernetes.rolled_out_within"]
    (decision,) = first["decisions"]
    assert (decision["kind"], decision["mode"], decision["target"]) == ("run", "live", "deployment/shop/cart")
    assert decision["steps"] == [{"action": "kubernetes.scale", "with": {"replicas": 3}}]
    assert [each["reason"] for each in first["otherwise"]] == ["page_only"]


def test_what_is_undetermined_names_the_check_the_rule_and_both_outcomes(webhooks: Path, book: Path) -> None:
    said = call(webhooks, "--rules", book, "--limit", "1").output
    assert "not known: kubernetes.rolled_out_within (window: 1h) on deployment/shop/cart, for repair" in said
    assert "if it is as the rules ask: run (live) repair on deployment/shop/cart" in said
    assert "if it is not: skip page_only page on deployment/shop/cart" in said
    assert "and 1 more: --limit 0 lists all" in said


def test_rules_that_decide_alike_differ_in_nothing(webhooks: Path, book: Path) -> None:
    done = call(webhooks, "--rules", book, "--diff", book)
    assert done.exit_code == 0
    assert "nothing would be decided otherwise: 2 episodes the same" in done.output


def test_what_differs_is_one_document_too(webhooks: Path, book: Path, tmp_path: Path) -> None:
    rules(tmp_path, name="other")
    done = call(webhooks, "--rules", tmp_path / "other.yaml", "--diff", book, "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["same"], [each["undetermined"] for each in told["differences"]]) == (0, [True, True])
    assert [each["reason"] for each in told["differences"][0]["after"]["decisions"]] == ["matched"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a file or folder of webhooks, or - for standard input; or give --since 30d"),
        (["-", "--since", "30d"], "name a file or folder of webhooks, or - for standard input"),
        (["--since", "soon"], "'soon' is no duration: write a number and a unit, such as 30s"),
        (["-", "--assume", "a.check=yes"], "write CHECK=yes or CHECK=no, of alert.resolved, "),
        (["-"], "standard input:1: not JSON (Expecting value): give webhooks' bodies as Alertmanager posts"),
        (["gone.json"], "gone.json: can't be read: No such file or directory"),
    ],
)
def test_what_can_not_be_simulated_is_misuse(words: list[str], said: str) -> None:
    done = call(*words, said="what?")
    assert done.exit_code == 2
    assert said in done.output


def test_nothing_at_all_is_misuse_too() -> None:
    done = call("-", said="[]")
    assert (done.exit_code, done.output) == (2, "there is nothing to simulate: no alert came in\n")


def test_rules_with_errors_are_told_as_check_tells_them(webhooks: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("rules:\n  - nmae: x\n")
    done = call(webhooks, "--rules", bad)
    assert done.exit_code == 2
    assert "bad.yaml:2:5: unknown key 'nmae'" in done.output
    assert f"{bad} can't be simulated: `remediator check {bad}` says the same" in done.output


def test_without_a_daemon_history_is_misuse_and_not_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMEDIATOR_URL", "http://127.0.0.1:9")
    done = call("--since", "30d", "--diff", "rules")
    assert done.exit_code == 2
    assert "no Remediator answers at http://127.0.0.1:9" in done.output


def test_no_label_moves_the_cursor_or_begins_a_line(book: Path) -> None:
    firing = json.loads(down(0)[0].body)
    firing["alerts"][0]["labels"]["x"] = "\x1b[31mred\n  forged"
    done = call("-", "--rules", book, said=json.dumps(firing))
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.stdout
    assert "x=\ufffd[31mred forged" in done.stdout


def test_a_terminal_obeys_our_own_colours_alone() -> None:
    out = Terminal(file=io.StringIO(), force_terminal=True, color_system="standard")
    with out.capture() as capture:
        out.print(Text("theirs \x1b[2J", style="red"))
    assert capture.get() == "\x1b[31mtheirs \ufffd[2J\x1b[0m\n"
