"""Copies of JSON values, at a third of `copy.deepcopy`'s price: that is most of what a rollout costs here."""

from __future__ import annotations

from typing import Any, TypeVar, cast

Value = TypeVar("Value")


def copied(value: Value) -> Value:
    """A JSON value with dicts and lists of its own, at every depth."""
    return cast("Value", _copied(value))


def _copied(value: Any) -> Any:
    if type(value) is dict:
        return {key: _copied(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_copied(inner) for inner in value]
    return value
