"""The guide to rule files says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from remediator.rulebook.docs import filled, parts
from tests.unit.rulebook.support import RULES, of_text

GUIDE: Path = RULES.parents[2] / "docs" / "rules.md"


def test_the_generated_parts_are_up_to_date() -> None:
    """If not: python -m remediator.rulebook.docs docs/rules.md."""
    assert filled(GUIDE.read_text()) == GUIDE.read_text()


@pytest.mark.parametrize("name", list(parts()))
def test_every_generated_part_is_in_the_guide(name: str) -> None:
    assert f"<!-- begin {name} -->\n{parts()[name]}\n<!-- end {name} -->" in GUIDE.read_text()


EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def test_the_guide_s_example_loads_without_a_finding() -> None:
    judgement = of_text(EXAMPLES[0])
    assert (judgement.errors, judgement.warnings) == ((), ())
    assert judgement.rules == 1


@pytest.mark.parametrize("example", EXAMPLES[1:])
def test_every_further_example_of_the_guide_loads(example: str) -> None:
    assert of_text(example).errors == ()
