"""What looks like a secret in rule files, which many can read: it is refused, and never quoted.

Found are secrets of well-known shape anywhere, comments included, and what stands behind a key that is named
like one and looks made by a machine. Each shape is anchored on letters that only its maker uses, so that
what people write is not taken for one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import re2

from remediator.rulebook.document import Complaint

_SHAPES = (
    (
        "the URL of a Slack webhook",
        r"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[\w/+-]+",
    ),
    ("a token of Slack", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}|xapp-\d-[A-Za-z0-9-]{8,}"),
    ("a routing key of PagerDuty", r"(?<![A-Za-z0-9])R0[0-9A-Z]{30}(?![A-Za-z0-9])"),
    ("a private key", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"),
    ("an access key of AWS", r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
    ("a token of GitHub", r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,}"),
    ("a token of GitLab", r"glpat-[\w-]{20,}"),
    ("an API key of Google", r"AIza[\w-]{35}"),
    ("a JSON web token", r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    ("a password in a URL", r"(?<=://)[^\s/:@'\"{}]*:[^\s/@'\"{}]+(?=@)"),
)
_SHAPED = re.compile("|".join(f"(?P<s{number}>{shape})" for number, (_, shape) in enumerate(_SHAPES)))
_NAMED = re.compile(
    r"(?i)\b[\w.-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|routing[_-]?key|integration[_-]?key"
    r"|service[_-]?key|credentials?|pagerduty)[\w.-]*[\"']?\s*[:=]\s*[\"']?(?P<value>[A-Za-z0-9+/=_.~-]{16,})"
)
#: Without any of these there is no secret; RE2 sees that at once in files of thousands of rules.
_HINTS = re2.compile(
    rb"(?i)hooks\.slack|xox[a-z]|xapp-|r0[0-9a-z]{30}|private key|akia|asia|gh[pousr]_|github_pat|glpat-"
    rb"|aiza|eyj|://[^\s/@]*:[^\s/@]*@|passw|passphrase|secret|token|api[_-]?key|(?:routing|integration|service)[_-]?key"
    rb"|credential|pagerduty"
)
#: Bits a character from which on text looks random: words have less, hex has up to 4, base64 up to 6.
_RANDOM = 3.0
#: How often digits and letters take turns in it, at the least: names have a number at their end, or two.
_TURNS = 3
_REMEDY = (
    "rule files are no place for it: write where it is kept, as {env: NAME} or {file: PATH}, or give it in a"
    " setting; and change it, since others may have read it"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A secret by its place in a text, and what it looks like."""

    start: int
    end: int
    what: str


def find(text: str) -> list[Found]:
    """Everything in a text that looks like a secret, in order."""
    found: list[Found] = []
    if _HINTS.search(text.encode(errors="replace")) is None:
        return found
    for each in sorted((*_shaped(text), *_named(text)), key=lambda each: each.start):
        if not found or each.start >= found[-1].end:
            found.append(each)
    return found


def masked(text: str, found: list[Found]) -> str:
    """The text with each secret written over, so that whatever is said of it later can't quote one."""
    for each in found:
        text = text[: each.start] + "x" * (each.end - each.start) + text[each.end :]
    return text


def complaints(text: str, found: list[Found]) -> Iterator[Complaint]:
    """What to say of each, at its place."""
    for each in found:
        line_start = text.rfind("\n", 0, each.start) + 1
        line = text.count("\n", 0, each.start) + 1
        yield Complaint(line, each.start - line_start + 1, f"this looks like {each.what}: {_REMEDY}")


def _shaped(text: str) -> Iterator[Found]:
    for match in _SHAPED.finditer(text):
        yield Found(*match.span(), _SHAPES[int(str(match.lastgroup)[1:])][0])


def _named(text: str) -> Iterator[Found]:
    for match in _NAMED.finditer(text):
        if _looks_made_up(match["value"]):
            yield Found(*match.span("value"), "a secret, by the name of its key")


def _looks_made_up(value: str) -> bool:
    """Whether a machine made it: digits amidst letters, and hardly any sign more frequent than others."""
    signs = re.sub(r"[^A-Za-z0-9]", "", value)
    turns = sum(one.isdigit() is not other.isdigit() for one, other in pairwise(signs))
    frequencies = [count / len(value) for count in Counter(value).values()]
    return turns >= _TURNS and -sum(each * math.log2(each) for each in frequencies) >= _RANDOM
