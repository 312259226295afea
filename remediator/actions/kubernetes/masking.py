"""What of a pod template may be secret is hidden, before anybody is shown it. Pure.

Names can't tell secrets from the rest: literal values of environment variables and headers are hidden
whatever they are called. Elsewhere an option or assignment whose name speaks of a secret, a password in a
URL, whatever looks random and long annotations are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

HIDDEN = "(hidden)"
CHANGED = "(hidden, changed)"

#: From here on an annotation is taken for a document, which may hold anything.
_LONG_ANNOTATION = 64
_RANDOM_LENGTH = 16
_LONGEST_WORD = 20
_RANDOM_TURNS = 4

_SENSITIVE = r"(?:pass|pwd|key|secret|token|credential|private|auth|cookie|dsn|salt|signature)"
_NAMED = rf"[\w.-]*{_SENSITIVE}[\w.-]*"
_VALUE = r"""(?:(?:Basic|Bearer|Token)\s+)?(?:"[^"]*"?|'[^']*'?|[^\s;&]+)"""
_ASSIGNED = re.compile(rf"""({_NAMED}(?:["']?\s*=\s*|["']\s*:\s*|:\s+)){_VALUE}""", re.IGNORECASE)
_OPTION = re.compile(rf"(--?{_NAMED}\s+){_VALUE}", re.IGNORECASE)
_LONE_OPTION = re.compile(rf"--?{_NAMED}", re.IGNORECASE)
_SENSITIVE_NAME = re.compile(_SENSITIVE, re.IGNORECASE)
_USERINFO = re.compile(r"(\w://[^:/@\s]*:)[^\s\"']+@")
_WORD = re.compile(rf"[A-Za-z0-9+_=-]{{{_RANDOM_LENGTH},}}")
_UNBROKEN = re.compile(rf"[A-Za-z0-9]{{{_LONGEST_WORD},}}")


def masked(value: Any, other: Any = None, key: str = "") -> Any:
    """The value without secrets; ``other`` is what stood in its place, ``key`` the field that holds it.

    Hidden text that differs from the other's, which is hidden as well, says so.
    """
    if isinstance(value, Mapping):
        return _mapping(value, other if isinstance(other, Mapping) else {}, key)
    if isinstance(value, list):
        return _list(value, other if isinstance(other, list) else [], key)
    if isinstance(value, str) and key != "image":
        return _compared(value, other, _text)
    return value


def _mapping(value: Mapping[str, Any], other: Mapping[str, Any], key: str) -> dict[str, Any]:
    if key == "annotations":
        return {name: _annotation(name, each, other.get(name)) for name, each in value.items()}
    literal = key in ("env", "httpHeaders")
    return {
        name: _compared(each, other.get(name), _all)
        if literal and name == "value"
        else masked(each, other.get(name), name)
        for name, each in value.items()
    }


def _annotation(name: str, value: Any, other: Any) -> Any:
    hides = isinstance(value, str) and (len(value) >= _LONG_ANNOTATION or _SENSITIVE_NAME.search(name))
    return _compared(value, other, _all) if hides else masked(value, other)


def _list(value: Sequence[Any], other: Sequence[Any], key: str) -> list[Any]:
    """Named things are compared by their names, all else by its place."""
    named = {each["name"]: each for each in other if isinstance(each, Mapping) and "name" in each}
    shown = []
    for place, each in enumerate(value):
        before = value[place - 1] if place else None
        there = other[place] if place < len(other) else None
        if isinstance(each, Mapping) and "name" in each:
            there = named.get(each["name"])
        if isinstance(before, str) and isinstance(each, str) and _LONE_OPTION.fullmatch(before):
            shown.append(_compared(each, there, _all))
        else:
            shown.append(masked(each, there, key))
    return shown


def _compared(value: Any, other: Any, hide: Callable[[Any], str]) -> str:
    """The value as ``hide`` leaves it; where nothing but what is hidden differs, it says so."""
    text = hide(value)
    if other is not None and other != value and HIDDEN in text and text == hide(other):
        return text.replace(HIDDEN, CHANGED)
    return text


def _all(_value: Any) -> str:
    return HIDDEN


def _text(value: Any) -> str:
    text = _USERINFO.sub(rf"\1{HIDDEN}@", str(value))
    text = _OPTION.sub(rf"\1{HIDDEN}", _ASSIGNED.sub(rf"\1{HIDDEN}", text))
    return _WORD.sub(lambda found: HIDDEN if _looks_random(found[0]) else found[0], text)


def _looks_random(word: str) -> bool:
    """Longer than any word, or changing between letters, capitals and digits as no name does."""
    kinds = [_kind(each) for each in word if each.isalnum()]
    turns = sum(one != other for one, other in pairwise(kinds))
    return turns >= _RANDOM_TURNS or _UNBROKEN.search(word) is not None


def _kind(character: str) -> str:
    if character.isdigit():
        return "digit"
    return "capital" if character.isupper() else "letter"
