"""Templates over hostile labels (law 10): expressions and listed filters, over attribute-free mappings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Environment, StrictUndefined, Undefined, nodes
from jinja2 import TemplateError as JinjaError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

from remediator.core.targets import KINDS, Target, target_of

#: The filters that a template may use; they do what Jinja's do.
FILTERS = (
    "default",
    "d",
    "lower",
    "upper",
    "trim",
    "replace",
    "int",
    "float",
    "round",
    "first",
    "last",
    "length",
    "join",
)
#: The names that a template may use.
NAMES = ("labels", "annotations", "fingerprint", "starts_at", "group", "steps")
_LONGEST_RESULT = 10_000
#: In characters: compiling takes time that grows with its length, and a rulebook has thousands.
_LONGEST_SOURCE = 10_000
_MOST_DIGITS = 300


class TemplateError(ValueError):
    """The template can't be read, or can't be rendered with these values."""


class _Values(SandboxedEnvironment):
    """Looks names up in mappings alone: no value's attributes can be reached."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: str | Any) -> Any:
        if isinstance(obj, Mapping):
            if argument in obj:
                return obj[argument]
            return self.undefined(name=f"{argument}")
        if isinstance(obj, (list, tuple)) and isinstance(argument, int):
            return obj[argument] if -len(obj) <= argument < len(obj) else self.undefined(name=str(argument))
        return obj if isinstance(obj, Undefined) else self.undefined(name=f"{argument}")

    def call(self, *_args: Any, **_kwargs: Any) -> Any:
        message = "a template can't call anything"
        raise SecurityError(message)


def _replace(text: object, old: object, new: object) -> str:
    """Jinja's, refused before it is done: two long labels multiply into more than there is memory."""
    whole, part, instead = str(text), str(old), str(new)
    _bound(len(whole) + whole.count(part) * (len(instead) - len(part)))
    return whole.replace(part, instead)


def _join(values: Iterable[object], between: object = "") -> str:
    """Jinja's, refused before it is done for the same reason."""
    parts, separator = [str(value) for value in values], str(between)
    _bound(sum(map(len, parts)) + len(separator) * (len(parts) - 1))
    return separator.join(parts)


def _round(number: float, digits: int = 0) -> float:
    """Jinja's without its methods, which raise ten to the power of ``digits``, as whole numbers do."""
    if abs(digits) > _MOST_DIGITS:
        message = f"can't round to {_shown(str(digits))} digits"
        raise ValueError(message)
    return round(number, digits)


def _int(value: object) -> int:
    """A whole number in plain digits. Jinja's own makes 0 of what is none, and a label could scale to it."""
    if isinstance(value, int):
        return value
    return int(_plain_number(value, r"-?[0-9]{1,18}", "whole number"))


def _float(value: object) -> float:
    """A number in plain digits; Jinja's own makes 0 of what is none."""
    if isinstance(value, int | float):
        return float(value)
    return float(_plain_number(value, r"-?[0-9]{1,18}(\.[0-9]{1,18})?", "number"))


def _plain_number(value: object, pattern: str, what: str) -> str:
    text = str(value)
    if re.fullmatch(pattern, text) is None:
        message = f"{_shown(repr(text))} is no {what}"
        raise ValueError(message)
    return text


def _bound(length: int) -> None:
    if length > _LONGEST_RESULT:
        message = f"the result is longer than {_LONGEST_RESULT} characters"
        raise ValueError(message)


