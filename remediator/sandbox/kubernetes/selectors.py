"""Label and field selectors as list requests carry them.

Grammar: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Labels = Mapping[str, str]
Predicate = Callable[[Any], bool]

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.\-/]*[A-Za-z0-9])?"
_EQUALITY = re.compile(rf"^({_NAME})\s*(==|=|!=)\s*([A-Za-z0-9_.\-]*)$")
_SET = re.compile(rf"^({_NAME})\s+(in|notin)\s*\(([^()]*)\)$")
_EXISTENCE = re.compile(rf"^(!?)\s*({_NAME})$")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^()]*\))")


class SelectorError(ValueError):
    """A selector that the API server can't read."""


def label_selector(text: str) -> Predicate:
    """Whether a mapping of labels meets every requirement in `text`; SelectorError when it can't be read."""
    parts = [part.strip() for part in _COMMA_OUTSIDE_PARENTHESES.split(text)] if text.strip() else []
    requirements = [_requirement(part, text) for part in parts]
    return lambda labels: all(holds(labels) for holds in requirements)


def _requirement(part: str, whole: str) -> Predicate:
    if found := _EQUALITY.match(part):
        key, operator, value = found.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _SET.match(part):
        key, operator, listed = found.groups()
        values = frozenset(value.strip() for value in listed.split(","))
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EXISTENCE.match(part):
        absent, key = found.groups()
        return lambda labels: (key in labels) != bool(absent)
    raise SelectorError(f"unable to parse requirement: found {part!r} in {whole!r}")


_FIELDS = ("metadata.name", "metadata.namespace", "status.phase", "spec.nodeName", "spec.restartPolicy")
_FIELD = re.compile(r"^([A-Za-z.]+)\s*(==|=|!=)\s*(.*)$")


def field_selector(text: str) -> Predicate:
    """Whether an object's fields are (`=`) or aren't (`!=`) those in `text`; SelectorError when unknown."""
    wanted = [_field(part.strip()) for part in text.split(",")] if text.strip() else []
    return lambda found: all(holds(found) for holds in wanted)


def _field(part: str) -> Predicate:
    match = _FIELD.match(part)
    if match is None:
        raise SelectorError(f"invalid selector: {part!r}; can't understand {part!r}")
    path, operator, value = match.groups()
    if path not in _FIELDS:
        raise SelectorError(f'field label not supported: "{path}"')
    keys = path.split(".")
    return lambda found: (_at(found, keys) == value) != (operator == "!=")


def _at(found: Any, keys: list[str]) -> str:
    for key in keys:
        found = found.get(key, {})
    return found if isinstance(found, str) else ""


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a `LabelSelector` object (matchLabels, matchExpressions) selects these labels."""
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(_expression(term, labels) for term in selector.get("matchExpressions", ()))


def _expression(term: Mapping[str, Any], labels: Labels) -> bool:
    key, values = term["key"], term.get("values", ())
    match term["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
