"""What parameters are made of: strict models whose errors say where, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from remediator.core.durations import parse_duration
from remediator.core.ports.actions import ParameterError

TEMPLATE = "{{"
_PERCENTAGE = re.compile(r"(\d{1,3})\s*%")


class Parameters(BaseModel):
    """A frozen value of parameters; unknown keys are errors.

    Text that holds ``{{`` passes every field while templates are not rendered yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _let_templates_pass(cls, value: Any, validate: Callable[[Any], Any], info: ValidationInfo) -> Any:
        unrendered = bool(info.context) and isinstance(value, str) and TEMPLATE in value
        return value if unrendered else validate(value)


class NoParameters(Parameters):
    """Takes no parameters: all it needs is the target."""


def parser(model: type[Parameters]) -> Callable[[Mapping[str, object], bool], Parameters]:
    """A spec's ``parse`` for this model; its errors are :class:`ParameterError`, the first one found."""

    def parse(raw: Mapping[str, object], templates: bool) -> Parameters:  # noqa: FBT001  # the port's signature
        try:
            return model.model_validate(dict(raw), context={"templates": True} if templates else None)
        except ValidationError as invalid:
            first = min(invalid.errors(include_url=False, include_input=False), key=_by_use)
            path = first["loc"][:-1] if first["type"] == "missing" else first["loc"]
            raise ParameterError(_explained(model, first), path) from None

    return parse


def schema(model: type[Parameters]) -> Mapping[str, object]:
    """The model's JSON Schema; each property may also be a template."""
    described = model.model_json_schema(schema_generator=_NoTitles)
    described.pop("title")
    described["properties"] = {
        name: _or_template(prop) for name, prop in described.get("properties", {}).items()
    }
    return described


def _by_use(error: ErrorDetails) -> bool:
    """A misspelt parameter comes before the one that it leaves missing."""
    return error["type"] != "extra_forbidden"


def _explained(model: type[Parameters], error: ErrorDetails) -> str:
    key = str(error["loc"][-1]) if error["loc"] else ""
    match error["type"]:
        case "extra_forbidden":
            return f"unknown parameter {key!r}: {_nearest(key, list(model.model_fields))}"
        case "missing":
            return f"parameter {key!r} is missing: {model.model_fields[key].description}"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            return error["msg"][:1].lower() + error["msg"][1:]


def _nearest(word: str, known: list[str]) -> str:
    if close := get_close_matches(word, known, n=1):
        return f"did you mean {close[0]!r}?"
    return f"it takes {', '.join(known)}" if known else "it takes none"


class _NoTitles(GenerateJsonSchema):
    """Titles made from field names say nothing that the names don't."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # the base's signature
        return False


def _or_template(described: Mapping[str, Any]) -> dict[str, Any]:
    notes = {key: described[key] for key in ("description", "default", "examples") if key in described}
    shape = {key: value for key, value in described.items() if key not in notes}
    shapes = shape.get("anyOf", [shape]) if set(shape) == {"anyOf"} else [shape]
    return {"anyOf": [*shapes, {"type": "string", "pattern": r"\{\{"}], **notes}


def _as_whole(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        message = "write a whole number"
        raise ValueError(message)
    return value


def _as_duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        message = "write a duration as a number and a unit, such as 30s, 8m, 1h30m or 7d"
        raise ValueError(message)  # noqa: TRY004  # pydantic turns a ValueError into an error of the field
    return parse_duration(value)


def _as_share(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        if value.strip().isdecimal():
            return int(value)
        found = _PERCENTAGE.fullmatch(value.strip())
        if found is not None and int(found[1]) <= 100:
            return f"{int(found[1])}%"
    message = "write a number of pods or a percentage of them, such as 2 or 80%"
    raise ValueError(message)


#: An integer; text of digits passes, since rendered templates are text.
Whole = Annotated[int, BeforeValidator(_as_whole)]

Duration = Annotated[
    timedelta,
    BeforeValidator(_as_duration),
    WithJsonSchema(
        {"type": "string", "pattern": r"^([0-9]+(w|d|h|ms|m|s))+$", "examples": ["30s", "8m", "1h30m"]}
    ),
]

#: A number (``int``) or a percentage (``"80%"``).
Share = Annotated[
    int | str,
    BeforeValidator(_as_share),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^[0-9]{1,3}\s*%$"}]}
    ),
]


def share_of(share: int | str, total: int) -> int:
    """How many of ``total`` a share is; a percentage is rounded up, so that 50% of 3 is 2."""
    if isinstance(share, int):
        return share
    return -(-total * int(share.rstrip("%")) // 100)