def _environment() -> Environment:
    environment = _Values(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    own = {"replace": _replace, "join": _join, "round": _round, "int": _int, "float": _float}
    environment.filters = {name: own.get(name, environment.filters[name]) for name in FILTERS}
    environment.tests = {name: environment.tests[name] for name in ("defined", "undefined")}
    environment.globals = {}
    return environment


_ENVIRONMENT = _environment()
_UNRENDERABLE = (
    *(JinjaError, ArithmeticError, TypeError, ValueError, LookupError),
    *(SyntaxError, RecursionError, MemoryError),  # Python refuses code that is nested too deeply
)
# Compiling takes half a millisecond, rendering a hundredth of that, and each alert is rendered anew.
_compiled = lru_cache(maxsize=1024)(_ENVIRONMENT.from_string)
_STATEMENT = re.compile(r"\{%|\{#")
_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_FORBIDDEN = (nodes.Call, nodes.Mul, nodes.Pow, nodes.Mod, nodes.Slice)


@dataclass(frozen=True, slots=True)
class Template:
    """Text with ``{{ expressions }}``; made by :func:`template`, so it is known to be readable."""

    source: str

    @property
    def is_constant(self) -> bool:
        return "{{" not in self.source

    def render(self, values: Mapping[str, object]) -> str:
        """Fill in the values.

        Raises:
            TemplateError: a name is undefined, or the result is unreasonably long.
        """
        if self.is_constant:
            return self.source
        try:
            compiled = _compiled(self.source)
            # As Template.render, without a copy of the values: they are most of what it costs.
            text = "".join(compiled.root_render_func(compiled.new_context(dict(values), shared=True)))
            _bound(len(text))
        except _UNRENDERABLE as error:
            message = f"{_shown(self.source)}: {_shown(str(error))}"
            raise TemplateError(message) from None
        return text


@lru_cache(maxsize=4096)
def template(source: str) -> Template:
    """Read a template.

    Raises:
        TemplateError: it is unreasonably long, does not parse, uses ``{% %}``, an unlisted name or filter, or
            calls something.
    """
    if "{" not in source:
        return Template(source)
    if len(source) > _LONGEST_SOURCE:
        message = (
            f"{_shown(source)}: a template has at most {_LONGEST_SOURCE} characters, this has {len(source)}"
        )
        raise TemplateError(message)
    if _STATEMENT.search(source):
        message = f"{_shown(source)}: only {{{{ expressions }}}} are allowed, no {{% %}} and no {{# #}}"
        raise TemplateError(message)
    try:
        # Judged before it is compiled: compiling works constants out, and a power of powers takes for ever.
        tree = _ENVIRONMENT.parse(source)
        problem = next(_problems(tree), None)
        if problem is None:
            _ENVIRONMENT.compile(tree, raw=True)
    except (JinjaError, ValueError, RecursionError) as error:
        problem = str(getattr(error, "message", None) or error)
    if problem is not None:
        message = f"{_shown(source)}: {problem}"
        raise TemplateError(message)
    return Template(source)


def _problems(tree: nodes.Template) -> Iterator[str]:
    for name in tree.find_all(nodes.Name):
        if name.name not in NAMES:
            yield f"{name.name!r} is no known name; there are {', '.join(NAMES)}"
    for used in tree.find_all(nodes.Filter):
        if used.name not in FILTERS:
            yield f"{used.name!r} is no listed filter; there are {', '.join(FILTERS)}"
    for node in tree.find_all(_FORBIDDEN):
        yield f"{type(node).__name__.lower()} is not allowed in a template"


@dataclass(frozen=True, slots=True)
class TargetTemplate:
    """A target's template: split on ``/`` before rendering, so that no label can add a segment."""

    segments: tuple[Template, ...]

    def __str__(self) -> str:
        return "/".join(segment.source for segment in self.segments)

    def render(self, values: Mapping[str, object]) -> Target:
        """Render each segment and validate it.

        Raises:
            TemplateError: a label that the template names is absent.
            TargetError: a segment is no Kubernetes name.
        """
        return target_of([segment.render(values) for segment in self.segments])

    @property
    def is_constant(self) -> bool:
        """Whether it is one target, whatever the alert."""
        return all(segment.is_constant for segment in self.segments)

    @property
    def kind(self) -> str | None:
        """The kind when it is written out, else ``None``."""
        for segment in self.segments[:2]:
            if segment.source in KINDS:
                return segment.source
        return None


def target_template(source: str) -> TargetTemplate:
    """Read a target's template such as ``deployment/{{ labels.namespace }}/{{ labels.job }}``.

    Raises:
        TemplateError: a segment does not parse, or there are not two to four of them.
    """
    segments = tuple(template(part.strip()) for part in _split(source))
    if not 2 <= len(segments) <= 4:
        message = f"{_shown(source)}: write [cluster/]kind/[namespace/]name"
        raise TemplateError(message)
    return TargetTemplate(segments)


def _split(source: str) -> list[str]:
    """Split on ``/``, but not inside an expression (a default may hold one)."""
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        held.append(found[0])
        return f"\0{len(held) - 1}\0"

    parts = _EXPRESSION.sub(hold, source.replace("\0", "")).split("/")
    return [re.sub("\0(\\d+)\0", lambda found: held[int(found[1])], part) for part in parts]


def scope_of(
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    fingerprint: str,
    starts_at: datetime,
    group: Mapping[str, str],
    steps: Mapping[str, Mapping[str, object]] | None = None,
) -> dict[str, object]:
    """The values that templates see; ``starts_at`` is RFC 3339 text."""
    return {
        "labels": dict(labels),
        "annotations": dict(annotations),
        "fingerprint": fingerprint,
        "starts_at": starts_at.isoformat(),
        "group": dict(group),
        "steps": dict(steps or {}),
    }


def _shown(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
