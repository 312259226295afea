"""Notices as events of PagerDuty's Events API v2. Pure.

Limits: https://developer.pagerduty.com/docs/send-alert-event (summary, dedup key) and
https://developer.pagerduty.com/docs/events-api-v2-overview#size-limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec

from remediator.core.notices import Envelope, Notice, Signal
from remediator.notify.text import clean, flat

SUMMARY = 1_024
DEDUP_KEY = 255
#: Bytes, of PagerDuty's 512,000: the routing key fits beside it.
EVENT = 500_000

#: By severity; one of a rulebook's own names is an error.
_SEVERITIES = {"P0": "critical", "P1": "error", "P2": "warning", "P3": "info"}
_CLIENT = "Remediator"
#: What is cut, in this order, when an event is too large: the least telling first.
_CUT = ("diff", "timeline", "labels", "guards", "facts")

Event = dict[str, Any]


def event_of(envelope: Envelope) -> Event:
    """The event of an envelope, but for its routing key: the thread is the incident."""
    signal = envelope.signal or Signal.TRIGGER
    event: Event = {"event_action": signal.value, "dedup_key": dedup_key(envelope.thread)}
    if signal is Signal.TRIGGER:
        event |= {"client": _CLIENT, "payload": _payload(envelope)}
        _shrink(event)
    return event


def dedup_key(thread: str) -> str:
    """A thread's key, always the same: the thread itself, or what is left of it and its digest."""
    if len(thread) <= DEDUP_KEY and thread.isprintable():
        return thread
    digest = sha256(thread.encode(errors="surrogatepass")).hexdigest()
    return f"{flat(thread)[: DEDUP_KEY - len(digest) - 1]}:{digest}"


def _payload(envelope: Envelope) -> Event:
    notice, call = envelope.notice, envelope.call
    target = call.target if call else ""
    payload = {
        "summary": _summary(notice),
        "source": flat(target) or _CLIENT.lower(),
        "severity": _SEVERITIES.get(notice.severity, "error"),
        "class": flat(call.rule) if call else notice.kind.value,
        "component": target.rpartition("/")[2],
    }
    known = {name: value for name, value in payload.items() if value}
    return {**known, "custom_details": dict(_details(notice))}


def _summary(notice: Notice) -> str:
    said = [f"[{flat(notice.severity)}]"] if notice.severity else []
    said += [flat(notice.title) or "(no title)"]
    said += ["–", flat(notice.summary)] if notice.summary else []
    text = " ".join(said)
    return text if len(text) <= SUMMARY else f"{text[: SUMMARY - 1]}…"


def _details(notice: Notice) -> Iterator[tuple[str, object]]:
    """What was known: each field by its name, then the evidence. Facts among the fields are told there."""
    if notice.summary:
        yield "summary", clean(notice.summary)
    for name, value in notice.fields:
        if ": " not in name:
            yield flat(name).lower(), clean(value)
    for name, lines in notice.evidence:
        yield name, [flat(line) for line in lines]
    if notice.lines:
        yield "timeline", [flat(line) for line in notice.lines]
    if notice.diff.strip():
        yield "diff", clean(notice.diff)
    if notice.commands:
        yield "commands", [flat(command) for command in notice.commands]
    if notice.run:
        yield "run", notice.run
    if notice.count > 1:
        yield "count", notice.count


def _shrink(event: Event) -> None:
    """Cut what an event that is too large can do without, and say so in its place."""
    details: dict[str, object] = event["payload"]["custom_details"]
    for name in _CUT:
        excess = _size(event) - EVENT
        if excess <= 0:
            return
        if name in details:
            details[name] = _cut(details[name], excess)
    if _size(event) > EVENT:
        event["payload"]["custom_details"] = {"cut": f"{_size(details):,} bytes of details: see the report"}


def _cut(value: object, excess: int) -> object:
    """A text's beginning, or a list's end, some ``excess`` bytes shorter; or how much it was."""
    if isinstance(value, str):
        kept = value.encode()[: max(len(value.encode()) - excess - 100, 0)].decode(errors="ignore")
        return f"{kept}\n… ({len(value) - len(kept):,} characters cut)"
    lines = list(value) if isinstance(value, list) else [value]
    kept_lines: list[object] = []
    room = _size(lines) - excess - 100
    for line in reversed(lines):
        room -= _size(line) + 1
        if room < 0:
            break
        kept_lines.insert(0, line)
    return [f"… ({len(lines) - len(kept_lines):,} earlier lines cut)", *kept_lines]


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))
