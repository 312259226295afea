"""What is wrong with rule files, and where; and the words that were probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from remediator.rulebook.document import Document, Path

_MOST_LISTED = 20


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a rule file; line and column count from 1, and line 0 is the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding: ``message`` says what it is, and what to write instead."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(slots=True)
class Findings:
    """Collects errors and warnings over all files."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reporter:
    """Reports on the part of one file that lies below ``prefix``."""

    file: str
    document: Document
    findings: Findings
    prefix: Path = ()

    def below(self, *path: str | int) -> Reporter:
        return Reporter(self.file, self.document, self.findings, self.prefix + path)

    def error(self, path: Path, message: str, *, key: bool = False) -> None:
        """Report an error at the value that ``path`` leads to, or at its key."""
        self.findings.errors.append(Problem(self.place(path, key=key), message))

    def warn(self, path: Path, message: str, *, key: bool = True) -> None:
        """Report a warning at the key that ``path`` leads to, or at its value."""
        self.findings.warnings.append(Problem(self.place(path, key=key), message))

    def holds(self, *path: str | int) -> bool:
        """Whether something is written where ``path`` leads to."""
        data = self.document.data
        for part in self.prefix + path:
            known = isinstance(data, dict) or (isinstance(data, list) and isinstance(part, int))
            if not known or part not in (data if isinstance(data, dict) else range(len(data))):
                return False
            data = data[part]
        return True

    def place(self, path: Path = (), *, key: bool = False) -> Place:
        return Place(self.file, *self.document.place(self.prefix + path, key=key))


def nearest(word: str, known: Iterable[str]) -> str:
    """Name the nearest known word, or else all of them, as a remedy to append to an error."""
    words = list(known)
    close = get_close_matches(word, words, n=1) or [
        each for each in words if each.lower() == word.lower() or each.rpartition(".")[2] == word
    ]
    if close:
        return f"did you mean {close[0]!r}?"
    if not words:
        return "there are none"
    listed = ", ".join(words[:_MOST_LISTED])
    return f"write one of {listed}" if len(words) <= _MOST_LISTED else f"write one of {listed}, ..."


def shown(text: object) -> str:
    """Quote what somebody wrote, on one line and not at any length."""
    written = f"{text}"
    return repr(written if len(written) <= 60 else written[:57] + "...")
