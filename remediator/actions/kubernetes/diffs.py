"""How two pod templates differ, for people: a unified diff in which secrets are not shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

import yaml

from remediator.actions.kubernetes.objects import Json, images_of

LONGEST_DIFF = 400
HIDDEN = "(hidden)"
CHANGED = "(hidden, changed)"

_SENSITIVE = r"(?:passw|pwd|secret|token|credential|private|api[_-]?key|access[_-]?key|auth|dsn|salt)"
_SENSITIVE_NAME = re.compile(_SENSITIVE, re.IGNORECASE)
_ASSIGNED = re.compile(rf"([\w.-]*{_SENSITIVE}[\w.-]*=)[^\s;&]+", re.IGNORECASE)
_OPTION = re.compile(rf"--?[\w.-]*{_SENSITIVE}[\w.-]*", re.IGNORECASE)
_TAGGED = re.compile(r"(.+?)(?:@|:(?=[^/]*$))([^/]+)")
_USERINFO = re.compile(r"(\w://[^:/@\s]*:)[^@/\s]+@")


def diff(before: Json, after: Json, before_name: str, after_name: str) -> str:
    """The unified diff of two templates as YAML, at most 400 lines; empty when they show no difference."""
    old, new = _rendered(_masked(before, {})), _rendered(_masked(after, _literals(before)))
    lines = list(unified_diff(old, new, before_name, after_name, lineterm=""))
    if len(lines) > LONGEST_DIFF:
        lines = [*lines[:LONGEST_DIFF], f"... {len(lines) - LONGEST_DIFF} more lines"]
    return "\n".join(lines)


def headline(before: Json, after: Json) -> str:
    """The change in a few words: the images that change, or that none does."""
    old, new = images_of(before), images_of(after)
    changed = {name: (old.get(name), image) for name, image in new.items() if old.get(name) != image}
    if not changed:
        return "same images"
    if len(changed) > 1:
        return f"{len(changed)} images change"
    was, image = next(iter(changed.values()))
    return f"image {was or 'none'} → {_without_repository(image, was or '')}"


def _without_repository(image: str, other: str) -> str:
    """Only the tag or digest of an image, if the other one is of the same repository."""
    this, that = _TAGGED.fullmatch(image), _TAGGED.fullmatch(other)
    return this[2] if this and that and this[1] == that[1] else image


def _rendered(template: Any) -> list[str]:
    return yaml.safe_dump(template, sort_keys=True, default_flow_style=False, width=200).splitlines()


def _literals(template: Json) -> dict[tuple[str, str], str]:
    """Environment values by container and variable."""
    spec = template.get("spec") or {}
    return {
        (container.get("name", ""), variable.get("name", "")): variable.get("value", "")
        for kind in ("initContainers", "containers")
        for container in spec.get(kind) or ()
        for variable in container.get("env") or ()
    }


def _masked(template: Json, other: Mapping[tuple[str, str], str]) -> Any:
    """The template without secrets; ``other`` holds the values that a hidden one is compared with."""
    masked = _mask_text(template)
    for kind in ("initContainers", "containers"):
        for container in (masked.get("spec") or {}).get(kind) or ():
            original = _literals(template)
            for variable in container.get("env") or ():
                _mask_variable(
                    variable, (container.get("name", ""), variable.get("name", "")), original, other
                )
    return masked


def _mask_variable(
    variable: dict[str, Any],
    key: tuple[str, str],
    original: Mapping[tuple[str, str], str],
    other: Mapping[tuple[str, str], str],
) -> None:
    if "value" in variable and _SENSITIVE_NAME.search(key[1]):
        variable["value"] = CHANGED if other.get(key, original[key]) != original[key] else HIDDEN


def _mask_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _mask_text(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_mask_argument(before, each) for before, each in zip([None, *value], value, strict=False)]
    if isinstance(value, str):
        return _USERINFO.sub(rf"\1{HIDDEN}@", _ASSIGNED.sub(rf"\1{HIDDEN}", value))
    return value


def _mask_argument(before: Any, value: Any) -> Any:
    """``value`` follows ``before`` in a list, which may be a command line."""
    named = isinstance(before, str) and isinstance(value, str) and _OPTION.fullmatch(before)
    return HIDDEN if named else _mask_text(value)
