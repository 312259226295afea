"""Notices as lines of the log: a channel of its own, and what stands in for one that isn't configured."""

from __future__ import annotations

import logging

import structlog

from remediator.core.notices import Envelope, Notice, Tone
from remediator.core.ports.channels import Delivered, Delivery
from remediator.notify.text import clean, flat

_log = structlog.get_logger("remediator.notices")

_WORRYING = frozenset({Tone.BAD, Tone.UNSURE})


class LogNotifier:
    """Writes each notice as one event: pages as errors, what went wrong as warnings, the rest as information.

    ``scheme`` is the one that it stands in for: with neither a Slack token nor a webhook, ``slack``.
    """

    def __init__(self, scheme: str = "log") -> None:
        self._scheme = scheme

    @property
    def scheme(self) -> str:
        return self._scheme

    async def deliver(self, envelope: Envelope, *, head: str, sent: str) -> Delivery:  # noqa: ARG002 - the port's
        """Log one envelope; always delivered."""
        notice = envelope.notice
        _log.log(_level(notice), flat(notice.title), **_values(envelope))
        return Delivered()


def _level(notice: Notice) -> int:
    if notice.page:
        return logging.ERROR
    return logging.WARNING if notice.tone in _WORRYING else logging.INFO


def _values(envelope: Envelope) -> dict[str, object]:
    """What a notice says, without what it leaves empty."""
    notice = envelope.notice
    choices = [choice.command for choice in notice.choices]
    values: dict[str, object] = {
        "channel": flat(envelope.channel),
        "notice": notice.kind.value,
        "tone": notice.tone.value,
        "severity": flat(notice.severity),
        "page": notice.page,
        "summary": flat(notice.summary),
        "fields": {flat(name): flat(value) for name, value in notice.fields},
        "lines": [flat(line) for line in notice.lines],
        "diff": clean(notice.diff),
        "commands": [flat(command) for command in (*choices, *notice.commands)],
        "run": notice.run,
        "more": max(notice.count - 1, 0),
    }
    return {name: value for name, value in values.items() if value}
