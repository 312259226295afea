"""What can't be delivered for good is alarmed, and a page of it goes to the log: no page vanishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from remediator.core.notices import Envelope, Lane, NoticeKind
from remediator.core.ports.channels import Delivered, Delivery, Notifier, Rejected
from remediator.engine.outbox import OutboxLoop
from remediator.notify.log import LogNotifier
from tests.store.values import an_envelope
from tests.unit.engine.parts import Parts, engine_parts


class _Channels:
    """A scheme whose channels are all gone but one."""

    scheme = "slack"

    def __init__(self) -> None:
        self.delivered: list[Envelope] = []

    async def deliver(self, envelope: Envelope, *, head: str, sent: str) -> Delivery:
        del head, sent
        if envelope.channel == "slack:#gone":
            return Rejected("channel_not_found")
        self.delivered.append(envelope)
        return Delivered()


def a_page(channel: str) -> Envelope:
    report = an_envelope("cart: FAILED", channel=channel, lane=Lane.PAGES)
    return replace(report, notice=replace(report.notice, page=True))


async def deliver(parts: Parts, lane: Lane, notifiers: Mapping[str, Notifier]) -> None:
    loop = OutboxLoop(parts.store, parts.engine.metrics, notifiers, parts.alarms, lane)
    for _ in range(10):
        if not await loop.work():
            return
    raise AssertionError("the outbox does not come to an end")


async def test_a_page_that_its_channel_rejects_is_told_by_the_others_and_by_the_log(tmp_path: Path) -> None:
    async with engine_parts(tmp_path) as parts:
        await parts.store.post([a_page("slack:#gone"), a_page("slack:#here")])
        here = _Channels()
        with capture_logs() as logs:
            await deliver(parts, Lane.PAGES, {"slack": here, "log": LogNotifier()})
        assert [envelope.channel for envelope in here.delivered] == ["slack:#here"]
        assert [line["log_level"] for line in logs if line["event"] == "cart: FAILED"] == ["error"]
        given_up = [line for line in logs if line["event"] == "notice given up"]
        assert [(line["log_level"], line["title"]) for line in given_up] == [("error", "cart: FAILED")]
        assert "channel_not_found: cart: FAILED" in (await parts.alarmed())["notice_parked"]
        assert (await parts.store.backlog()).parked_notices == 1


async def test_a_report_that_is_rejected_is_alarmed_and_not_told_again(tmp_path: Path) -> None:
    async with engine_parts(tmp_path) as parts:
        await parts.store.post([an_envelope("one", channel="slack:#gone")])
        await deliver(parts, Lane.REPORTS, {"slack": _Channels(), "log": LogNotifier()})
        assert "one" in (await parts.alarmed())["notice_parked"]
        assert (await parts.store.backlog()).by_lane.get(Lane.PAGES, 0) == 0


@pytest.mark.parametrize("channel", ["slack:#gone", "log"])
async def test_giving_up_comes_to_an_end(tmp_path: Path, channel: str) -> None:
    """Neither an alarm about a lost channel nor a page that not even the log takes goes round in circles."""
    async with engine_parts(tmp_path) as parts:
        alarm = an_envelope("an alarm", channel=channel)
        alarm = replace(alarm, notice=replace(alarm.notice, kind=NoticeKind.ALARM))
        await parts.store.post([alarm, a_page(channel)])
        await deliver(parts, Lane.REPORTS, {"slack": _Channels()})
        assert await parts.alarmed() == {}
        await deliver(parts, Lane.PAGES, {"slack": _Channels()})
