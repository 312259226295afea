"""Inquiries: asks every Alertmanager for what truncated webhooks left out, until one knows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from remediator.core.answers import Answer, Heard, Silent
from remediator.core.durations import format_duration
from remediator.core.events import Event, EventKind
from remediator.core.inquiries import Inquiry, reply
from remediator.core.matchers import Matcher, Operator
from remediator.core.ports.store import StoreUnavailableError, Topic
from remediator.engine.alarms import Alarms
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts
from remediator.engine.payload import put_together

_log = structlog.get_logger(__name__)
_AT_ONCE = 8
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=10)
#: How long after the last webhook that left something out it is still asked for; it is told again meanwhile,
#: since Alertmanager repeats what fires every four hours unless told otherwise.
LAPSES_AFTER = timedelta(hours=24)


class InquiryLoop(Loop):
    """From inquiries to webhooks, which the intake then takes in as it does all others."""

    name = "inquiries"
    topic = Topic.INQUIRIES

    def __init__(self, parts: EngineParts, alarms: Alarms) -> None:
        super().__init__(parts.store, parts.metrics)
        self._claim = parts.claim
        self._alertmanagers = parts.alertmanagers
        self._alarms = alarms

    async def work(self) -> bool:
        due = await self.store.due_inquiries(_AT_ONCE, self._claim)
        heard = await asyncio.gather(*(self._ask(inquiry) for inquiry in due))
        for inquiry, answers in zip(due, heard, strict=True):
            try:
                await self._settle(inquiry, answers)
            except StoreUnavailableError:
                raise
            except Exception:  # noqa: BLE001 - one bad answer never stops the others
                _log.exception("inquiry not settled, asked again later", **_told(inquiry))
        return len(due) == _AT_ONCE

    async def _ask(self, inquiry: Inquiry) -> list[Heard]:
        group = inquiry.left_out.group
        matchers = [Matcher(name, Operator.EQUAL, value) for name, value in group.items()]
        return await self._alertmanagers.ask(matchers, inquiry.left_out.receiver)

    async def _settle(self, inquiry: Inquiry, heard: Sequence[Heard]) -> None:
        found = reply(inquiry.left_out, heard)
        body = put_together(inquiry.left_out, found.alerts) if found.alerts else None
        now = await self.store.now()
        if found.complete:
            told = {
                "alerts": len(found.alerts),
                "by": [each.url for each in heard if isinstance(each, Answer)],
            }
            event = Event(EventKind.INQUIRY_ANSWERED, now, {**_told(inquiry), **told})
            await self.store.settle_inquiry(inquiry, body, None, [event])
        elif now - inquiry.wanted_at >= LAPSES_AFTER:
            event = Event(EventKind.INQUIRY_LAPSED, now, _told(inquiry))
            await self.store.settle_inquiry(inquiry, body, None, [event])
            self._complain(inquiry, heard, f"given up after {format_duration(LAPSES_AFTER)}")
        else:
            pause = _backoff(inquiry.tries)
            await self.store.settle_inquiry(inquiry, body, pause)
            self._complain(inquiry, heard, f"asked again in {format_duration(pause)}")
        self.metrics.alerts_asked_for(len(found.alerts))

    def _complain(self, inquiry: Inquiry, heard: Sequence[Heard], then: str) -> None:
        silent = [f"{each.url}: {each.why}" for each in heard if isinstance(each, Silent)]
        why = "; ".join(silent) or "none to ask is named by REMEDIATOR_ALERTMANAGER_URL"
        left_out = inquiry.left_out
        group = ", ".join(f"{name}={value}" for name, value in sorted(left_out.group.items()))
        what = f"alerts left out of the last webhook about {group or 'one group'}: {left_out.count}"
        self._alarms.alarm("inquiry_unanswered", f"{what}; no Alertmanager tells of them: {why}; {then}")


def _told(inquiry: Inquiry) -> dict[str, object]:
    """What an event and the log tell of it."""
    left_out = inquiry.left_out
    return {
        "source": inquiry.source,
        "receiver": left_out.receiver,
        "group": dict(left_out.group),
        "left_out": left_out.count,
    }


def _backoff(tries: int) -> timedelta:
    return min(_FIRST_PAUSE * (1 << min(tries, 20)), _LONGEST_PAUSE)
