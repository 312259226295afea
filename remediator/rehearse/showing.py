"""Outcomes for people and machines: one timeline of what was expected and what happened, JUnit, JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from remediator.core.durations import format_duration
from remediator.rehearse.account import Entry
from remediator.rehearse.judging import Line
from remediator.rehearse.models import Expectation
from remediator.rehearse.scenario import Outcome

#: What XML can't hold.
_UNPRINTABLE = dict.fromkeys([*range(9), 11, 12, *range(14, 32)], "�")


class Row(NamedTuple):
    """One row of a timeline: ``mark`` is empty for what happened around it, ``at`` of what has no time."""

    mark: str
    at: str
    text: str


OK, EXPECTED, HAPPENED, MISSING, UNEXPECTED, PROBLEM = (
    "ok",
    "expected",
    "happened",
    "missing",
    "unexpected",
    "problem",
)


def rows(outcome: Outcome) -> tuple[Row, ...]:
    """The whole timeline, in order."""
    timed: list[tuple[timedelta, int, Row]] = []
    for number, around in enumerate(outcome.context):
        timed.append(
            (around.at - outcome.began, number, Row("", _clock(around.at - outcome.began), around.what))
        )
    for number, line in enumerate(outcome.lines, len(timed)):
        found = list(_of_line(line, outcome))
        when = _when(line, outcome.began)
        timed += [(when, number, row) for row in found]
    ordered = [row for _, _, row in sorted(timed, key=lambda each: each[:2])]
    return (*(Row(PROBLEM, "", each) for each in outcome.problems), *ordered)


def _when(line: Line, began: datetime) -> timedelta:
    if line.expected is not None and line.expected.at is not None:
        return line.expected.at
    return line.entry.at - began if line.entry is not None else timedelta.max


def _of_line(line: Line, outcome: Outcome) -> Iterator[Row]:
    happened = (
        None
        if line.entry is None
        else Row("", _clock(line.entry.at - outcome.began), _shown(line.entry, outcome))
    )
    if line.expected is None and happened is not None:
        yield happened._replace(mark=UNEXPECTED)
        yield from _detail(line.entry)
        return
    if line.expected is None:
        return
    if line.holds and happened is not None:
        yield happened._replace(mark=OK)
        return
    place = outcome.story.places[line.number]
    at = _clock(line.expected.at) if line.expected.at is not None else ""
    wanted = Row(
        MISSING if happened is None else EXPECTED, at, f"{shown_expectation(line.expected)}   <- {place}"
    )
    yield wanted
    if happened is not None:
        yield happened._replace(mark=HAPPENED)
        yield Row("", "", f"  differs in {', '.join(_name(each, line.expected) for each in line.differs)}")
        yield from _detail(line.entry)


def _name(key: str, expected: Expectation) -> str:
    return {"what": expected.kind}.get(key, key)


def _detail(entry: Entry | None) -> Iterator[Row]:
    if entry is not None and entry.detail:
        yield Row("", "", f"  it says: {entry.detail.replace(chr(10), ' ')[:300]}")


def _shown(entry: Entry, outcome: Outcome) -> str:
    ends = f", ends {_clock(entry.ends - outcome.began)}" if entry.ends is not None else ""
    return f"{entry.shown}{ends}"


def shown_expectation(each: Expectation) -> str:
    """An expectation on one line, in the words of the file."""
    line = f"{each.kind} {getattr(each, each.kind)}"
    if each.rule is not None:
        line += f" of {each.rule}"
    if each.target is not None:
        line += f" on {each.target}"
    if each.channel is not None:
        line += f" in {each.channel}"
    more = [f"{each.outcome or ''}{f' ({each.reason})' if each.reason else ''}"]
    more += [f"steps {', '.join(each.steps) or 'none'}"] if each.steps is not None else []
    more += [f"{each.joins} joined"] if each.joins is not None else []
    more += [f"ends {_clock(each.ends)}"] if each.ends is not None else []
    more += [f"says {each.says!r}"] if each.says is not None else []
    said = ", ".join(part for part in more if part)
    return f"{line}: {said}" if said else line


def text(outcome: Outcome) -> str:
    """The timeline as plain text."""
    return "\n".join(f"{row.mark:>10}  {row.at:>8}  {row.text}" for row in rows(outcome))


def junit(outcomes: Sequence[tuple[Outcome, float]], errors: Sequence[tuple[str, str]]) -> str:
    """A JUnit report: a suite for each file, with the seconds that each test took."""
    root = ET.Element("testsuites")
    for file, some in groupby(outcomes, key=lambda each: each[0].story.place.file):
        suite = ET.SubElement(root, "testsuite", name=file)
        cases = list(some)
        for outcome, seconds in cases:
            name = _printable(outcome.story.test.name)
            case = ET.SubElement(suite, "testcase", classname=file, name=name, time=f"{seconds:.3f}")
            if not outcome.passed:
                failure = ET.SubElement(case, "failure", message=_printable(summary(outcome)))
                failure.text = _printable(text(outcome))
        failed = sum(not outcome.passed for outcome, _ in cases)
        suite.attrib |= {"tests": str(len(cases)), "failures": str(failed), "errors": "0"}
    if errors:
        suite = ET.SubElement(
            root, "testsuite", name="files", tests=str(len(errors)), errors=str(len(errors))
        )
        for place, message in errors:
            case = ET.SubElement(suite, "testcase", classname="files", name=_printable(place))
            ET.SubElement(case, "error", message=_printable(message))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def summary(outcome: Outcome) -> str:
    """What is wrong with a test, on one line."""
    bad = [row for row in rows(outcome) if row.mark in (MISSING, UNEXPECTED, EXPECTED, PROBLEM)]
    return "; ".join(f"{row.mark} {row.at} {row.text}".replace("  ", " ") for row in bad[:5])


def document(outcome: Outcome, seconds: float) -> dict[str, Any]:
    """A test's outcome as JSON has it."""
    place = outcome.story.place
    return {
        "file": place.file,
        "line": place.line,
        "name": outcome.story.test.name,
        "passed": outcome.passed,
        "seconds": round(seconds, 3),
        "played": format_duration(timedelta(seconds=int((outcome.ended - outcome.began).total_seconds()))),
        "timeline": [{"mark": row.mark, "at": row.at, "text": row.text} for row in rows(outcome)],
    }


def _printable(said: str) -> str:
    return said.translate(_UNPRINTABLE)


def _clock(offset: timedelta) -> str:
    seconds = int(offset.total_seconds())
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
