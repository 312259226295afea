"""The documentation says what the code does: its generated parts, its settings, its reasons."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from prometheus_client import generate_latest

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.core.decide import DecisionKind
from remediator.core.guards import Guard
from remediator.core.reasons import Reason
from remediator.settings import ClientSettings, Settings
from remediator.telemetry import Metrics
from tests.support.exported import series

ROOT = Path(__file__).parents[2]
#: Accepted so that a configuration for a later version loads, and told of once they do something.
NOT_YET = {"PROMETHEUS_URL"}


def _generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = _generate()


@pytest.mark.parametrize("page", GENERATE.pages(), ids=lambda page: page.name)
def test_generated_parts_are_what_the_code_says_now(page: Path) -> None:
    """Else run `docs/generate.py`."""
    assert page.read_text() == GENERATE.filled(page.read_text())


def test_every_generated_part_has_one_place() -> None:
    marked = [
        name for page in GENERATE.pages() for name in re.findall("<!-- begin (.+?) -->", page.read_text())
    ]
    assert [marked.count(name) for name in GENERATE.parts()] == [1] * len(GENERATE.parts())


def test_every_reason_has_its_line_in_the_documentation() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for reason in Reason:
        assert f"| `{reason.value}` | {reason.meaning} |" in text


def _settings() -> set[str]:
    return {name.upper() for name in (*Settings.model_fields, *ClientSettings.model_fields)}


def test_the_readme_tells_of_every_setting_and_of_no_other() -> None:
    text = (ROOT / "README.md").read_text()
    table = re.findall(r"^\| (`[A-Z_`, ]+`) \|", text, flags=re.MULTILINE)
    told = {name for row in table for name in re.findall("[A-Z_]+", row)}
    told |= set(re.findall(r"REMEDIATOR_([A-Z_]+[A-Z])", text))
    assert told == _settings() - NOT_YET


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "CHANGELOG.md"], ids=lambda p: p.name
)
def test_no_page_names_a_setting_that_does_not_exist(page: Path) -> None:
    told = set(re.findall(r"REMEDIATOR_([A-Z_]+[A-Z])", page.read_text()))
    known = _settings() | {f"{name}_FILE" for name in _settings()} | {"BENCH_CACHE"}
    assert told <= known


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"], ids=lambda p: p.name
)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_every_metric_has_its_line_in_the_documentation() -> None:
    told = set(
        re.findall(r"^\| `(remediator_\w+)` \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    )
    families = Metrics("0").registry.collect()
    ours = {each.name + ("_total" if each.type == "counter" else "") for each in families}
    assert told == {name for name in ours if name.startswith("remediator_")}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_no_page_names_a_metric_that_does_not_exist(page: Path) -> None:
    assert set(re.findall(r"`(remediator_\w+)", page.read_text())) <= set(series())


@pytest.mark.parametrize("name", [*ACTIONS, *CHECKS])
def test_every_action_and_check_is_documented(name: str) -> None:
    page = (ROOT / "docs" / "rules.md").read_text()
    assert re.search(rf"^#+ .*`{re.escape(name)}`|^\| `{re.escape(name)}`", page, re.MULTILINE)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_a_label_of_the_decisions_counted(reason: Reason) -> None:
    metrics = Metrics("0")
    metrics.decided(DecisionKind.SKIP, reason)
    told = generate_latest(metrics.registry).decode()
    assert f'remediator_decisions_total{{kind="skip",reason="{reason.value}"}} 1.0' in told.splitlines()


@pytest.mark.parametrize("guard", Guard)
def test_every_guard_is_in_the_glossary(guard: Guard) -> None:
    (line,) = [line for line in (ROOT / "docs/glossary.md").read_text().splitlines() if "| guard |" in line]
    assert re.search(rf"\b{guard.value}\b", line)
