"""Alertmanager's matchers: ``=`` ``!=`` ``=~`` ``!~``, anchored, an absent label is the empty string."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import re2

_QUIET = re2.Options()
_QUIET.log_errors = False  # else RE2 writes to stderr what is raised anyway


class MatcherError(ValueError):
    """The text is no matcher; the message says what is wrong with it."""


class Operator(StrEnum):
    """How a matcher compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


class _Pattern(Protocol):
    def fullmatch(self, text: str) -> object | None: ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label."""

    name: str
    operator: Operator
    value: str
    _pattern: _Pattern | None = field(default=None, compare=False, repr=False)

    def matches(self, labels: Mapping[str, str]) -> bool:
        actual = labels.get(self.name, "")
        if self._pattern is None:
            return (actual == self.value) is (self.operator is Operator.EQUAL)
        return (self._pattern.fullmatch(actual) is not None) is (self.operator is Operator.REGEX)

    def __str__(self) -> str:
        name = self.name if _BARE.fullmatch(self.name) else _quoted(self.name)
        return f"{name}{self.operator.value}{_quoted(self.value)}"


# A quoted name may be any UTF-8 (Alertmanager 0.27 and later); a bare one is a Prometheus label name.
_TEXT = re.compile(
    r"""\s*(?:(?P<bare>[a-zA-Z_:][a-zA-Z0-9_:]*)|"(?P<quoted>(?:[^"\\]|\\.)*)")\s*"""
    r"""(?P<operator>=~|!~|!=|=)\s*(?:"(?P<value>(?:[^"\\]|\\.)*)"|(?P<raw>[^"\s,{}]*))\s*""",
    re.DOTALL,
)
_BETWEEN_COMMAS = re.compile(r"""(?:[^,"]|"(?:[^"\\]|\\.)*")+""", re.DOTALL)
_BARE = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


def parse_matcher(text: str) -> Matcher:
    """Read one matcher such as ``job=~"auth|profile"``.

    Raises:
        MatcherError: it is no matcher, or its regular expression is not RE2's.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        message = f'{text!r} is no matcher: write label="value", with one of = != =~ !~'
        raise MatcherError(message)
    name = found["bare"] if found["bare"] is not None else _unescape(found["quoted"])
    value = _unescape(found["value"]) if found["value"] is not None else found["raw"]
    return matcher(name, Operator(found["operator"]), value)


def parse_selection(text: str) -> tuple[Matcher, ...]:
    """Read matchers with commas between them, in braces or not: ``job="cart", severity!=info``.

    Raises:
        MatcherError: one of them is no matcher.
    """
    inner = text.strip().removeprefix("{").removesuffix("}")
    return tuple(parse_matcher(each) for each in _BETWEEN_COMMAS.findall(inner) if each.strip())


def matcher(name: str, operator: Operator, value: str) -> Matcher:
    """Make a matcher; regular expressions are RE2, so that no label can make one run for long.

    Raises:
        MatcherError: the regular expression is not RE2's.
    """
    if not name:
        message = "a matcher needs a label name"
        raise MatcherError(message)
    if operator in (Operator.EQUAL, Operator.NOT_EQUAL):
        return Matcher(name, operator, value)
    try:
        pattern = re2.compile(value, _QUIET)
    except re2.error as error:
        message = f"{value!r} is no RE2 regular expression: {_reason(error)}"
        raise MatcherError(message) from None
    return Matcher(name, operator, value, pattern)


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text, flags=re.DOTALL)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
