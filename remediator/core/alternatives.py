"""The few texts that a regular expression matches, where it is nothing but alternatives of plain text."""

from __future__ import annotations

import re
from functools import lru_cache

#: A pattern that stands for more texts than these is not written out.
MOST_TEXTS = 200

_LITERAL = re.compile(r"[^\\.*+?()\[\]{}|^$]|\\[!-/:-@\[-^`{-~]")


class _Beyond(Exception):
    """The pattern stands for too many texts, or is more than alternatives of plain text."""


@lru_cache(maxsize=4096)
def texts_of(pattern: str) -> tuple[str, ...] | None:
    """All texts that an anchored pattern such as ``(cart|shop)-web(-canary)?`` matches, in its order.

    ``None`` if they are too many, or it says more than that.
    """
    try:
        texts, end = _alternatives(pattern, 0)
    except _Beyond:
        return None
    return texts if end == len(pattern) else None


def _alternatives(pattern: str, at: int) -> tuple[tuple[str, ...], int]:
    """The texts of what begins at ``at``, up to a closing parenthesis or the end, and where that is."""
    found, at = _sequence(pattern, at)
    while pattern[at : at + 1] == "|":
        more, at = _sequence(pattern, at + 1)
        found = _bounded((*found, *more))
    return found, at


def _sequence(pattern: str, at: int) -> tuple[tuple[str, ...], int]:
    found: tuple[str, ...] = ("",)
    while at < len(pattern) and pattern[at] not in "|)":
        part, at = _part(pattern, at)
        if pattern[at : at + 1] == "?":
            part, at = (*part, ""), at + 1
        if len(found) * len(part) > MOST_TEXTS:
            raise _Beyond
        found = _bounded(tuple(before + after for before in found for after in part))
    return found, at


def _part(pattern: str, at: int) -> tuple[tuple[str, ...], int]:
    if pattern[at] == "(":
        inner, end = _alternatives(pattern, at + 3 if pattern.startswith("(?:", at) else at + 1)
        if pattern[end : end + 1] != ")":
            raise _Beyond
        return inner, end + 1
    if (pattern[at], at) in (("^", 0), ("$", len(pattern) - 1)):  # anchored it is anyway
        return ("",), at + 1
    literal = _LITERAL.match(pattern, at)
    if literal is None:
        raise _Beyond
    return (literal[0].removeprefix("\\") or "\\",), literal.end()


def _bounded(texts: tuple[str, ...]) -> tuple[str, ...]:
    distinct = tuple(dict.fromkeys(texts))
    if len(distinct) > MOST_TEXTS:
        raise _Beyond
    return distinct
