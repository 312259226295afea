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


# Alertmanager reads a matcher by its classic grammar; what that refuses, by the one for UTF-8 (since 0.27).
_BARE = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_CLASSIC_SPACE = "\t\n\f\r "
_CLASSIC = re.compile(
    rf"[{_CLASSIC_SPACE}]*(?P<name>{_BARE.pattern})[{_CLASSIC_SPACE}]*(?P<operator>=~|=|!=|!~)(?P<value>.*)",
    re.DOTALL,
)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_UNQUOTED = re.compile(r'(?:[^"\\]|\\.)*\\?', re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_TOKEN = rf'"(?:[^"\\]|\\.)*"|[^{{}}!=~,\\"\'`{_SPACE}]+'
_UTF8 = re.compile(
    rf"[{_SPACE}]*(?P<name>{_TOKEN})[{_SPACE}]*(?P<operator>=~|=|!=|!~)[{_SPACE}]*(?P<value>{_TOKEN})[{_SPACE}]*",
    re.DOTALL,
)
# What Go's strconv.Unquote takes between double quotes.
_GO_PART = re.compile(
    r"""(?P<plain>[^"\\\n]+)|\\(?:(?P<letter>[abfnrtv\\"])|(?P<octal>[0-3][0-7]{2})|x(?P<hex>[0-9a-fA-F]{2})"""
    r"""|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"""
)
_GO_LETTERS = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))

_PARTS_OF_PATTERN = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.", re.DOTALL)


_BETWEEN_COMMAS = re.compile(r"""(?:[^,"]|"(?:[^"\\]|\\.)*"|")+""", re.DOTALL)


def parse_matcher(text: str) -> Matcher:
    """Read one matcher such as ``job=~"auth|profile"``, as Alertmanager does in its configuration.

    Stricter in one thing: where it would take commas and braces for several matchers, they have to be quoted.

    Raises:
        MatcherError: it is no matcher, or its regular expression is not RE2's.
    """
    readings = [found for read in (_read_classic, _read_utf8) if (found := read(text)) is not None]
    if not readings:
        raise MatcherError(_why_none(text))
    try:
        return matcher(*readings[0])
    except MatcherError:
        if len(readings) == 1:
            raise
    return matcher(*readings[1])


def parse_selection(text: str) -> tuple[Matcher, ...]:
    """Read matchers with commas between them, in braces or not: ``job="cart", severity!=info``.

    Raises:
        MatcherError: one of them is no matcher.
    """
    inner = text.strip().removeprefix("{").removesuffix("}")
    return tuple(parse_matcher(each) for each in _BETWEEN_COMMAS.findall(inner) if each.strip())


def _why_none(text: str) -> str:
    """Why a text is no matcher, and what to write."""
    if _CLASSIC.fullmatch(text.strip().removeprefix("{")) is not None and not {*",{}"}.isdisjoint(text):
        remedy = (
            "make each an entry of its own, without braces, and put a value with a comma or brace in quotes"
        )
        return f"{text!r} is no matcher: {remedy}"
    return f'{text!r} is no matcher: write label="value", with one of = != =~ !~'


def _read_classic(text: str) -> tuple[str, Operator, str] | None:
    found = _CLASSIC.fullmatch(text)
    if found is None:
        return None
    written = found["value"].strip(_CLASSIC_SPACE)
    quoted = _QUOTED.fullmatch(written)
    if quoted is None and (_UNQUOTED.fullmatch(written) is None or not {*",{}"}.isdisjoint(written)):
        return None
    return found["name"], Operator(found["operator"]), _unescaped(quoted[1] if quoted else written)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text, flags=re.DOTALL)


def _read_utf8(text: str) -> tuple[str, Operator, str] | None:
    found = _UTF8.fullmatch(text)
    if found is None:
        return None
    name, value = _token(found["name"]), _token(found["value"])
    return None if name is None or value is None else (name, Operator(found["operator"]), value)


def _token(written: str) -> str | None:
    """What a token stands for; ``None`` if Go can't unquote it."""
    if not written.startswith('"'):
        return written
    content, inner, at = bytearray(), written[1:-1], 0
    while at < len(inner):
        part = _GO_PART.match(inner, at)
        if part is None:
            return None
        at = part.end()
        try:
            content += _bytes_of(part)
        except (UnicodeEncodeError, ValueError, OverflowError):  # a surrogate, or beyond Unicode
            return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _bytes_of(part: re.Match[str]) -> bytes:
    if part["plain"]:
        return part["plain"].encode()
    if part["letter"]:
        return _GO_LETTERS[part["letter"]].encode()
    if part["octal"]:
        return bytes([int(part["octal"], 8)])
    if part["hex"]:
        return bytes([int(part["hex"], 16)])
    return chr(int(part["short"] or part["long"], 16)).encode()


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
    if r"\C" in _PARTS_OF_PATTERN.findall(value):  # half a character: RE2 in C++ knows it, in Go it doesn't
        message = f"{value!r} is no RE2 regular expression: invalid escape sequence: \\C"
        raise MatcherError(message)
    try:
        pattern = re2.compile(value, _QUIET)
    except re2.error as error:
        message = f"{value!r} is no RE2 regular expression: {_reason(error)}"
        raise MatcherError(message) from None
    return Matcher(name, operator, value, pattern)


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
