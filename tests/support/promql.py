"""What a PromQL expression asks for: its series with their matchers, and the labels that it groups by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"'
    r"|\$\w+|\$\{\w+\}"
    r"|[a-zA-Z_:][a-zA-Z0-9_:]*"
    r"|[0-9][0-9.]*(?:e[+-]?[0-9]+)?[a-z]*"
    r"|=~|!~|!=|==|>=|<="
    r"|\S"
)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = frozenset({"and", "or", "unless", "offset", "bool", "inf", "nan"})
_AGGREGATORS = frozenset({"sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile", "group"})


@dataclass(frozen=True, slots=True)
class Selector:
    """One series that is asked for; ``matchers`` are label to value, as written."""

    metric: str
    matchers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Query:
    """An expression's selectors, and the labels that its results are grouped or joined by."""

    selectors: tuple[Selector, ...]
    labels: frozenset[str]


def parse(expression: str) -> Query:
    """Read an expression; variables of Grafana may stand in it."""
    tokens = _TOKEN.findall(expression)
    selectors, labels = [], set()
    at = 0
    while at < len(tokens):
        token, following = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else ""
        at += 1
        if token in _LISTS:
            if following == "(":
                end = tokens.index(")", at)
                labels |= set(tokens[at + 1 : end]) - {","}
                at = end + 1
        elif token == "[":
            at = tokens.index("]", at) + 1
        elif token == "{":
            raise ValueError(f"a selector without a name: {expression}")
        elif _NAME.fullmatch(token) and not (token in _WORDS | _AGGREGATORS or following == "("):
            matchers: dict[str, str] = {}
            if following == "{":
                end = tokens.index("}", at)
                matchers = dict(_matchers(tokens[at + 1 : end]))
                at = end + 1
            selectors.append(Selector(token, matchers))
    return Query(tuple(selectors), frozenset(labels))


def _matchers(tokens: list[str]) -> Iterator[tuple[str, str]]:
    for at in range(0, len(tokens), 4):
        name, _operator, value = tokens[at : at + 3]
        yield name, value.strip('"')
