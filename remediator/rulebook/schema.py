"""The JSON Schema of rule files, for editors: every key described, and every action's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, NoDefault
from pydantic_core.core_schema import WithDefaultSchema

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.core.durations import format_duration
from remediator.core.ports.actions import ActionSpec, CheckSpec
from remediator.core.rules import Mode
from remediator.rulebook.models import RuleFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class AsWritten(GenerateJsonSchema):
    """Defaults as they may be written in a file; and no titles, which would only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # the base's signature
        return False

    def get_default_value(self, schema: WithDefaultSchema) -> Any:
        default = super().get_default_value(schema)
        match default:
            case timedelta():
                return format_duration(default) if default else 0
            case Mode():
                return default.word
            case BaseModel() | None:
                return NoDefault
        return default


def json_schema() -> dict[str, Any]:
    """The format's JSON Schema, in draft 2020-12."""
    described = RuleFile.model_json_schema(schema_generator=AsWritten)
    parts = described["$defs"]
    for name, key, specs in (
        ("StepUse", "action", ACTIONS),
        ("CheckUse", "check", CHECKS),
        ("FactUse", "check", CHECKS),
    ):
        # The enum, sorted as it is, with what each word means: editors show it beside the completion.
        parts[name]["properties"][key]["enumDescriptions"] = [specs[word].summary for word in sorted(specs)]
        parts[name]["allOf"] = [_parameters(key, spec) for spec in specs.values()]
    return {"$schema": DIALECT, **described, "title": "Remediator rule file"}


def _parameters(key: str, spec: ActionSpec | CheckSpec) -> dict[str, Any]:
    needed = ["with"] if spec.schema.get("required") else []
    described = {"description": spec.schema["description"], "examples": [example_of(spec)]}
    then: dict[str, Any] = {"properties": {"with": _within(spec.schema) | described}}
    if needed:
        then["required"] = needed
    return {"if": {"properties": {key: {"const": spec.name}}, "required": [key]}, "then": then}


def example_of(spec: ActionSpec | CheckSpec) -> dict[str, Any]:
    """Parameters as they may be written: all that are required, else the first."""
    properties = cast("Mapping[str, Any]", spec.schema["properties"])
    shown = cast("list[str]", spec.schema.get("required")) or list(properties)[:1]
    return {name: each["examples"][0] for name, each in properties.items() if name in shown}


def _within(parameters: Mapping[str, object]) -> dict[str, Any]:
    """A key without a value stands for no parameters."""
    return dict(parameters) if parameters.get("required") else {"anyOf": [dict(parameters), {"type": "null"}]}
