"""One YAML file as plain data, with the place of every key and value.

Scalars are those of YAML 1.2's core schema: `no` is text, numbers are decimal, dates are text. Tags and
merge keys are refused, and aliases, depth and size are bounded, so that no file can be expensive.
libyaml's own composer recurses on the C stack without a bound, hence one here, over its events.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

Path = tuple[str | int, ...]

MOST_CHARACTERS = 16 * 1024 * 1024
MOST_DEPTH = 32
MOST_ALIASED = 20_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_BETWEEN = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: What libyaml says, and what helps; the first whose words are found is taken.
_REMEDIES = (
    (
        "cannot start any token",
        "a value can't begin with this character: put the value in quotes; indent with spaces, not tabs",
    ),
    (
        "mapping values are not allowed",
        "a second `:` on the line, or indented too far: put the value in quotes, or mend the indentation",
    ),
    ("unexpected end of stream", "the quote that opens here is never closed"),
    ("unknown escape", "no such escape in double quotes: use single quotes, or double the backslash"),
    ("expected ',' or ']'", "the list that opens with `[` is not closed with `]`, or lacks a `,`"),
    ("expected ',' or '}'", "the mapping that opens with `{` is not closed with `}`, or lacks a `,`"),
    (
        "expected key",
        "a key is expected here: is the indentation off, or a value with `{{` or `'` not wholly in quotes?",
    ),
    ("expected '-' indicator", "a list item that begins with `- ` is expected here: mend the indentation"),
)


@dataclass(slots=True)
class _Mark:
    """Where a value begins, and where its parts do; ``keys`` are the places of a mapping's keys."""

    line: int
    column: int
    parts: dict[str | int, _Mark] = field(default_factory=dict)
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    size: int = 1


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with the YAML itself; line and column count from 1."""

    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """A file's data (``None`` if it is empty or can't be read), and what is wrong with its YAML."""

    data: Any
    complaints: tuple[Complaint, ...] = ()
    _root: _Mark = field(default_factory=lambda: _Mark(1, 1))

    def place(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of what ``path`` leads to, or of the nearest thing around it that exists."""
        mark = self._root
        for index, part in enumerate(path):
            following = mark.parts.get(part)
            if following is None:
                if part == 0:
                    continue  # it stands for a list of one
                break
            if key and index == len(path) - 1 and part in mark.keys:
                return mark.keys[str(part)]
            mark = following
        return mark.line, mark.column


def read(text: str) -> Document:
    """Read one YAML document; never raises, whatever the text is."""
    text = text.removeprefix("\ufeff")
    if len(text) > MOST_CHARACTERS:
        return Document(None, (Complaint(1, 1, f"longer than {MOST_CHARACTERS} characters: split the file"),))
    unprintable = _UNPRINTABLE.search(text)
    if unprintable is not None:
        line, column = _position(text, unprintable.start())
        found = (
            f"character U+{ord(unprintable[0]):04X} can't stand in YAML: remove it, or write it as an escape"
        )
        return Document(None, (Complaint(line, column, found),))
    composer = _Composer()
    try:
        composer.take(yaml.parse(text, Loader=_LOADER))
    except _Refused as refused:
        return Document(None, (*composer.complaints, refused.complaint))
    except yaml.YAMLError as error:
        return Document(None, (*composer.complaints, _complaint(error)))
    return Document(composer.data, tuple(composer.complaints), composer.root)


def read_all(text: str) -> Iterator[Document]:
    """Read each of a file's documents by itself, as other programs' files have several.

    Empty lines stand in place of those before it, so that places are those in the file.
    """
    starts = [0, *(found.start() for found in _BETWEEN.finditer(text))]
    for begin, end in zip(starts, [*starts[1:], len(text)], strict=True):
        if text[begin:end].strip("- \n\r\t"):
            yield read("\n" * text.count("\n", 0, begin) + text[begin:end].removeprefix("---"))


