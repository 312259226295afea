"""The types of values in rule files: each is read once, into its core value."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from remediator.core.durations import parse_duration
from remediator.core.labels import Requirement, equal, parse_selector
from remediator.core.matchers import Matcher as CoreMatcher
from remediator.core.matchers import parse_matcher
from remediator.core.rules import Expect as CoreExpect
from remediator.core.rules import Mode as CoreMode
from remediator.core.rules import Otherwise as CoreOtherwise
from remediator.core.rules import Rate as CoreRate
from remediator.core.targets import KINDS, NAMESPACED_KINDS, TargetError, target_of
from remediator.core.targets import Target as CoreTarget
from remediator.core.templates import TargetTemplate
from remediator.rulebook.problems import nearest, shown
from remediator.rulebook.templates import explained_target
from remediator.rulebook.upgrades import FORMAT

_RATE = re.compile(r"(\d{1,6})\s*/\s*(\S+)")
_SHARE = re.compile(r"(\d{1,3})\s*%(?:\s*/\s*(\S+))?")
_RULE_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,99}")
_DNS_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
# RFC 1123, as Kubernetes wants it.
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# Prometheus takes nearly anything for a label; what is likelier meant as a matcher or a template is refused.
_LABEL = re.compile(r"(?!labels\.)[^\s{}\[\]\"'=~!,]{1,200}")
_STEP_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")


def text(value: object, what: str) -> str:
    """The value if it is text.

    Raises:
        ValueError: it is not; the message says to write ``what``.
    """
    if not isinstance(value, str):
        message = f"write {what}, as text"
        raise ValueError(message)  # noqa: TRY004  # pydantic makes an error of the field out of a ValueError alone
    return value


def _duration(value: object) -> timedelta:
    if isinstance(value, int) and not isinstance(value, bool):
        if value == 0:
            return timedelta(0)
        message = f"{value} has no unit: write a duration such as {value}s or {value}m"
        raise ValueError(message)
    return parse_duration(text(value, "a duration such as 30s, 8m, 1h30m or 7d"))


def _positive_duration(value: object) -> timedelta:
    length = _duration(value)
    if not length:
        message = "must be longer than 0"
        raise ValueError(message)
    return length


def _rate(value: object) -> CoreRate:
    written = text(value, "a rate such as 3/1h")
    found = _RATE.fullmatch(written)
    try:
        rate = CoreRate(int(found[1]), _positive_duration(found[2])) if found else None
    except ValueError:
        rate = None
    if rate is None or rate.count == 0:
        message = f"{shown(written)} is no rate: write how many, at least 1, in how long, such as 3/1h"
        raise ValueError(message)
    return rate


def _share(value: object) -> tuple[int, timedelta | None]:
    found = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    window: timedelta | None = None
    try:
        window = _positive_duration(found[2]) if found and found[2] else None
    except ValueError:
        found = None
    if found is None or not 1 <= int(found[1]) <= 100:
        message = (
            f"{shown(value)} is no share: write one from 1% to 100%, such as 30%, or 30%/10m with a window"
        )
        raise ValueError(message)
    return int(found[1]), window


def _matcher(value: object) -> CoreMatcher:
    return parse_matcher(text(value, "a matcher such as 'alertname=\"ServiceDown\"'"))


def _selector(value: object) -> tuple[Requirement, ...]:
    if not isinstance(value, Mapping):
        return parse_selector(text(value, "labels such as team=shop, or a mapping such as {team: shop}"))
    if not value:
        message = "needs at least one label"
        raise ValueError(message)
    return tuple(
        [equal(f"{key}", text(each, f"the value of {shown(key)} in quotes")) for key, each in value.items()]
    )


def _target(value: object) -> TargetTemplate:
    return explained_target(
        text(value, "a target such as deployment/{{ labels.namespace }}/{{ labels.job }}")
    )


def _object(value: object) -> CoreTarget:
    written = text(value, "an object such as statefulset/selfmonitor/postgres")
    segments = written.split("/")
    kind = segments[1 if len(segments) > 3 else 0]
    if kind not in NAMESPACED_KINDS:
        message = (
            f"{shown(kind)} is no kind of object in a namespace: {nearest(kind, sorted(NAMESPACED_KINDS))}"
        )
        raise ValueError(message)
    try:
        return target_of(segments)
    except TargetError as error:
        message = f"{shown(written)}: {error}"
        raise ValueError(message) from None


def _expect(value: object) -> CoreExpect:
    if isinstance(value, bool):
        return CoreExpect.YES if value else CoreExpect.NO
    if value in tuple(CoreExpect):
        return CoreExpect(str(value))
    message = f"{shown(value)} is no answer of a check: write yes or no"
    raise ValueError(message)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("yes", "no"):
        return value == "yes"
    message = f"{shown(value)} is neither true nor false: write one of them"
    raise ValueError(message)


def _whole(lowest: int, highest: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        message = f"{shown(value)} does not fit: write a whole number from {lowest} to {highest}"
        raise ValueError(message)

    return read


class StandIn(str):
    """A name in place of one that is reported already, so that what is around it can still be judged."""

    __slots__ = ()


def one_of(what: str, known: Collection[str]) -> Callable[[object], str]:
    """A reader that takes the words alone that are known when it reads."""

    def read(value: object) -> str:
        written = text(value, f"the name of one {what}")
        if written not in known and not isinstance(value, StandIn):
            message = f"unknown {what} {shown(written)}: {nearest(written, known)}"
            raise ValueError(message)
        return written

    return read


_mode_word = one_of("mode", tuple(mode.word for mode in CoreMode))


def _mode(value: object) -> CoreMode:
    return CoreMode[_mode_word(value).upper()]


_otherwise_word = one_of("way on", tuple(word.value for word in CoreOtherwise))


def _otherwise(value: object) -> CoreOtherwise:
    return CoreOtherwise(_otherwise_word(value))


def named(pattern: re.Pattern[str], what: str, rule: str) -> Callable[[object], str]:
    """Read ``what`` by a pattern; one that does not match is an error that names the ``rule``."""

    def read(value: object) -> str:
        written = text(value, what)
        if pattern.fullmatch(written) is None:
            message = f"{shown(written)} can't be {what}: {rule}"
            raise ValueError(message)
        return written

    return read


def _several(value: object) -> object:
    return [value] if isinstance(value, (str, int, float)) else value


def _not_empty(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        message = "needs at least one entry"
        raise ValueError(message)
    return value


def _nothing_is_empty(value: object) -> object:
    return {} if value is None else value


def json_schema(kind: str, *examples: object, **more: object) -> WithJsonSchema:
    """A schema of one kind, as editors see it, with ``more`` of its keywords."""
    return WithJsonSchema({"type": kind, **({"examples": list(examples)} if examples else {}), **more})


@dataclass(frozen=True, slots=True)
class Also:
    """An annotation that lets a value be written in another way too, and says so in the JSON Schema."""

    read: Callable[[object], object]
    described: Callable[[JsonSchemaValue], JsonSchemaValue]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        usual = handler(schema)
        return {"anyOf": [usual, self.described(usual)]}


_DURATION = {
    "type": "string",
    "pattern": r"^([0-9]+(w|d|h|ms|m|s))+$",
    "examples": ["30s", "8m", "1h30m"],
}


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


#: Lets a lone value stand for a list of one; :data:`ListedAny` a lone mapping too.
ListedAny = Also(_listed, lambda described: described.get("items", {}))
Listed = Also(_several, lambda described: described.get("items", {}))
#: Refuses an empty list; other than pydantic's own bound it does not count what is reported already.
NotEmpty = (AfterValidator(_not_empty), Field(json_schema_extra={"minItems": 1}))
#: Lets a key without a value stand for an empty mapping.
OrEmpty = Also(_nothing_is_empty, lambda _: {"type": "null"})

Duration = Annotated[
    timedelta, PlainValidator(_duration), WithJsonSchema({"anyOf": [_DURATION, {"const": 0}]})
]
PositiveDuration = Annotated[timedelta, PlainValidator(_positive_duration), WithJsonSchema(_DURATION)]
Rate = Annotated[
    CoreRate,
    PlainValidator(_rate),
    json_schema("string", "3/1h", "5/10m", pattern=r"^[0-9]+\s*/\s*([0-9]+(w|d|h|ms|m|s))+$"),
]
#: A percentage, and its window where one is written.
Share = Annotated[
    tuple[int, timedelta | None],
    PlainValidator(_share),
    json_schema("string", "30%", "30%/10m", pattern=r"^[0-9]{1,3}\s*%(\s*/\s*([0-9]+(w|d|h|ms|m|s))+)?$"),
]
Matcher = Annotated[
    CoreMatcher, PlainValidator(_matcher), json_schema("string", 'alertname="ServiceDown"', 'job=~"auth-.+"')
]
Selector = Annotated[
    tuple[Requirement, ...],
    PlainValidator(_selector),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["team=shop, tier in (web, api), !legacy"]},
                {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
            ]
        }
    ),
]
Target = Annotated[
    TargetTemplate,
    PlainValidator(_target),
    json_schema(
        "string", 'deployment/{{ labels.namespace | default("shop") }}/{{ labels.job }}', pattern="/"
    ),
]
Object = Annotated[
    CoreTarget,
    PlainValidator(_object),
    json_schema("string", "statefulset/selfmonitor/postgres", pattern="/"),
]
DatabaseName = Annotated[
    str,
    PlainValidator(named(_DNS_NAME, "a database's name", "use a-z, digits, `-` and `.`, as in a target")),
    json_schema("string", "production", pattern=f"^{_DNS_NAME.pattern}$"),
]
Expect = Annotated[
    CoreExpect,
    PlainValidator(_expect),
    WithJsonSchema({"enum": ["yes", "no", True, False], "examples": ["no"]}),
]
Flag = Annotated[bool, PlainValidator(_flag), WithJsonSchema({"enum": [True, False, "yes", "no"]})]
Mode = Annotated[CoreMode, PlainValidator(_mode), WithJsonSchema({"enum": [mode.word for mode in CoreMode]})]
Otherwise = Annotated[
    CoreOtherwise,
    PlainValidator(_otherwise),
    WithJsonSchema({"enum": [word.value for word in CoreOtherwise]}),
]
Kind = Annotated[str, PlainValidator(one_of("kind", sorted(KINDS))), WithJsonSchema({"enum": sorted(KINDS)})]
RuleName = Annotated[
    str,
    PlainValidator(
        named(
            _RULE_NAME,
            "a rule's name",
            "use letters, digits, `-`, `_` and `.`, 100 at most, the first no sign",
        )
    ),
    json_schema("string", "service-down-rollback", pattern=f"^{_RULE_NAME.pattern}$"),
]
NamespaceName = Annotated[
    str,
    PlainValidator(named(_NAMESPACE, "a namespace's name", "use a-z, digits and `-`, 63 at most")),
    json_schema("string", "shop", pattern=f"^{_NAMESPACE.pattern}$"),
]
StepId = Annotated[
    str,
    PlainValidator(named(_STEP_ID, "a step's id", "use a-z, digits and `_`, 40 at most, a letter first")),
    json_schema("string", "undo", pattern=f"^{_STEP_ID.pattern}$"),
]
Retries = Annotated[int, PlainValidator(_whole(0, 10)), json_schema("integer", 2, minimum=0, maximum=10)]
Label = Annotated[
    str,
    PlainValidator(named(_LABEL, "a label's name", "write the name alone, such as job")),
    json_schema("string", "job", pattern=f"^{_LABEL.pattern}$"),
]
Count = Annotated[
    int, PlainValidator(_whole(1, 10_000)), json_schema("integer", 3, minimum=1, maximum=10_000)
]
FormatVersion = Annotated[
    int,
    PlainValidator(_whole(FORMAT.newest, FORMAT.newest)),
    WithJsonSchema({"const": FORMAT.newest}),
]
Anything = Mapping[str, Any]
