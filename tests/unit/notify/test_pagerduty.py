"""What PagerDuty answers becomes a value; nothing raises, nothing is retried here, and no key is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.clients.pagerduty import PagerDuty
from remediator.core.notices import Envelope, Notice, NoticeKind, Signal, Tone
from remediator.core.ports.channels import Delivered, Delivery, Rejected, TryAgain
from remediator.notify.pagerduty import PagerDutyNotifier
from remediator.sandbox.faults import Answer, DropReply, Fault, Hang, Refuse
from remediator.sandbox.pagerduty import ROUTING_KEY, PagerDutyReceiver, Status
from tests.unit.notify.servers import answering

SOON = timedelta(seconds=2)
LEAD = "1eadkey01eadkey01eadkey01eadkey0"
PAGE = Envelope(
    "pagerduty",
    "page:r-1",
    Notice(NoticeKind.RUN, "cart: FAILED", Tone.BAD, "P1", page=True),
    signal=Signal.TRIGGER,
)


def notifier(url: str, **keys: str) -> PagerDutyNotifier:
    return PagerDutyNotifier(PagerDuty(url, timeout=SOON), {"": ROUTING_KEY, **keys})


async def send(url: str, envelope: Envelope = PAGE) -> Delivery:
    return await notifier(url).deliver(envelope, head="", sent="")


def signalling(signal: Signal) -> Envelope:
    return replace(PAGE, signal=signal)


async def test_an_incident_is_triggered_acknowledged_and_resolved() -> None:
    async with PagerDutyReceiver() as pagerduty:
        for signal, status in [
            (Signal.TRIGGER, Status.TRIGGERED),
            (Signal.ACKNOWLEDGE, Status.ACKNOWLEDGED),
            (Signal.TRIGGER, Status.ACKNOWLEDGED),
            (Signal.RESOLVE, Status.RESOLVED),
        ]:
            assert await send(pagerduty.url, signalling(signal)) == Delivered("page:r-1")
            assert [incident.status for incident in pagerduty.incidents] == [status]
        assert pagerduty.refused == []


async def test_a_channel_may_refer_to_where_its_routing_key_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "lead"
    async with PagerDutyReceiver(keys=(ROUTING_KEY, LEAD)) as pagerduty:
        for channel in ("pagerduty:env=LEAD_KEY", f"pagerduty:file={kept}"):
            missing = await send(pagerduty.url, replace(PAGE, channel=channel))
            assert isinstance(missing, Rejected)
            assert "there is no routing key: " in missing.detail
            monkeypatch.setenv("LEAD_KEY", LEAD)
            kept.write_text(f"{LEAD}\n")
            assert isinstance(await send(pagerduty.url, replace(PAGE, channel=channel)), Delivered)
            kept.unlink()
        assert [event.routing_key for event in pagerduty.events] == [LEAD, LEAD]


async def test_a_named_channel_has_a_routing_key_of_its_own() -> None:
    async with PagerDutyReceiver(keys=(ROUTING_KEY, LEAD)) as pagerduty:
        to_lead = replace(PAGE, channel="pagerduty:lead")
        assert isinstance(
            await notifier(pagerduty.url, lead=LEAD).deliver(to_lead, head="", sent=""), Delivered
        )
        assert [event.routing_key for event in pagerduty.events] == [LEAD]


@pytest.mark.parametrize(
    ("channel", "keys", "said"),
    [
        ("pagerduty:leda", {"": ROUTING_KEY}, "add a line leda:KEY"),
        ("pagerduty", {"lead": LEAD}, "add one without"),
    ],
)
async def test_a_channel_without_a_key_is_rejected_and_says_what_to_add(
    channel: str, keys: dict[str, str], said: str
) -> None:
    without = PagerDutyNotifier(PagerDuty("http://127.0.0.1:1"), keys)
    told = await without.deliver(replace(PAGE, channel=channel), head="", sent="")
    assert isinstance(told, Rejected)
    assert said in told.detail


@pytest.mark.parametrize(
    ("fault", "after", "said"),
    [
        (Answer(429, retry_after=30), timedelta(seconds=30), "throttle"),
        (Answer(429, retry_after=10**8), timedelta(days=1), "throttle"),
        (Answer(429), None, "throttle"),
        (Answer(500), None, "HTTP 500"),
        (Answer(503, retry_after=7), timedelta(seconds=7), "HTTP 503"),
        (Hang(), None, "did not answer within 2 s"),
        (Refuse(), None, "can't be reached (ServerDisconnectedError"),
        (DropReply(), None, "can't be reached (ServerDisconnectedError"),
    ],
    ids=str,
)
async def test_what_may_pass_is_tried_again(fault: Fault, after: timedelta | None, said: str) -> None:
    async with PagerDutyReceiver() as pagerduty:
        planned = pagerduty.faults.add(lambda _: True, fault)
        told = await send(pagerduty.url)
        assert isinstance(told, TryAgain)
        assert told.after == after
        assert said in told.detail
        assert planned.hits == 1, "the outbox retries, nothing else does"
        assert isinstance(await send(pagerduty.url), Delivered)
        assert len(pagerduty.incidents) == 1


async def test_a_pagerduty_that_is_down_is_tried_again() -> None:
    async with PagerDutyReceiver() as pagerduty:
        await pagerduty.down()
        told = await send(pagerduty.url)
        assert isinstance(told, TryAgain)
        assert "can't be reached" in told.detail


async def test_a_wrong_key_is_rejected_with_its_remedy_and_not_told() -> None:
    async with PagerDutyReceiver(keys=(LEAD,)) as pagerduty:
        told = await send(pagerduty.url)
    assert isinstance(told, Rejected)
    assert told.detail.startswith(
        "PagerDuty says HTTP 400 (Invalid routing key): mend REMEDIATOR_PAGERDUTY_R"
    )
    assert ROUTING_KEY not in told.detail


async def test_a_key_that_an_answer_quotes_is_masked() -> None:
    body = f'{{"status": "invalid key", "message": "no service has {ROUTING_KEY}"}}'
    async with answering(400, body, "application/json") as url:
        told = await send(url)
    assert isinstance(told, Rejected)
    assert ROUTING_KEY not in told.detail
    assert "no service has ***" in told.detail


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (404, "nowhere", Rejected, "mend REMEDIATOR_PAGERDUTY_URL"),
        (302, "", Rejected, "mend REMEDIATOR_PAGERDUTY_URL"),
        (413, "", Rejected, "please report it"),
        (403, '{"status": "forbidden"}', Rejected, "forbidden"),
        (200, "<html>log in</html>", TryAgain, "something else answers"),
        (202, "<html>log in</html>", TryAgain, "something else answers"),
        (502, "<html>bad gateway</html>", TryAgain, "HTTP 502"),
        (408, "", TryAgain, "HTTP 408"),
    ],
)
async def test_other_answers_are_told_for_what_they_are(
    status: int, body: str, kind: type[Any], said: str
) -> None:
    async with answering(status, body, "text/html") as url:
        told = await send(url)
    assert isinstance(told, kind)
    assert not isinstance(told, Delivered)
    assert said in told.detail


@pytest.mark.parametrize("url", ["", "events.pagerduty.com", "http://", "http://[::1/v2/enqueue"])
async def test_an_address_that_is_none_is_rejected(url: str) -> None:
    told = await send(url)
    assert isinstance(told, Rejected)
    assert "mend REMEDIATOR_PAGERDUTY_URL" in told.detail
