"""A run is one thread, its head is kept up to date, and nothing that people must see goes missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.clients.slack import SlackBot, SlackWebhook
from remediator.core.notices import Envelope, Lane, Notice, NoticeKind, Tone
from remediator.core.ports.channels import Delivered, Notifier, Rejected, TryAgain
from remediator.notify.log import LogNotifier
from remediator.notify.slack import SlackNotifier
from remediator.sandbox.faults import Answer
from remediator.sandbox.slack import WEBHOOK_CHANNEL, SlackReceiver
from tests.unit.notify.hostile import HOSTILE


def _bot(slack: SlackReceiver) -> SlackNotifier:
    return SlackNotifier(bot=SlackBot(slack.token, api_url=slack.api_url))


def _webhook(slack: SlackReceiver) -> SlackNotifier:
    return SlackNotifier(webhook=SlackWebhook(slack.webhook_url))


def _envelope(
    title: str = "acting",
    *,
    final: bool = False,
    page: bool = False,
    key: str = "head",
    standalone: bool = False,
) -> Envelope:
    notice = Notice(NoticeKind.RUN, title, Tone.WORKING, final=final, page=page)
    lane = Lane.PAGES if page else Lane.REPORTS
    return Envelope("slack:#incidents", "run:r-1", notice, key, lane, standalone)


async def _ref(notifier: Notifier, envelope: Envelope, head: str = "", sent: str = "") -> str:
    told = await notifier.deliver(envelope, head=head, sent=sent)
    assert isinstance(told, Delivered)
    return told.ref


async def test_a_bot_keeps_one_thread_and_its_head_up_to_date(slack: SlackReceiver) -> None:
    notifier = _bot(slack)
    head = await _ref(notifier, _envelope("acting"))
    await _ref(notifier, _envelope("a detail", key=""), head=head)
    assert await _ref(notifier, _envelope("repaired", final=True), head=head, sent=head) == head
    first, reply = slack.messages
    assert (first.channel, first.edits, first.thread_ts) == ("#incidents", 1, None)
    assert "repaired" in first.text
    assert (reply.thread_ts, reply.edits) == (first.ts, 0)
    assert head == f"{first.channel}:{first.ts}"


async def test_a_channel_may_refer_to_where_its_webhook_is_kept(
    slack: SlackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else Slack is set up with, and read anew each time: it may have been rotated."""
    envelope = replace(_envelope(), channel="slack:env=LEADS_WEBHOOK")
    for notifier in (_bot(slack), SlackNotifier(otherwise=LogNotifier("slack"))):
        monkeypatch.setenv("LEADS_WEBHOOK", " ")
        told = await notifier.deliver(envelope, head="", sent="")
        assert isinstance(told, Rejected)
        assert "{env: LEADS_WEBHOOK} holds is not one plain line" in told.detail
        monkeypatch.setenv("LEADS_WEBHOOK", slack.webhook_url)
        assert await _ref(notifier, envelope) == SlackWebhook.REF
    assert [message.channel for message in slack.messages] == [WEBHOOK_CHANNEL] * 2


async def test_a_keyed_reply_is_updated_in_place_too(slack: SlackReceiver) -> None:
    notifier = _bot(slack)
    head = await _ref(notifier, _envelope())
    reply = await _ref(notifier, _envelope("1 of 3", key="progress"), head=head)
    assert await _ref(notifier, _envelope("3 of 3", key="progress"), head=head, sent=reply) == reply
    assert [message.edits for message in slack.messages] == [0, 1]


async def test_a_page_below_a_head_is_shown_in_the_channel(slack: SlackReceiver) -> None:
    notifier = _bot(slack)
    head = await _ref(notifier, _envelope())
    await _ref(notifier, _envelope("failed", page=True, key=""), head=head)
    await _ref(notifier, _envelope("a detail", key=""), head=head)
    assert [call.arguments.get("reply_broadcast") for call in slack.calls] == [None, True, False]


