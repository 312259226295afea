"""Where Remediator reads fewer matchers than Alertmanager does, on purpose."""

from __future__ import annotations

import re

_IN_QUOTES = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def stricter(text: str, value: str) -> bool:
    """Whether we refuse a matcher that Alertmanager takes: one entry is one matcher, and parentheses match.

    It splits at commas, drops braces, and compiles ``^(?:VALUE)$``, which lets ``a)|(b`` through.
    """
    outside = _IN_QUOTES.sub("", text)
    return not {*",{}"}.isdisjoint(outside) or _closes_too_much(value)


def _closes_too_much(pattern: str) -> bool:
    depth = 0
    for part in re.findall(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]", pattern, re.DOTALL):
        depth += {"(": 1, ")": -1}.get(part, 0)
        if depth < 0:
            return True
    return False