def _position(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _complaint(error: yaml.YAMLError) -> Complaint:
    problem = str(getattr(error, "problem", None) or "it can't be read")
    mark = getattr(error, "problem_mark", None)
    remedy = next((remedy for words, remedy in _REMEDIES if words in problem), problem)
    return Complaint(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, f"not YAML: {remedy}")


class _Refused(Exception):
    """The file goes beyond a bound, so the rest of it is not read."""

    def __init__(self, event: Any, message: str) -> None:
        super().__init__(message)
        self.complaint = _at(event, message)


def _at(event: Any, message: str) -> Complaint:
    return Complaint(event.start_mark.line + 1, event.start_mark.column + 1, message)


@dataclass(slots=True)
class _Frame:
    """A collection under construction; ``key`` is the mapping key whose value comes next."""

    data: dict[str, Any] | list[Any]
    mark: _Mark
    anchor: str | None
    key: str | None = None
    wants_key: bool = False


class _Composer:
    """Builds data and marks from events, with a stack of its own."""

    def __init__(self) -> None:
        self.data: Any = None
        self.root = _Mark(1, 1)
        self.complaints: list[Complaint] = []
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, _Mark]] = {}
        self._aliased = 0
        self._documents = 0

    def take(self, events: Iterator[Any]) -> None:
        for event in events:
            if isinstance(event, ScalarEvent):
                self._scalar(event)
            elif isinstance(event, (MappingStartEvent, SequenceStartEvent)):
                self._open(event)
            elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
                self._close()
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif isinstance(event, DocumentStartEvent):
                self._begin(event)

    def _begin(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _Refused(event, "a second document: keep one in each file, without `---` between them")

    def _scalar(self, event: Any) -> None:
        self._refuse_tag(event)
        if self._at_key(event):
            self._take_key(event)
            return
        value = _scalar(event.value) if event.implicit[0] else event.value
        self._put(value, _mark(event), event.anchor)

    def _open(self, event: Any) -> None:
        self._refuse_tag(event)
        if self._at_key(event):
            raise _Refused(event, "a key can't be a list or mapping: a value with `{{` has to be in quotes")
        if len(self._stack) >= MOST_DEPTH:
            raise _Refused(event, f"nested deeper than {MOST_DEPTH} levels")
        is_mapping = isinstance(event, MappingStartEvent)
        data: dict[str, Any] | list[Any] = {} if is_mapping else []
        self._stack.append(_Frame(data, _mark(event), event.anchor, wants_key=is_mapping))

    def _close(self) -> None:
        frame = self._stack.pop()
        self._put(frame.data, frame.mark, frame.anchor)

    def _alias(self, event: Any) -> None:
        if self._at_key(event):
            raise _Refused(event, "an alias can't be a key: write the key out")
        found = self._anchors.get(event.anchor)
        if found is None:
            raise _Refused(event, f"alias *{event.anchor} has no anchor &{event.anchor} that ends before it")
        value, mark = found
        self._aliased += mark.size
        if self._aliased > MOST_ALIASED:
            raise _Refused(
                event, f"aliases stand for more than {MOST_ALIASED} values: write some of them out"
            )
        self._put(value, mark, None)

    def _at_key(self, _event: Any) -> bool:
        return bool(self._stack) and self._stack[-1].wants_key

    def _take_key(self, event: Any) -> None:
        frame = self._stack[-1]
        frame.wants_key = False
        frame.key = event.value
        before = frame.mark.keys.get(event.value)
        if event.value == "<<" and event.implicit[0]:
            self.complaints.append(_at(event, "merge keys `<<` are not read: write the keys out"))
            frame.key = None
        elif before is not None:
            self.complaints.append(
                _at(event, f"key {event.value!r} is given twice: the other is on line {before[0]}")
            )
            frame.key = None
        else:
            frame.mark.keys[event.value] = (event.start_mark.line + 1, event.start_mark.column + 1)

    def _put(self, value: Any, mark: _Mark, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = (value, mark)
        if not self._stack:
            self.data, self.root = value, mark
            return
        frame = self._stack[-1]
        frame.mark.size += mark.size
        if isinstance(frame.data, list):
            frame.mark.parts[len(frame.data)] = mark
            frame.data.append(value)
            return
        if frame.key is not None:
            frame.mark.parts[frame.key] = mark
            frame.data[frame.key] = value
        frame.wants_key = True

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            self.complaints.append(
                _at(event, "tags such as !!str are not read: leave it out, quote text instead")
            )


def _mark(event: Any) -> _Mark:
    return _Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _scalar(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
