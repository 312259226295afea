"""Durations as Prometheus writes them: ``30s``, ``8m``, ``1h30m``, ``7d``."""

from __future__ import annotations

import re
from datetime import timedelta

_SECONDS = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_WHOLE = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")
_LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """Read a duration such as ``1h30m``; units are ``w d h m s ms``, largest first.

    Raises:
        ValueError: the text is no such duration, or is longer than ten years.
    """
    found = _WHOLE.fullmatch(text)
    if found is None or not text:
        if text == "0":
            return timedelta(0)
        message = f"{text!r} is no duration: write a number and a unit, such as 30s, 8m, 1h30m or 7d"
        raise ValueError(message)
    seconds = sum(
        int(count) * _SECONDS[unit] for unit, count in zip(_SECONDS, found.groups(), strict=True) if count
    )
    if seconds > _LONGEST.total_seconds():
        message = f"{text!r} is longer than ten years"
        raise ValueError(message)
    return timedelta(seconds=seconds)


def format_duration(length: timedelta) -> str:
    """Write a duration as :func:`parse_duration` reads it, in at most two units (``1h30m``, ``45s``)."""
    milliseconds = round(length.total_seconds() * 1000)
    if milliseconds < 0:
        return "-" + format_duration(-length)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    seconds = round(milliseconds / 1000)
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, int(_SECONDS[unit]))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])
