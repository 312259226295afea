"""What a planted bug is, and how several of them are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """What is put in the place of what, by its dotted path; ``laws`` are those that may catch it."""

    name: str
    what: str
    laws: frozenset[str]
    replaced: Mapping[str, object]


def laws(*names: str) -> frozenset[str]:
    """Laws, by their functions' names."""
    return frozenset(names)


def without(these: Sequence[Callable[..., object]], *forgotten: Callable[..., object]) -> object:
    """All of these but those that are forgotten."""
    return tuple(each for each in these if each not in forgotten)
