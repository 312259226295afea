"""A second opinion on mrkdwn: what of a text Slack would obey, read with no help from the code under test."""

from __future__ import annotations

import re

_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_OBEYED = re.compile(
    r"<[^>]*>?|>"  # mentions, links, special sequences, and halves of them
    r"|\*[^\n]*?\*|[_~`@]|\*"  # formatting, whole or half, and bare mentions
    r"|://|mailto:"
    r"|:[^\s:]*[^\s:\d][^\s:]*:|:\d{3,}:"  # :emoji:, of which a time of day is none
    r"|^(?:&gt;|#)\S*"  # quotes and channel names
    r"|&(?!amp;|lt;|gt;)",
    re.MULTILINE,
)


def obeyed(text: str) -> list[str]:
    """Everything in a mrkdwn text that would be more to Slack than the characters it consists of."""
    return _OBEYED.findall(_CODE.sub("x", text))


def seen(text: str) -> str:
    """The text as a person sees it: code without its backticks, entities as what they stand for."""
    shown = re.sub(
        r"```\n?(.*?)\n?```|`([^`\n]+)`", lambda found: found[1] or found[2], text, flags=re.DOTALL
    )
    return shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
