"""The Slack receiver, through slack-sdk's own clients: it takes and refuses what Slack does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from remediator.sandbox.faults import Answer, DropReply, Hang
from remediator.sandbox.slack import Call, SlackReceiver, Whisper


@pytest.fixture
async def slack() -> AsyncIterator[SlackReceiver]:
    async with SlackReceiver() as running:
        yield running


@pytest.fixture
def web(slack: SlackReceiver) -> AsyncWebClient:
    return AsyncWebClient(slack.token, base_url=slack.api_url, retry_handlers=[])


@pytest.fixture
def hook(slack: SlackReceiver) -> AsyncWebhookClient:
    return AsyncWebhookClient(slack.webhook_url, retry_handlers=[])


def section(text: str = "x", **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def header(text: str, kind: str = "plain_text") -> dict[str, Any]:
    return {"type": "header", "text": {"type": kind, "text": text}}


def fields(count: int, length: int = 1) -> dict[str, Any]:
    return {"type": "section", "fields": [{"type": "mrkdwn", "text": "f" * length}] * count}


def button(**more: Any) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": "Go"}, **more}


async def test_a_webhook_message_arrives(slack: SlackReceiver, hook: AsyncWebhookClient) -> None:
    reply = await hook.send(text="hello", blocks=[section("*hello*")])
    assert (reply.status_code, reply.body) == (200, "ok")
    (message,) = await slack.wait_for(1)
    assert message.text == "hello"
    assert message.payload["blocks"] == [section("*hello*")]


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b"{", 400, "invalid_payload"),
        (b"[]", 400, "invalid_payload"),
        (b"{}", 400, "no_text"),
        (b'{"blocks": [{"type": "nonsense"}]}', 400, "invalid_blocks"),
    ],
)
async def test_webhook_bodies_that_slack_refuses(
    slack: SlackReceiver, body: bytes, code: int, said: str
) -> None:
    async with aiohttp.ClientSession() as session, session.post(slack.webhook_url, data=body) as reply:
        assert (reply.status, await reply.text()) == (code, said)
    assert not slack.messages


async def test_an_unknown_webhook_has_no_service(slack: SlackReceiver) -> None:
    url = slack.webhook_url[:-1] + "?"
    reply = await AsyncWebhookClient(url, retry_handlers=[]).send(text="x")
    assert (reply.status_code, reply.body) == (404, "no_service")


async def test_a_thread_and_its_head_updated_in_place(slack: SlackReceiver, web: AsyncWebClient) -> None:
    assert (await web.auth_test())["ok"]
    head = await web.chat_postMessage(channel="#incidents", text="working")
    reply = await web.chat_postMessage(channel="#incidents", text="step 1", thread_ts=head["ts"])
    assert float(reply["ts"]) > float(head["ts"])
    assert (await web.chat_update(channel="#incidents", ts=head["ts"], text="done"))["ts"] == head["ts"]
    first, second = slack.messages
    assert (first.text, first.edits, first.channel) == ("done", 1, "#incidents")
    assert (second.text, second.thread_ts) == ("step 1", first.ts)


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("chat.postMessage", {"channel": "#a"}, "no_text"),
        ("chat.postMessage", {"text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "#a", "text": "x" * 40_001}, "msg_too_long"),
        ("chat.update", {"channel": "#a", "ts": "1.1", "text": "x"}, "message_not_found"),
        ("chat.shout", {}, "unknown_method"),
    ],
)
async def test_calls_that_slack_refuses(
    web: AsyncWebClient, method: str, arguments: dict[str, Any], error: str
) -> None:
    with pytest.raises(SlackApiError) as refused:
        await web.api_call(method, json=arguments)
    assert refused.value.response["error"] == error


@pytest.mark.parametrize(("token", "error"), [("xoxb-guess", "invalid_auth"), (None, "not_authed")])
async def test_only_the_token_opens_the_api(slack: SlackReceiver, token: str | None, error: str) -> None:
    with pytest.raises(SlackApiError) as refused:
        await AsyncWebClient(token, base_url=slack.api_url, retry_handlers=[]).auth_test()
    assert refused.value.response["error"] == error


WITHIN = [
    [section()] * 50,
    [section("x" * 3000)],
    [header("x" * 150)],
    [fields(10, 2000)],
    [{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 10}],
    [{"type": "actions", "elements": [button(style="danger", value="v" * 2000)] * 25}],
    [{"type": "divider"}, {"type": "image", "image_url": "https://x", "alt_text": "x"}],
    [section(accessory=button())],
    [{"type": "markdown", "text": "# x"}, {"type": "rich_text", "elements": []}],
]
BEYOND = [
    [section()] * 51,
    [section("x" * 3001)],
    [section("")],
    [header("x" * 151)],
    [header("x", "mrkdwn")],
    [fields(11)],
    [fields(1, 2001)],
    [{"type": "section"}],
    [{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}],
    [{"type": "context", "elements": []}],
    [{"type": "actions", "elements": [button()] * 26}],
    [{"type": "actions", "elements": [button(style="green")]}],
    [{"type": "actions", "elements": [button(value="v" * 2001)]}],
    [{"type": "image", "image_url": "https://x"}],
    [section(block_id="same"), section(block_id="same")],
    [section(block_id="x" * 256)],
    [{"type": "sektion"}],
    ["section"],
]


@pytest.mark.parametrize("blocks", WITHIN)
async def test_blocks_within_slacks_limits(web: AsyncWebClient, blocks: list[Any]) -> None:
    assert (await web.chat_postMessage(channel="#a", text="x", blocks=blocks))["ok"]


@pytest.mark.parametrize("blocks", BEYOND)
@pytest.mark.parametrize("place", ["message", "attachment"])
async def test_blocks_beyond_slacks_limits(
    slack: SlackReceiver, web: AsyncWebClient, blocks: list[Any], place: str
) -> None:
    content = {"attachments": [{"blocks": blocks}]} if place == "attachment" else {"blocks": blocks}
    with pytest.raises(SlackApiError) as refused:
        await web.chat_postMessage(channel="#a", text="x", **content)
    assert refused.value.response["error"] == "invalid_blocks"
    assert "json-pointer:" in refused.value.response["response_metadata"]["messages"][0]
    assert not slack.messages


async def test_faults_by_answer(slack: SlackReceiver, web: AsyncWebClient, hook: AsyncWebhookClient) -> None:
    slack.faults.add(lambda call: call.method == "webhook", Answer(429, retry_after=30))
    limited = await hook.send(text="x")
    assert (limited.status_code, limited.body, limited.headers["Retry-After"]) == (429, "rate_limited", "30")
    slack.faults.add(lambda _: True, Answer(404))
    assert (await hook.send(text="x")).body == "no_service"
    slack.faults.add(lambda _: True, Answer(429, retry_after=5))
    with pytest.raises(SlackApiError) as refused:
        await web.chat_postMessage(channel="#a", text="x")
    assert (refused.value.response.status_code, refused.value.response["error"]) == (429, "ratelimited")
    slack.faults.add(lambda _: True, Answer(500))
    assert (await hook.send(text="x")).status_code == 500
    assert not slack.messages


async def test_a_dropped_reply_leaves_the_message_posted(
    slack: SlackReceiver, hook: AsyncWebhookClient
) -> None:
    slack.faults.add(lambda _: True, DropReply())
    with pytest.raises(aiohttp.ClientConnectionError):
        await hook.send(text="once")
    assert [message.text for message in slack.messages] == ["once"]
    assert slack.calls == [Call("webhook", {"text": "once"})]


async def test_a_hanging_slack_times_out_and_posts_nothing(slack: SlackReceiver) -> None:
    slack.faults.add(lambda _: True, Hang())
    with pytest.raises(asyncio.TimeoutError):
        await AsyncWebhookClient(slack.webhook_url, timeout=1, retry_handlers=[]).send(text="x")
    assert not slack.messages


async def test_a_slack_that_is_down_comes_back_with_what_it_had(
    slack: SlackReceiver, hook: AsyncWebhookClient
) -> None:
    await hook.send(text="before")
    await slack.down()
    with pytest.raises(aiohttp.ClientConnectionError):
        await hook.send(text="lost")
    await slack.up()
    await hook.send(text="after")
    assert [message.text for message in await slack.wait_for(2)] == ["before", "after"]


async def test_waiting_in_vain_is_a_timeout(slack: SlackReceiver) -> None:
    with pytest.raises(TimeoutError):
        await slack.wait_for(1, deadline=0.01)


async def test_a_whisper_is_for_one_person(slack: SlackReceiver, web: AsyncWebClient) -> None:
    await web.chat_postEphemeral(channel="C1", user="U1", text="psst")
    hook = AsyncWebhookClient(slack.response_url("U2"), retry_handlers=[])
    answered = await hook.send(text="pssst", response_type="ephemeral", replace_original=False)
    assert (answered.status_code, answered.body) == (200, "ok")
    assert slack.whispers == [Whisper("U1", "C1", "psst"), Whisper("U2", "", "pssst")]
    assert slack.messages == []
    for channel, user in (("C1", ""), ("", "U1")):
        with pytest.raises(SlackApiError):
            await web.chat_postEphemeral(text="x", channel=channel, user=user)
    assert (await hook.send(text="x", response_type="in_channel")).status_code == 400
