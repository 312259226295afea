"""What matchers say about each other: which can't hold together, and which hold whenever others do.

Never claims too much: where a pattern is not understood, nothing follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from remediator.core.matchers import Matcher, Operator

#: A pattern that stands for more values than these is not written out.
MOST_VALUES = 200

_LITERAL = re.compile(r"[^\\.*+?()\[\]{}|^$]|\\[^\w\s]")
_NEVER_FALSE = ".*"


class _Beyond(Exception):
    """The pattern stands for too many values, or is more than alternatives of plain text."""


def values_of(matchers: Iterable[Matcher]) -> frozenset[str] | None:
    """All values that a label can have so that these matchers on it hold; ``None`` if they are too many.

    An absent label is the empty text, as always.
    """
    some = list(matchers)
    sets = [found for each in some if not _negative(each) and (found := _listed(each)) is not None]
    if not sets:
        return None
    return frozenset(value for value in min(sets, key=len) if all(_holds(each, value) for each in some))


def contradiction(matchers: Sequence[Matcher]) -> tuple[Matcher, ...] | None:
    """The matchers that no alert can satisfy together, if there are such."""
    for name in dict.fromkeys(each.name for each in matchers):
        mine = [each for each in matchers if each.name == name]
        if values_of(mine) == frozenset() or any(_denies(a, b) for a in mine for b in mine):
            return tuple(dict.fromkeys(mine))
    return None


def implies(narrow: Sequence[Matcher], wide: Iterable[Matcher]) -> bool:
    """Whether each alert that ``narrow`` holds for is one that ``wide`` holds for too."""
    return all(_follows(each, [one for one in narrow if one.name == each.name]) for each in wide)


def _follows(wide: Matcher, mine: list[Matcher]) -> bool:
    if wide in mine or (wide.operator is Operator.REGEX and wide.value == _NEVER_FALSE):
        return True
    values = values_of(mine)
    if values is not None:
        return all(_holds(wide, value) for value in values)
    # What it excludes is excluded already; of an absent matcher nothing is.
    excluded = _listed(wide) if _negative(wide) else None
    return excluded is not None and all(not all(_holds(one, value) for one in mine) for value in excluded)


def _denies(one: Matcher, other: Matcher) -> bool:
    """Whether ``other`` is ``one`` with the opposite operator, or can't hold at all."""
    opposites = {Operator.EQUAL: Operator.NOT_EQUAL, Operator.REGEX: Operator.NOT_REGEX}
    impossible = other.operator is Operator.NOT_REGEX and other.value == _NEVER_FALSE
    return impossible or (opposites.get(one.operator) is other.operator and one.value == other.value)


def _negative(matcher: Matcher) -> bool:
    return matcher.operator in (Operator.NOT_EQUAL, Operator.NOT_REGEX)


def _holds(matcher: Matcher, value: str) -> bool:
    return matcher.matches({matcher.name: value})


def _listed(matcher: Matcher) -> frozenset[str] | None:
    """The values that a matcher compares with, as far as they can be listed."""
    if matcher.operator in (Operator.EQUAL, Operator.NOT_EQUAL):
        return frozenset({matcher.value})
    return _written_out(matcher.value)


@lru_cache(maxsize=1024)
def _written_out(pattern: str) -> frozenset[str] | None:
    try:
        values, end = _alternatives(pattern, 0)
    except _Beyond:
        return None
    return frozenset(values) if end == len(pattern) else None


def _alternatives(pattern: str, at: int) -> tuple[set[str], int]:
    """The values of what begins at ``at``, up to a closing parenthesis or the end, and where that is."""
    found, at = _sequence(pattern, at)
    while pattern[at : at + 1] == "|":
        more, at = _sequence(pattern, at + 1)
        found |= more
    return _bounded(found), at


def _sequence(pattern: str, at: int) -> tuple[set[str], int]:
    found = {""}
    while at < len(pattern) and pattern[at] not in "|)":
        part, at = _part(pattern, at)
        if pattern[at : at + 1] == "?":
            part, at = part | {""}, at + 1
        found = _bounded({before + after for before in found for after in part})
    return found, at


def _part(pattern: str, at: int) -> tuple[set[str], int]:
    if pattern[at] == "(":
        after = at + 3 if pattern.startswith("(?:", at) else at + 1
        inner, end = _alternatives(pattern, after)
        if pattern[end : end + 1] != ")":
            raise _Beyond
        return inner, end + 1
    literal = _LITERAL.match(pattern, at)
    if literal is None:
        raise _Beyond
    return {literal[0].removeprefix("\\")}, literal.end()


def _bounded(values: set[str]) -> set[str]:
    if len(values) > MOST_VALUES:
        raise _Beyond
    return values
