"""Durations as Prometheus writes them: ``30s``, ``8m``, ``1h30m``, ``7d``."""

from __future__ import annotations

import re
from datetime import timedelta
from operator import mul

_MILLISECONDS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_WHOLE = re.compile(
    "(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m(?!s))?(?:([0-9]+)s)?(?:([0-9]+)ms)?"
)
_LONGEST = timedelta(days=3650)
#: More than the longest has in the smallest unit; far more, and Python refuses to read the number.
_MOST_DIGITS = 20


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
    counts = [count.lstrip("0") or "0" for count in found.groups(default="0")]
    if max(map(len, counts)) <= _MOST_DIGITS:
        milliseconds = sum(map(mul, map(int, counts), _MILLISECONDS.values()))
        if milliseconds <= _LONGEST // timedelta(milliseconds=1):
            return timedelta(milliseconds=milliseconds)
    message = f"{text if len(text) <= 60 else text[:57] + '...'!r} is longer than ten years"
    raise ValueError(message)


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
        count, seconds = divmod(seconds, _MILLISECONDS[unit] // 1000)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])
