"""What the answers of web APIs have in common: when to come again, and what went wrong without a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

#: However long a 429 asks us to wait, it is asked again after a day.
LONGEST_WAIT = timedelta(days=1)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """When an answer asks to be asked again, ``None`` if it does not say so in seconds."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value.strip()):
        return None
    return min(timedelta(seconds=float(value)), LONGEST_WAIT)


def kind_of(error: BaseException) -> str:
    """What went wrong, in words that name no URL: a URL may be a secret."""
    reason = getattr(getattr(error, "os_error", error), "strerror", None)
    return f"{type(error).__name__}: {reason}" if isinstance(reason, str) else type(error).__name__


def is_url(url: str) -> bool:
    """Whether something can be posted there at all."""
    try:
        address = urlsplit(url)
    except ValueError:
        return False
    return address.scheme in ("http", "https") and bool(address.hostname)
