"""Freezes as they are written: from a day, an instant or a time of the week, to another of the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import PlainValidator, WithJsonSchema

from remediator.core.freezes import Dates, Freeze, Weekly
from remediator.core.selections import Selection
from remediator.rulebook.problems import shown

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(r"(?i)([a-z]{3})[a-z]*\s+(\d{1,2}):(\d{2})")
_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{1,2}:\d{2}))?")
_REMEDY = "write a day such as 2026-12-20, a time such as 2026-12-20 18:00, or one of every week, fri 18:00"


@dataclass(frozen=True, slots=True)
class Moment:
    """What stands behind ``from`` or ``to``: a whole day, a time on a day, or a time of every week."""

    day: date | None
    of_day: timedelta | None
    of_week: timedelta | None = None

    @property
    def form(self) -> str:
        """What it is, for people."""
        return "a time of every week" if self.of_week is not None else "a date"

    def instant(self, zone: ZoneInfo, *, last: bool) -> datetime:
        """The instant of a date in a timezone; of a whole day its end if it is the ``last`` one."""
        if self.day is None:
            raise AssertionError
        whole = timedelta(days=1) if last else timedelta(0)
        return datetime.combine(self.day, time(), zone) + (whole if self.of_day is None else self.of_day)


def _moment(value: object) -> Moment:
    written = value.strip() if isinstance(value, str) else ""
    found = _weekly(written) or _dated(written)
    if found is None:
        message = f"{shown(value)} is no time: {_REMEDY}"
        raise ValueError(message)
    return found


def _weekly(written: str) -> Moment | None:
    found = _WEEKLY.fullmatch(written)
    if found is None or found[1].lower() not in DAYS:
        return None
    of_day = _of_day(f"{found[2]}:{found[3]}")
    if of_day is None:
        return None
    return Moment(None, None, timedelta(days=DAYS.index(found[1].lower())) + of_day)


def _of_day(written: str) -> timedelta | None:
    """A time of day, 24:00 included."""
    hours, minutes = map(int, written.split(":"))
    length = timedelta(hours=hours, minutes=minutes)
    return length if minutes < 60 and length <= timedelta(days=1) else None


def _dated(written: str) -> Moment | None:
    found = _INSTANT.fullmatch(written)
    try:
        day = date.fromisoformat(found[1]) if found else None
    except ValueError:
        day = None
    if found is None or day is None:
        return None
    if found[2] is None:
        return Moment(day, None)
    of_day = _of_day(found[2])
    return None if of_day is None else Moment(day, of_day)


FreezeMoment = Annotated[
    Moment,
    PlainValidator(_moment),
    WithJsonSchema({"type": "string", "examples": ["2026-12-20", "2026-12-20 18:00", "fri 18:00"]}),
]


def compiled(
    summary: str,
    begins: Moment,
    ends: Moment,
    timezone: str,
    covered: Selection,
    wrong: Callable[[str], None],
) -> Freeze | None:
    """A freeze; why it is none is told to ``wrong``."""
    if begins.form != ends.form:
        wrong(f"`from` is {begins.form} and `to` is {ends.form}: write both alike")
        return None
    zone = ZoneInfo(timezone)
    if begins.of_week is not None and ends.of_week is not None:
        if begins.of_week == ends.of_week:
            wrong("this lasts no time, or always: `from` and `to` are the same; to stop everything, pause")
            return None
        return Freeze(summary, Weekly(begins.of_week, ends.of_week, zone), covered)
    first, last = begins.instant(zone, last=False), ends.instant(zone, last=True)
    if last <= first:
        wrong("`to` does not lie behind `from`: write the later one there")
        return None
    return Freeze(summary, Dates(first, last), covered)
