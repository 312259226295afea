"""What matchers say about each other: which can't hold together, and which hold whenever others do.

Never claims too much: where a pattern is not understood, nothing follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from remediator.core.alternatives import texts_of
from remediator.core.matchers import Matcher, Operator

_NEVER_FALSE = ".*"


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
    texts = texts_of(matcher.value)
    return None if texts is None else frozenset(texts)
