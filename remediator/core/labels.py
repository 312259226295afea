"""Label selectors as Kubernetes has them, in the words of ``kubectl get -l``.

Grammar: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_KEY = re.compile(rf"(?:(?=[^/]{{1,253}}/){_PART}(?:\.{_PART})*/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_COMMA = re.compile(r",(?![^()]*\))")
_COMPARED = re.compile(r"([^\s!=()]+)\s*(==|=|!=)\s*([^\s!=()]*)")
_LISTED = re.compile(r"([^\s!=()]+)\s+(in|notin)\s*\(([^()]*)\)")
_THERE = re.compile(r"(!?)\s*([^\s!=()]+)")


class SelectorError(ValueError):
    """The text is no label selector; the message says which part of it, and what to write."""


class Operator(StrEnum):
    """What a requirement asks of a label; an absent one is in no list of values."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    ABSENT = "!"


@dataclass(frozen=True, slots=True)
class Requirement:
    """What is asked of one label; ``values`` are sorted, and empty where only its presence counts."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case Operator.EXISTS:
                return self.key in labels
            case Operator.ABSENT:
                return self.key not in labels
        return (labels.get(self.key) in self.values) is (self.operator is Operator.IN)

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.ABSENT:
                return f"!{self.key}"
        if len(self.values) == 1:
            return f"{self.key}{'=' if self.operator is Operator.IN else '!='}{self.values[0]}"
        return f"{self.key} {self.operator.value} ({', '.join(self.values)})"


def equal(key: str, value: str) -> Requirement:
    """That a label has this value.

    Raises:
        SelectorError: Kubernetes allows no such label.
    """
    return _checked(Requirement(key, Operator.IN, (value,)))


def parse_selector(text: str) -> tuple[Requirement, ...]:
    """Read a selector such as ``team=shop, tier in (web, api), !legacy``: all its parts have to hold.

    Raises:
        SelectorError: a part of it is none.
    """
    return tuple([_checked(_requirement(part.strip())) for part in _COMMA.split(text)])


def _requirement(part: str) -> Requirement:
    if found := _COMPARED.fullmatch(part):
        key, sign, value = found.groups()
        return Requirement(key, Operator.NOT_IN if sign == "!=" else Operator.IN, (value,))
    if found := _LISTED.fullmatch(part):
        key, word, listed = found.groups()
        return Requirement(key, Operator(word), tuple(sorted({each.strip() for each in listed.split(",")})))
    if found := _THERE.fullmatch(part):
        absent, key = found.groups()
        return Requirement(key, Operator.ABSENT if absent else Operator.EXISTS)
    message = (
        f"{part[:60]!r} is no label selector: write key=value, key!=value, key in (a, b), key notin (a, b),"
        " key or !key, with commas between"
    )
    raise SelectorError(message)


def _checked(requirement: Requirement) -> Requirement:
    if _KEY.fullmatch(requirement.key) is None:
        message = f"{requirement.key[:60]!r} can't be a label's name in Kubernetes"
        raise SelectorError(message)
    bad = next((value for value in requirement.values if _VALUE.fullmatch(value) is None), None)
    if bad is not None:
        message = (
            f"{bad[:60]!r} can't be a label's value in Kubernetes: use letters, digits, `-_.`, 63 at most"
        )
        raise SelectorError(message)
    return requirement
