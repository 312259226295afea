"""When, in rule files: schedules as cron has them, and timezones."""

from __future__ import annotations

import re
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import PlainValidator

from remediator.rulebook.fields import json_schema, text
from remediator.rulebook.problems import nearest, shown

_CRON_RANGES = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_CRON_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/([1-9]\d?))?")


def _cron(value: object) -> str:
    written = text(value, "a schedule of five fields such as 0 2 * * *")
    fields = written.split()
    if len(fields) != len(_CRON_RANGES):
        message = (
            f"{shown(written)} has {len(fields)} fields: "
            "write five (minute hour day month weekday), such as 0 2 * * *"
        )
        raise ValueError(message)
    for field, (name, lowest, highest) in zip(fields, _CRON_RANGES, strict=True):
        if not all(_fits_cron(part, lowest, highest) for part in field.split(",")):
            message = (
                f"{name} {shown(field)} does not fit: "
                f"write *, */5, 1-5 or 1,3 with numbers from {lowest} to {highest}"
            )
            raise ValueError(message)
    return " ".join(fields)


def _fits_cron(part: str, lowest: int, highest: int) -> bool:
    found = _CRON_PART.fullmatch(part)
    if found is None:
        return False
    bounds = [int(bound) for bound in (found[1], found[2]) if bound is not None]
    return all(lowest <= bound <= highest for bound in bounds) and bounds == sorted(bounds)


def _timezone(value: object) -> str:
    written = text(value, "a timezone such as Europe/London")
    try:
        ZoneInfo(written)
    except (ValueError, LookupError, OSError):
        from zoneinfo import available_timezones

        message = f"unknown timezone {shown(written)}: {nearest(written, sorted(available_timezones()))}"
        raise ValueError(message) from None
    return written


Cron = Annotated[str, PlainValidator(_cron), json_schema("string", "0 2 * * *")]
Timezone = Annotated[str, PlainValidator(_timezone), json_schema("string", "Europe/London")]
