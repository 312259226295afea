"""The types of values in files of rule tests, beside those that rule files have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from remediator.core.reasons import Reason
from remediator.core.runs import RunState
from remediator.core.targets import Target as CoreTarget
from remediator.core.targets import TargetError, parse_target
from remediator.rulebook import fields
from remediator.rulebook.problems import shown

_ANSWERS = ("yes", "no", "error")
_ENDINGS = ("succeeds", "fails", "unknown", "refuses")
_SIGHTINGS = ("happened", "not_happened", "unprovable")
_MODES = ("live", "approve", "observe", "as_written")
_REASONS = tuple(each.value for each in Reason)
_STATES = tuple(each.value for each in RunState)


def _moment(value: object) -> datetime:
    for form in ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"):
        try:
            return datetime.strptime(str(value), form)  # noqa: DTZ007 - the test's timezone is added to it
        except ValueError:
            continue
    message = f"{shown(value)} is no time: write a day such as 2026-01-05, or a time such as 2026-01-05 12:00"
    raise ValueError(message)


def _target(value: object) -> CoreTarget:
    try:
        return parse_target(str(value))
    except TargetError as error:
        raise ValueError(str(error)) from None


def word_as(key: str) -> fields.Also:
    """Lets a lone word stand for a mapping with this key."""

    def read(value: object) -> object:
        return {key: value} if isinstance(value, str | bool) else value

    return fields.Also(read, lambda _: {"type": "string"})


def expected(value: object) -> object:
    """The word ``nothing`` for an empty list, which is refused as it is.

    Raises:
        ValueError: it is an empty list.
    """
    if value == "nothing":
        return []
    if value in (None, []):
        message = "expects nothing, so that it can't fail: write what has to happen, or `nothing` if so"
        raise ValueError(message)
    return value


def _word(value: object) -> str:
    return fields.text(value, "it in quotes")


Answer = Annotated[
    str, PlainValidator(fields.one_of("answer", _ANSWERS)), WithJsonSchema({"enum": list(_ANSWERS)})
]
Ending = Annotated[
    str, PlainValidator(fields.one_of("way to end", _ENDINGS)), WithJsonSchema({"enum": list(_ENDINGS)})
]
Sighting = Annotated[
    str, PlainValidator(fields.one_of("finding", _SIGHTINGS)), WithJsonSchema({"enum": list(_SIGHTINGS)})
]
Modes = Annotated[str, PlainValidator(fields.one_of("mode", _MODES)), WithJsonSchema({"enum": list(_MODES)})]
ReasonWord = Annotated[
    str, PlainValidator(fields.one_of("reason", _REASONS)), WithJsonSchema({"enum": list(_REASONS)})
]
Outcome = Annotated[
    str, PlainValidator(fields.one_of("outcome", _STATES)), WithJsonSchema({"enum": list(_STATES)})
]
Moment = Annotated[
    datetime, PlainValidator(_moment), WithJsonSchema({"type": "string", "examples": ["2026-01-05 12:00"]})
]
Target = Annotated[CoreTarget, PlainValidator(_target), WithJsonSchema({"type": "string", "pattern": "/"})]
Word = Annotated[str, PlainValidator(_word), WithJsonSchema({"type": "string"})]
Values = Annotated[tuple[Word, ...], fields.Listed]
Labels = Mapping[str, Word]
