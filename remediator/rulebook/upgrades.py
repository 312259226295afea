"""Versions of the rule files' format: which this build reads, and how a file of an older one becomes new.

An upgrade edits the text, so that comments and layout stay as people wrote them. Files of any version that
is still read are upgraded in memory when they are loaded, those that old runs are pinned to included;
``remediator check --upgrade`` writes them back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from remediator.rulebook.document import Document, Path, read
from remediator.rulebook.problems import shown


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Puts ``new`` in the place of ``old``, which stands at a line and column, each counted from 1."""

    line: int
    column: int
    old: str
    new: str


#: Says what to edit in a file of one version, so that it means the same in the next.
Upgrade = Callable[[str, Document], Iterable[Edit]]


class UnknownVersion(Exception):
    """A file's version is none that this build reads; ``str`` says which are."""


class StaleEdit(Exception):
    """An upgrade wants to replace what is not there: its own mistake."""


@dataclass(frozen=True, slots=True)
class Format:
    """The versions from ``oldest`` to the newest; an upgrade from each of them to the next."""

    upgrades: Mapping[int, Upgrade]
    oldest: int = 1

    @property
    def newest(self) -> int:
        return self.oldest + len(self.upgrades)

    def version(self, document: Document) -> int:
        """The version that a file is written in; without the key it is 1.

        Raises:
            UnknownVersion: this build does not read it.
        """
        written = document.data.get("version", 1) if isinstance(document.data, dict) else 1
        known = range(self.oldest, self.newest + 1)
        if isinstance(written, int) and not isinstance(written, bool) and written in known:
            return written
        reads = f"version {self.newest}" if len(known) == 1 else f"versions {self.oldest} to {self.newest}"
        message = f"format version {shown(written)} is not known: this Remediator reads {reads}"
        if isinstance(written, int) and written > self.newest:
            message += "; a newer one may read this"
        raise UnknownVersion(message)

    def upgraded(self, text: str) -> str:
        """A file in the newest version; the same text if it is that already, or no YAML.

        Raises:
            UnknownVersion: this build does not read the file's version.
        """
        document = read(text)
        if not isinstance(document.data, dict) or not document.data:
            return text
        for version in range(self.version(document), self.newest):
            edits = [*self.upgrades[version](text, document), _numbered(text, document, version + 1)]
            text = edited(text, edits)
            document = read(text)
        return text


def renamed(text: str, document: Document, path: Path, new: str) -> Edit:
    """The edit that gives the key at ``path`` another name; quotes around it stay."""
    line, column = document.place(path, key=True)
    if text.splitlines()[line - 1][column - 1] in "'\"":
        column += 1
    return Edit(line, column, str(path[-1]), new)


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made; their places are those in the text as it is given.

    Raises:
        StaleEdit: something else stands where one of them is to be made.
    """
    lines = text.splitlines(keepends=True) or [""]
    for edit in sorted(edits, reverse=True):
        line, start = lines[edit.line - 1], edit.column - 1
        if not line.startswith(edit.old, start):
            message = f"{shown(edit.old)} does not stand at {edit.line}:{edit.column}"
            raise StaleEdit(message)
        lines[edit.line - 1] = line[:start] + edit.new + line[start + len(edit.old) :]
    return "".join(lines)


def _numbered(text: str, document: Document, version: int) -> Edit:
    """Says the new version where the old one is said, else before the first key."""
    lines = text.splitlines()
    if "version" in document.data:
        line, column = document.place(("version",))
        written = re.match(r"[-+0-9]+", lines[line - 1][column - 1 :])
        return Edit(line, column, written[0] if written else "", f"{version}")
    line, column = document.place(())
    if lines[line - 1].startswith("{", column - 1):
        return Edit(line, column, "{", f"{{version: {version}, ")
    return Edit(line, column, "", f"version: {version}\n{' ' * (column - 1)}")


#: What this build reads. A change of meaning needs a new version, and an upgrade to it here.
FORMAT = Format(upgrades={})
