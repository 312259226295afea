"""What can't be delivered for good is alarmed, and a page of it goes to the log: no page vanishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from remediator.core.notices import Envelope, Lane, NoticeKind, Signal
from remediator.core.ports.channels import Delivered, Delivery, Notifier, Rejected, TryAgain
from remediator.engine.outbox import OutboxLoop
from remediator.notify.log import LogNotifier
from tests.store.values import CLAIM, an_envelope
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
    loop = OutboxLoop(parts.store, parts.engine.metrics, notifiers, parts.alarms, lane, CLAIM)
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


class _Pager:
    """A pager that answers as it is told to."""

    scheme = "pagerduty"

    def __init__(self, *answers: Delivery) -> None:
        self.answers = list(answers)

    async def deliver(self, envelope: Envelope, *, head: str, sent: str) -> Delivery:
        del envelope, head, sent
        return self.answers.pop(0)


def a_call(signal: Signal = Signal.TRIGGER) -> Envelope:
    otherwise = ("slack:#here",) if signal is Signal.TRIGGER else ()
    return replace(a_page("pagerduty"), signal=signal, otherwise=otherwise)


async def tried(parts: Parts, pager: _Pager, slack: _Channels, times: int) -> list[str]:
    """Where the page was told beside the pager, round by round of the outbox."""
    notifiers: Mapping[str, Notifier] = {"pagerduty": pager, "slack": slack}
    loop = OutboxLoop(parts.store, parts.engine.metrics, notifiers, parts.alarms, Lane.PAGES, CLAIM)
    told = []
    for _ in range(times):
        await loop.work()
        told.append(",".join(envelope.channel for envelope in slack.delivered))
    return told


async def test_a_call_that_its_pager_rejects_goes_to_the_channels_that_stand_in_for_it(
    tmp_path: Path,
) -> None:
    async with engine_parts(tmp_path) as parts:
        await parts.store.post([a_call()])
        slack = _Channels()
        assert await tried(parts, _Pager(Rejected("invalid key")), slack, 2) == ["", "slack:#here"]
        assert slack.delivered[0].notice.page
        assert slack.delivered[0].otherwise == ()
        assert "invalid key" in (await parts.alarmed())["notice_parked"]


@pytest.mark.parametrize("signal", [Signal.ACKNOWLEDGE, Signal.RESOLVE])
async def test_what_only_a_pager_understands_is_told_nowhere_else(tmp_path: Path, signal: Signal) -> None:
    async with engine_parts(tmp_path) as parts:
        await parts.store.post([a_call(signal)])
        slack = _Channels()
        assert await tried(parts, _Pager(Rejected("invalid key")), slack, 2) == ["", ""]
        assert (await parts.store.backlog()).by_lane.get(Lane.PAGES, 0) == 0


async def test_a_call_that_a_pager_does_not_take_for_long_is_told_elsewhere_too_and_once(
    tmp_path: Path,
) -> None:
    async with engine_parts(tmp_path) as parts:
        await parts.store.post([a_call()])
        at_once = TryAgain("HTTP 503", timedelta(microseconds=1))
        slack = _Channels()
        told = await tried(parts, _Pager(*[at_once] * 4, Delivered()), slack, 5)
        assert told == ["", "", "", "slack:#here", "slack:#here"]
        assert (await parts.store.backlog()).by_lane.get(Lane.PAGES, 0) == 0


async def test_a_pager_that_asks_for_more_patience_than_a_page_has_is_not_waited_for(tmp_path: Path) -> None:
    async with engine_parts(tmp_path) as parts:
        await parts.store.post([a_call()])
        slack = _Channels()
        busy = TryAgain("HTTP 429", timedelta(minutes=10))
        assert await tried(parts, _Pager(busy), slack, 2) == ["", "slack:#here"]
        assert (await parts.store.backlog()).by_lane[Lane.PAGES] == 1
