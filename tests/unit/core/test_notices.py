"""A notice in the place of an unsent one is as urgent and as bad as the worse of the two, and counts both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.core.notices import MOST_LINES, Notice, NoticeKind, Tone, following


def a_notice(severity: str = "", tone: Tone = Tone.QUIET, **fields: object) -> Notice:
    made = Notice(NoticeKind.DECISION, "one", tone, severity=severity, lines=("line",))
    return replace(made, **fields)  # type: ignore[arg-type]  # each test's own


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("P0", "P3", "P0"),
        ("P3", "P0", "P0"),
        ("P2", "P10", "P2"),
        ("P1", "", "P1"),
        ("", "P2", "P2"),
        ("", "", ""),
        ("bronze", "gold", "gold"),
        ("P1", "gold", "gold"),
    ],
)
def test_the_more_urgent_severity_is_kept(old: str, new: str, kept: str) -> None:
    assert following(a_notice(old), a_notice(new)).severity == kept


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        (Tone.BAD, Tone.QUIET, Tone.BAD),
        (Tone.QUIET, Tone.BAD, Tone.BAD),
        (Tone.GOOD, Tone.UNSURE, Tone.UNSURE),
        (Tone.GOOD, Tone.GOOD, Tone.GOOD),
    ],
)
def test_the_worse_tone_is_kept(old: Tone, new: Tone, kept: Tone) -> None:
    assert following(a_notice(tone=old), a_notice(tone=new)).tone is kept


def test_fields_are_the_newest_lines_and_counts_are_of_both_and_a_page_stays_one() -> None:
    merged = following(a_notice(fields=(("a", "1"),), page=True), a_notice(fields=(("a", "2"),)))
    assert merged.fields == (("a", "2"),)
    assert (merged.count, len(merged.lines), merged.page) == (2, 2, True)
    for _ in range(MOST_LINES):
        merged = following(merged, a_notice())
    assert len(merged.lines) == MOST_LINES


def test_a_runs_notice_tells_its_state_and_nothing_of_the_one_before() -> None:
    """A run that was bad a moment ago and is repaired now is repaired."""
    old = a_notice("P0", Tone.BAD, kind=NoticeKind.RUN, count=0)
    new = a_notice("P1", Tone.GOOD, kind=NoticeKind.RUN, count=0)
    assert following(old, new) == new
