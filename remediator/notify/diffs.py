"""The lines of a unified diff cut to what a person wants to see of it first."""

from __future__ import annotations

from collections.abc import Sequence

#: No line of a diff is worth more of a phone's screen.
LONGEST_LINE = 160

Hunk = list[str]


def excerpt(lines: Sequence[str], limit: int) -> list[str]:
    """The lines of a diff that are worth ``limit`` characters: whole hunks, the telling ones first.

    What was cut is counted in a last line, which comes on top of the limit.
    """
    if _size(lines) <= limit:
        return list(lines)
    head, hunks = _hunks(lines)
    chosen = _chosen(hunks, limit - _size(head))
    if not chosen:
        head, chosen = [], {0: _window(max(hunks, key=_interest), limit)}
    kept = [*head, *(line for at in sorted(chosen) for line in chosen[at])]
    return [*kept, _cut_note(len(lines) - len(kept))]


def shortened(line: str) -> str:
    """A line of at most :data:`LONGEST_LINE` characters, and how many were cut."""
    cut = len(line) - LONGEST_LINE
    return line if cut <= 0 else f"{line[:LONGEST_LINE]}… ({cut:,} characters cut)"


def _hunks(lines: Sequence[str]) -> tuple[Hunk, list[Hunk]]:
    """The lines before the first hunk, and the hunks; a diff without hunk headers is one hunk."""
    starts = [at for at, line in enumerate(lines) if line.startswith("@@")]
    if not starts:
        return [], [list(lines)]
    ends = [*starts[1:], len(lines)]
    return list(lines[: starts[0]]), [list(lines[a:b]) for a, b in zip(starts, ends, strict=True)]


def _chosen(hunks: Sequence[Hunk], limit: int) -> dict[int, Hunk]:
    chosen: dict[int, Hunk] = {}
    for at in sorted(range(len(hunks)), key=lambda at: _interest(hunks[at]), reverse=True):
        if _size(hunks[at]) > limit:
            break
        chosen[at] = hunks[at]
        limit -= _size(hunks[at])
    return chosen


def _interest(hunk: Hunk) -> tuple[bool, int]:
    """A new image is what a rollback is about; otherwise the hunk that changes most."""
    changed = [line for line in hunk if _is_change(line)]
    return any("image:" in line for line in changed), len(changed)


def _window(hunk: Hunk, limit: int) -> Hunk:
    """The lines of a hunk that is too long by itself, from just before its first (image) change."""
    changes = [at for at, line in enumerate(hunk) if _is_change(line)] or [0]
    telling = next((at for at in changes if "image:" in hunk[at]), changes[0])
    kept: Hunk = []
    for line in hunk[max(telling - 1, 0) :]:
        limit -= len(line) + 1
        if limit < 0:
            break
        kept.append(line)
    return kept


def _is_change(line: str) -> bool:
    return line.startswith(("+", "-")) and not line.startswith(("+++ ", "--- "))


def _size(lines: Sequence[str]) -> int:
    return sum(len(line) + 1 for line in lines)


def _cut_note(count: int) -> str:
    return f"… ({count:,} {'line' if count == 1 else 'lines'} cut)"