async def test_a_standalone_envelope_is_always_a_message_of_its_own(slack: SlackReceiver) -> None:
    for notifier in (_bot(slack), _webhook(slack)):
        before = len(slack.messages)
        head = await _ref(notifier, _envelope())
        again = await _ref(notifier, _envelope(standalone=True), head=head, sent=head)
        assert len(slack.messages) == before + 2
        assert slack.messages[-1].thread_ts is None
        assert slack.messages[-1].edits == 0
        assert again


async def test_a_head_that_somebody_deleted_is_posted_anew(slack: SlackReceiver) -> None:
    gone = "C0000000:1600000000.000001"
    ref = await _ref(_bot(slack), _envelope(), head=gone, sent=gone)
    assert [message.channel for message in slack.messages] == ["#incidents"]
    assert ref == f"#incidents:{slack.messages[0].ts}"


async def test_a_reply_that_somebody_deleted_is_posted_anew_in_its_thread(slack: SlackReceiver) -> None:
    notifier = _bot(slack)
    head = await _ref(notifier, _envelope())
    await _ref(notifier, _envelope("again", key="progress"), head=head, sent="#incidents:1600000000.000001")
    assert slack.messages[1].thread_ts == slack.messages[0].ts


async def test_refs_of_a_webhook_mean_nothing_to_a_bot(slack: SlackReceiver) -> None:
    await _ref(_bot(slack), _envelope(), head=SlackWebhook.REF, sent=SlackWebhook.REF)
    assert [call.method for call in slack.calls] == ["chat.postMessage"]


async def test_a_webhook_sends_the_first_and_the_final_of_a_key(slack: SlackReceiver) -> None:
    notifier = _webhook(slack)
    ref = await _ref(notifier, _envelope("acting"))
    assert ref
    assert await _ref(notifier, _envelope("verifying"), head=ref, sent=ref) == ref
    assert len(slack.messages) == 1
    assert await _ref(notifier, _envelope("repaired", final=True), head=ref, sent=ref) == ref
    assert await _ref(notifier, _envelope("look", page=True), head=ref, sent=ref) == ref
    await _ref(notifier, _envelope("without a key", key=""), head=ref)
    assert ["acting" in slack.messages[0].text, len(slack.messages)] == [True, 4]


async def test_a_bot_wins_over_a_webhook(slack: SlackReceiver) -> None:
    both = SlackNotifier(
        bot=SlackBot(slack.token, api_url=slack.api_url), webhook=SlackWebhook(slack.webhook_url)
    )
    await _ref(both, _envelope())
    assert [call.method for call in slack.calls] == ["chat.postMessage"]


def test_neither_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="bot's token or an incoming webhook"):
        SlackNotifier()


@pytest.mark.parametrize("channel", ["slack:", "slack:#", "slack: "])
async def test_a_channel_without_a_name_is_rejected(slack: SlackReceiver, channel: str) -> None:
    envelope = Envelope(channel, "run:r-1", Notice(NoticeKind.RUN, "x", Tone.GOOD))
    told = await _bot(slack).deliver(envelope, head="", sent="")
    assert isinstance(told, Rejected)
    assert "slack:#name" in told.detail
    assert slack.calls == []


@pytest.mark.parametrize("sent", [True, False])
async def test_a_limited_delivery_says_when_to_try_again_and_then_goes_through(
    slack: SlackReceiver, *, sent: bool
) -> None:
    notifier = _bot(slack)
    ref = await _ref(notifier, _envelope()) if sent else ""
    slack.faults.add(lambda _: True, Answer(429, retry_after=11))
    told = await notifier.deliver(_envelope("later"), head=ref, sent=ref)
    assert isinstance(told, TryAgain)
    assert told.after == timedelta(seconds=11)
    await _ref(notifier, _envelope("later"), head=ref, sent=ref)
    assert ["later" in message.text for message in slack.messages] == [True]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_slack_takes_hostile_notices(slack: SlackReceiver, text: str) -> None:
    notice = Notice(
        NoticeKind.DECISION, text, Tone.QUIET, text, text, ((text, text),), (text,), text, (text,)
    )
    for notifier in (_bot(slack), _webhook(slack)):
        await _ref(notifier, Envelope("slack:#incidents", "t", notice))
