"""The guide to rule files says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.core.ports.actions import ActionSpec, CheckSpec
from remediator.rulebook.docs import filled, parts
from tests.unit.rulebook.support import RULES, of_text

GUIDE: Path = RULES.parents[2] / "docs" / "rules.md"
PAGES = (GUIDE, GUIDE.with_name("actions.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_generated_parts_are_up_to_date(page: Path) -> None:
    """If not: python -m remediator.rulebook.docs docs/rules.md docs/actions.md."""
    assert filled(page.read_text()) == page.read_text()


@pytest.mark.parametrize("name", list(parts()))
def test_every_generated_part_is_on_one_page(name: str) -> None:
    part = f"<!-- begin {name} -->\n{parts()[name]}\n<!-- end {name} -->"
    assert [part in page.read_text() for page in PAGES].count(True) == 1


@pytest.mark.parametrize("spec", [*ACTIONS.values(), *CHECKS.values()], ids=lambda spec: spec.name)
def test_each_action_and_check_has_its_section_with_all_its_parameters(spec: ActionSpec | CheckSpec) -> None:
    section = PAGES[1].read_text().partition(f"### `{spec.name}`\n")[2].partition("\n### ")[0]
    assert spec.summary in section
    properties = spec.schema["properties"]
    assert isinstance(properties, dict)
    assert [f"| `{name}` |" in section for name in properties] == [True] * len(properties)
    for _, resource, verb in spec.permissions:
        assert re.search(rf"\*\*Permissions\*\*: .*{verb}[^;]* {resource}", section)


@pytest.mark.parametrize("use", re.findall(r"```yaml\n(.*?)\n```", PAGES[1].read_text()))
def test_each_example_of_an_action_or_check_loads(use: str) -> None:
    whole = {
        "name": "one",
        "when": {"matchers": ['alertname="A"']},
        "target": "deployment/shop/cart",
        "steps": [{"action": "kubernetes.rollout_restart"}],
    }
    assert of_text(yaml.safe_dump({"rules": [whole | yaml.safe_load(use)]})).errors == ()


EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def test_the_guide_s_example_loads_without_a_finding() -> None:
    judgement = of_text(EXAMPLES[0])
    assert (judgement.errors, judgement.warnings) == ((), ())
    assert judgement.rules == 1


@pytest.mark.parametrize("example", EXAMPLES[1:])
def test_every_further_example_of_the_guide_loads(example: str) -> None:
    assert of_text(example).errors == ()
