"""Other people's text made harmless: no markup, mention, link, emoji or control character of theirs survives.

In Slack's mrkdwn a code span is the one place where nothing but ``&``, ``<`` and ``>`` has a meaning. So
every word that could have one goes into a code span, and no other word needs changing.
Source: https://docs.slack.dev/messaging/formatting-message-text.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
#: Looks like a backtick, closes nothing.
_LOOKALIKE = "\u02cb"
_REPLACEMENT = "\ufffd"
#: Joiners, which scripts and emoji need; every other invisible character is shown as a replacement.
_JOINERS = "\u200c\u200d"
_INVISIBLE = frozenset({"Cc", "Cf", "Cs"})
_LINES = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
#: Formatting, mentions, links, quotes and :emoji:; the :30: of a time of day is none.
_MARKUP = re.compile(r"[*_~`@]|^[#>]|://|mailto:|:(?!\d{1,2}:)[^\s:]+:", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ,.()=/-]*[A-Za-z0-9.)])?")
#: However long a text is, only this many times its limit is ever looked at.
_LOOK = 8


def clean(text: str) -> str:
    """The text with line feeds as its only line ends, and nothing that a terminal or phone would obey."""
    if text.isprintable():
        return text
    lines = _LINES.sub("\n", text).replace("\t", "    ")
    return "".join(char if _visible(char) else _REPLACEMENT for char in lines)


def flat(text: str) -> str:
    """The clean text in one line."""
    return " ".join(clean(text).split())


def escape(text: str) -> str:
    """Slack's three control characters as entities."""
    return text.translate(_ENTITIES)


def inline(text: str) -> str:
    """One line of mrkdwn that reads as the text does; only words that could be markup become code."""
    return " ".join(code(word) if _MARKUP.search(word) else escape(word) for word in flat(text).split(" "))


def code(text: str) -> str:
    """One line as a code span; empty stays empty."""
    line = escape(flat(text).replace("`", _LOOKALIKE))
    return f"`{line}`" if line else ""


def strong(text: str) -> str:
    """One line in bold, where it holds nothing that could end the bold."""
    line = flat(text)
    return f"*{line}*" if _PLAIN.fullmatch(line) else inline(line)


def fenced(line: str) -> str:
    """One line of a code block, its spaces kept."""
    return escape(clean(line).replace("\n", " ").replace("`", _LOOKALIKE))


def fence(lines: Sequence[str]) -> str:
    """A code block of lines that :func:`fenced` made harmless."""
    return "\n".join(["```", *lines, "```"])


def fit(text: str, limit: int, render: Callable[[str], str]) -> str:
    """The text rendered in at most ``limit`` characters (40 or more), saying how many characters were cut."""
    seen = text[: limit * _LOOK]
    whole = render(seen)
    if len(seen) == len(text) and len(whole) <= limit:
        return whole

    def cut(kept: int) -> str:
        return f"{render(seen[:kept])} … ({len(text) - kept:,} characters cut)"

    kept = bisect_right(range(len(seen)), limit, key=lambda kept: len(cut(kept))) - 1
    return cut(max(kept, 0)).lstrip()


def newest(lines: Sequence[str], limit: int) -> tuple[list[str], int]:
    """The last lines that fit ``limit`` characters together, in order, and how many earlier ones don't."""
    kept: list[str] = []
    for line in reversed(lines):
        limit -= len(line) + 1
        if limit < 0:
            break
        kept.insert(0, line)
    return kept, len(lines) - len(kept)


def _visible(char: str) -> bool:
    return char in _JOINERS or char == "\n" or unicodedata.category(char) not in _INVISIBLE
