"""Whatever Slack, a proxy or the network does becomes one of three values, and gives no secret away."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest

from remediator.clients.slack import Missing, Place, SlackBot, SlackWebhook
from remediator.core.ports.channels import Delivered, Delivery, Rejected, TryAgain
from remediator.sandbox.faults import Answer, DropReply, Fault, Hang, Refuse
from remediator.sandbox.slack import BOT_TOKEN, WEBHOOK_PATH, SlackReceiver
from tests.unit.notify.servers import answering

SOON = timedelta(seconds=0.5)
BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}]
SECRET = "T00000000/B00000000/s3cr3t"


def _bot(slack: SlackReceiver, token: str = BOT_TOKEN, timeout: timedelta = SOON) -> SlackBot:
    return SlackBot(token, api_url=slack.api_url, timeout=timeout)


async def _post(how: str, slack: SlackReceiver) -> Delivery | Missing:
    if how == "webhook":
        return await SlackWebhook(slack.webhook_url, timeout=SOON).post("hello", BLOCKS)
    return await _bot(slack).post("hello", BLOCKS, channel="#incidents")


async def test_a_bot_posts_answers_and_updates(slack: SlackReceiver) -> None:
    posted = await _bot(slack).post("first", BLOCKS, channel="#incidents")
    assert isinstance(posted, Delivered)
    place = Place.parse(posted.ref)
    assert place is not None
    answer = await _bot(slack).post("reply", BLOCKS, channel=place.channel, thread=place.ts, broadcast=True)
    updated = await _bot(slack).update("second", BLOCKS, place=place)
    assert updated == posted
    assert isinstance(answer, Delivered)
    first, reply = slack.messages
    assert (first.text, first.edits, first.thread_ts) == ("second", 1, None)
    assert (reply.text, reply.thread_ts) == ("reply", place.ts)
    assert [call.arguments.get("reply_broadcast") for call in slack.calls] == [None, True, None]


async def test_a_webhook_posts(slack: SlackReceiver) -> None:
    assert await _post("webhook", slack) == Delivered(SlackWebhook.REF)
    assert slack.messages[0].payload["blocks"] == BLOCKS


@pytest.mark.parametrize("ref", ["", "webhook", "C1:", ":1.2", "C1", "C1:soon"])
def test_only_a_bots_ref_names_a_place(ref: str) -> None:
    assert Place.parse(ref) is None
    assert Place.parse("C012AB3CD:1503435956.000247") == Place("C012AB3CD", "1503435956.000247")


@pytest.mark.parametrize("how", ["bot", "webhook"])
@pytest.mark.parametrize(
    ("fault", "after", "said"),
    [
        (Answer(429, retry_after=30), timedelta(seconds=30), "limited"),
        (Answer(429, retry_after=10**8), timedelta(days=1), "limited"),
        (Answer(429), None, "limited"),
        (Answer(500), None, "internal_error"),
        (Answer(503, retry_after=7), timedelta(seconds=7), "Slack says"),
        (Hang(), None, "did not answer within 0.5 s"),
        (Refuse(), None, "can't be reached (ServerDisconnectedError"),
        (DropReply(), None, "can't be reached (ServerDisconnectedError"),
    ],
    ids=str,
)
async def test_what_may_pass_is_tried_again(
    slack: SlackReceiver, how: str, fault: Fault, after: timedelta | None, said: str
) -> None:
    planned = slack.faults.add(lambda _: True, fault)
    told = await _post(how, slack)
    assert isinstance(told, TryAgain)
    assert told.after == after
    assert said in told.detail
    assert planned.hits == 1, "the outbox retries, nothing else does"
    assert isinstance(await _post(how, slack), Delivered)


@pytest.mark.parametrize("how", ["bot", "webhook"])
async def test_a_slack_that_is_down_is_tried_again(slack: SlackReceiver, how: str) -> None:
    await slack.down()
    told = await _post(how, slack)
    assert isinstance(told, TryAgain)
    assert "can't be reached" in told.detail
    await slack.up()
    assert isinstance(await _post(how, slack), Delivered)


async def test_a_revoked_token_is_rejected_with_its_remedy(slack: SlackReceiver) -> None:
    told = await _bot(slack, "xoxb-revoked").post("hello", BLOCKS, channel="#incidents")
    assert isinstance(told, Rejected)
    assert told.detail.startswith("Slack says invalid_auth for #incidents: mend REMEDIATOR_SLACK_BOT_TOKEN")
    assert slack.messages == []


async def test_a_deleted_webhook_is_rejected_with_its_remedy(slack: SlackReceiver) -> None:
    told = await SlackWebhook(slack.webhook_url + "x", timeout=SOON).post("hello", BLOCKS)
    assert isinstance(told, Rejected)
    assert told.detail == (
        "Slack says no_service through the incoming webhook: "
        "create a new incoming webhook and set REMEDIATOR_SLACK_WEBHOOK_URL to it"
    )


async def test_refused_blocks_are_rejected_with_slacks_own_details(slack: SlackReceiver) -> None:
    told = await _bot(slack).post("hello", [{"type": "header", "text": {}}], channel="#incidents")
    assert isinstance(told, Rejected)
    assert "invalid_blocks" in told.detail
    assert "json-pointer:/blocks/0/text" in told.detail


async def test_a_message_that_is_gone_is_missing_and_not_lost(slack: SlackReceiver) -> None:
    told = await _bot(slack).update("hello", BLOCKS, place=Place("#incidents", "1.000001"))
    assert told == Missing("Slack says message_not_found")


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("not_in_channel", "invite the bot"),
        ("channel_not_found", "channel's name"),
        ("is_archived", "unarchive"),
        ("missing_scope", "chat:write"),
        ("token_revoked", "issue a new token"),
        ("account_inactive", "issue a new token"),
        ("some_new_word", ""),
    ],
)
async def test_what_a_person_must_mend_is_rejected_and_says_how(word: str, remedy: str) -> None:
    body = json.dumps({"ok": False, "error": word})
    async with answering(200, body, "application/json") as url:
        told = await SlackBot("xoxb-1", api_url=f"{url}/api/").post("hello", BLOCKS, channel="#ops")
    assert isinstance(told, Rejected)
    assert told.detail.startswith(f"Slack says {word} for #ops")
    assert remedy in told.detail


@pytest.mark.parametrize("word", ["ratelimited", "rate_limited", "internal_error", "service_unavailable"])
async def test_what_slack_words_as_passing_is_tried_again_even_with_a_200(word: str) -> None:
    body = json.dumps({"ok": False, "error": word})
    async with answering(200, body, "application/json", {"Retry-After": "3"}) as url:
        told = await SlackBot("xoxb-1", api_url=f"{url}/api/").post("hello", BLOCKS, channel="#ops")
    assert told == TryAgain(f"Slack says {word} for #ops", timedelta(seconds=3))


@pytest.mark.parametrize(
    ("status", "body", "content_type", "kind"),
    [
        (200, "<html>please log in</html>", "text/html", TryAgain),
        (200, "ok then", "text/plain", TryAgain),
        (200, "[]", "application/json", TryAgain),
        (200, "{", "application/json", TryAgain),
        (200, b"\xff\xfe", "application/json", TryAgain),
        (200, "", "application/json", TryAgain),
        (502, "<html>bad gateway</html>", "text/html", TryAgain),
        (504, "{}", "application/json", TryAgain),
        (408, "", "text/plain", TryAgain),
        (403, "<html>forbidden by policy</html>", "text/html", Rejected),
        (404, "not found", "text/plain", Rejected),
        (400, "invalid_payload", "text/plain", Rejected),
        (410, "channel_is_archived", "text/plain", Rejected),
        (500, "rollup_error", "text/plain", TryAgain),
    ],
)
@pytest.mark.parametrize("how", ["bot", "webhook"])
async def test_an_answer_that_slack_would_not_give_is_never_a_success(
    how: str, status: int, body: str | bytes, content_type: str, kind: type[Delivery]
) -> None:
    async with answering(status, body, content_type) as url:
        if how == "bot":
            told = await SlackBot("xoxb-1", api_url=f"{url}/api/").post("hello", BLOCKS, channel="#ops")
        else:
            told = await SlackWebhook(f"{url}/services/{SECRET}").post("hello", BLOCKS)
    assert isinstance(told, kind)
    assert "html" not in str(told)


@pytest.mark.parametrize("header", ["soon", "-1", "nan", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
async def test_a_wait_that_is_no_number_of_seconds_is_none(header: str) -> None:
    async with answering(429, "rate_limited", headers={"Retry-After": header}) as url:
        told = await SlackWebhook(f"{url}/services/{SECRET}").post("hello", BLOCKS)
    assert told == TryAgain("Slack says rate_limited through the incoming webhook", None)


@pytest.mark.parametrize("url", [f"hooks.example/{SECRET}", f"http://[::1/{SECRET}", f"ftp://x/{SECRET}", ""])
async def test_an_address_that_is_no_url_is_a_value_too(url: str) -> None:
    told = await SlackWebhook(url).post("hello", BLOCKS)
    assert isinstance(told, Rejected)
    assert "REMEDIATOR_SLACK_WEBHOOK_URL" in told.detail
    assert SECRET not in told.detail


async def test_no_secret_is_told_or_logged(slack: SlackReceiver, caplog: pytest.LogCaptureFixture) -> None:
    """Even at debug level, where slack-sdk would log the webhook's URL and each message."""
    caplog.set_level(logging.DEBUG)
    webhook = SlackWebhook(slack.webhook_url.replace(WEBHOOK_PATH, f"/services/{SECRET}"), timeout=SOON)
    token = "xoxb-s3cr3t-token"
    said = [await webhook.post("hello", BLOCKS)]
    said.append(await SlackBot(token, api_url=slack.api_url).post("hello", BLOCKS, channel="#ops"))  # type: ignore[arg-type]  # never Missing
    slack.faults.add(lambda _: True, Hang(), times=None)
    said.append(await webhook.post("hello", BLOCKS))
    await slack.down()
    said.append(await webhook.post("hello", BLOCKS))
    assert len(said) == 4
    logging.getLogger("remediator").debug("the log was listened to")
    assert "listened" in caplog.text
    for text in (str(said), repr(webhook), caplog.text):
        assert "s3cr3t" not in text


async def test_loopback_is_asked_directly_whatever_proxy_the_environment_names(
    slack: SlackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert isinstance(await _post("bot", slack), Delivered)
    assert isinstance(await _post("webhook", slack), Delivered)
