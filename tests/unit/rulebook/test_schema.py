"""The JSON Schema is valid, describes every key, and agrees with what is loaded and refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS31Validator

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.core.ports.actions import ActionSpec
from remediator.rulebook.document import read
from remediator.rulebook.schema import DIALECT, json_schema
from tests.unit.rulebook.support import RULES, cases

SCHEMA = json_schema()
# OpenAPI 3.1's dialect is JSON Schema 2020-12 with additions that these schemas don't use.
VALIDATOR = OAS31Validator({key: value for key, value in SCHEMA.items() if key != "$schema"})
SHIPPED = sorted((RULES.parents[2] / "rules").glob("*.yaml"))


def complaints(data: Any) -> list[str]:
    return [f"{list(error.path)}: {error.message}" for error in VALIDATOR.iter_errors(data)]


def step(**changes: Any) -> dict[str, Any]:
    rule = {
        "name": "a",
        "when": {"matchers": ['alertname="A"']},
        "target": "deployment/shop/cart",
        "steps": [{"action": "kubernetes.scale", "with": {"replicas": 5}} | changes],
    }
    return {"rules": [rule]}


def test_it_says_which_dialect_it_is_written_in() -> None:
    assert SCHEMA["$schema"] == DIALECT
    OAS31Validator.check_schema({key: value for key, value in SCHEMA.items() if key != "$schema"})


def properties(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that the schema knows, wherever; what stands in `if` only asks."""
    if isinstance(node, list):
        for index, each in enumerate(node):
            yield from properties(each, f"{path}[{index}]")
    elif isinstance(node, dict):
        yield from ((f"{path}.{key}", each) for key, each in node.get("properties", {}).items())
        for key, each in node.items():
            if key not in ("examples", "default", "if"):
                yield from properties(each, f"{path}/{key}")


def has_example(described: dict[str, Any]) -> bool:
    return any(word in described for word in ("examples", "enum", "const")) or any(
        has_example(each) for each in described.get("anyOf", ())
    )


def test_every_key_and_parameter_is_described_with_an_example() -> None:
    found = dict(properties(SCHEMA))
    assert len(found) > 120
    assert [path for path, each in found.items() if not each.get("description")] == []
    assert [path for path, each in found.items() if not has_example(each)] == []


def test_every_example_fits_its_own_key() -> None:
    for path, each in properties(SCHEMA):
        described = each | {"$defs": SCHEMA["$defs"]}
        for example in each.get("examples", ()):
            assert list(OAS31Validator(described).iter_errors(example)) == [], (path, example)


@pytest.mark.parametrize(
    ("part", "key", "specs"), [("StepUse", "action", ACTIONS), ("FactUse", "check", CHECKS)]
)
def test_editors_show_what_each_word_means_and_takes(
    part: str, key: str, specs: Mapping[str, ActionSpec]
) -> None:
    """yaml-language-server completes by `enum`, explains by `enumDescriptions`, follows `if` and `then`."""
    described = SCHEMA["$defs"][part]
    words = described["properties"][key]
    assert words["enumDescriptions"] == [specs[word].summary for word in words["enum"]]
    taken = {
        each["if"]["properties"][key]["const"]: each["then"]["properties"]["with"]
        for each in described["allOf"]
    }
    assert taken.keys() == specs.keys()
    for name, parameters in taken.items():
        shapes = parameters.get("anyOf", [parameters])
        assert shapes[0]["properties"] == specs[name].schema["properties"]
        assert shapes[0]["additionalProperties"] is False


def test_every_action_and_check_can_be_completed() -> None:
    assert SCHEMA["$defs"]["StepUse"]["properties"]["action"]["enum"] == sorted(ACTIONS)
    assert SCHEMA["$defs"]["FactUse"]["properties"]["check"]["enum"] == sorted(CHECKS)


@pytest.mark.parametrize(
    "path", [each for each in cases("good") if each.stem != "empty"] + SHIPPED, ids=lambda path: path.name
)
def test_what_loads_fits(path: Path) -> None:
    assert complaints(read(path.read_text()).data) == []


def test_yaml_1_1_editors_agree_about_yes_and_no() -> None:
    assert complaints(yaml.safe_load((RULES / "good" / "every-rule-key.yaml").read_text())) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "kubernetes.scal"},
        {"with": {"replicas": 2000}},
        {"with": {"replica": 5}},
        {"with": {}},
        {"with": None},
        {"timeout": "2 minutes"},
        {"retry": 11},
        {"unknown": 1},
    ],
)
def test_what_is_refused_does_not_fit(changes: dict[str, Any]) -> None:
    assert complaints(step()) == []
    assert complaints(step(with_template="x")) != []
    assert complaints(step(**changes)) != []


def test_a_template_fits_any_parameter() -> None:
    assert complaints(step(**{"with": {"replicas": "{{ labels.wanted }}"}})) == []
