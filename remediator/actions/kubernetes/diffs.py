"""How two pod templates differ, for people: a unified diff in which secrets are not shown. Pure."""

from __future__ import annotations

import re
from difflib import unified_diff
from typing import Any

import yaml

from remediator.actions.kubernetes.masking import masked
from remediator.actions.kubernetes.objects import Json, images_of

LONGEST_DIFF = 400
_TAGGED = re.compile(r"(.+?)(?:@|:(?=[^/]*$))([^/]+)")


def diff(before: Json, after: Json, before_name: str, after_name: str) -> str:
    """The unified diff of two templates as YAML, at most 400 lines; empty when they show no difference."""
    old, new = _rendered(masked(before)), _rendered(masked(after, before))
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
