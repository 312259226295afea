"""Remediator's own namespace: its pod's, else the one of `deploy/kubernetes`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from remediator.cli.check import check
from remediator.core.selections import DEFAULT_HOME
from remediator.settings.home import home

RULE = """
scope: {}
rules:
  - name: self
    when: {matchers: 'alertname="Down"'}
    target: deployment/%s/x
    steps: [{action: kubernetes.rollout_restart}]
    verify: {within: 1m, checks: [{check: kubernetes.rolled_out}]}
"""


@pytest.fixture
def namespace_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "namespace"
    monkeypatch.setattr("remediator.settings.home.NAMESPACE_FILE", path)
    return path


@pytest.mark.parametrize(
    ("content", "expected"), [(None, DEFAULT_HOME), ("ops", "ops"), ("ops\n", "ops"), ("", DEFAULT_HOME)]
)
def test_it_is_read_from_the_service_account(
    namespace_file: Path, content: str | None, expected: str
) -> None:
    if content is not None:
        namespace_file.write_text(content)
    assert home() == expected


@pytest.mark.parametrize(("namespace", "warned"), [("ops", True), (DEFAULT_HOME, False)])
def test_check_warns_of_a_target_there(
    namespace_file: Path, tmp_path: Path, namespace: str, *, warned: bool
) -> None:
    namespace_file.write_text("ops")
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULE % namespace)
    result = CliRunner().invoke(check, [str(rules), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)["warnings"]
    said = [each["message"] for each in found]
    assert any("ops is Remediator's own namespace" in each for each in said) is warned, said
