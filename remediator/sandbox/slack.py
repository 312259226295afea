"""A Slack stand-in: an incoming webhook and the few Web API methods that Remediator uses, strict as Slack is.

Contract: https://api.slack.com/messaging/webhooks, https://api.slack.com/methods and, for the limits of
blocks, https://api.slack.com/reference/block-kit/blocks.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from remediator.sandbox.blocks import check_message
from remediator.sandbox.faults import Answer, Faults, Service, retry_after, serve
from remediator.sandbox.serving import Served

WEBHOOK_PATH = "/services/T00000000/B00000000/sandbox"
WEBHOOK_CHANNEL = "#webhook"
#: Where a click's ``response_url`` leads; its last part is the user who clicked.
ACTIONS_PATH = "/actions/T00000000/1232321423432/"
BOT_TOKEN = "xoxb-sandbox"  # noqa: S105 - opens nothing but this stand-in
_EPOCH = 1_700_000_000


class SlackRefusal(Exception):
    """Slack's short word for what is wrong, and the details that go with it."""

    def __init__(self, error: str, messages: list[str] | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.messages = messages or []


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it stands in its channel; `edits` counts the updates, `payload` is the newest content."""

    ts: str
    channel: str
    payload: Mapping[str, Any]
    thread_ts: str | None = None
    edits: int = 0

    @property
    def text(self) -> str:
        return str(self.payload.get("text", ""))


@dataclass(frozen=True, slots=True)
class Whisper:
    """What one person alone was told: in a channel, or in answer to a click (then `channel` is empty)."""

    user: str
    channel: str
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came in: a Web API method or `webhook`, and its arguments."""

    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class SlackReceiver(Served):
    """Slack on loopback. `messages` are what a person would see, `calls` everything that was asked, in order.

    `faults` are matched against calls. An Answer of 404 on the webhook says `no_service`, of 429
    `rate_limited`.
    """

    def __init__(self, *, token: str = BOT_TOKEN) -> None:
        super().__init__()
        self.faults: Faults[Call] = Faults()
        self.calls: list[Call] = []
        self.whispers: list[Whisper] = []
        self._token = token
        self._messages: dict[tuple[str, str], Message] = {}
        self._clock = itertools.count(1)
        self._changed = asyncio.Event()
        self._methods: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "chat.update": self._update,
            "chat.postEphemeral": self._post_ephemeral,
        }

    @property
    def webhook_url(self) -> str:
        return self._server.url + WEBHOOK_PATH

    @property
    def api_url(self) -> str:
        """The Web API's base, ending in `/api/`."""
        return f"{self._server.url}/api/"

    def response_url(self, user: str) -> str:
        """The answering URL of a click by this user."""
        return self._server.url + ACTIONS_PATH + user

    @property
    def token(self) -> str:
        return self._token

    @property
    def messages(self) -> list[Message]:
        """In the order in which they were first posted, each as last updated."""
        return list(self._messages.values())

    async def wait_for(self, count: int, deadline: float = 10.0) -> list[Message]:
        """The messages, once there are at least `count`; TimeoutError after `deadline` seconds."""
        return await self.until(lambda messages: len(messages) >= count, deadline)

    async def until(self, holds: Callable[[list[Message]], bool], deadline: float = 10.0) -> list[Message]:
        """The messages, once they meet a condition; TimeoutError after `deadline` seconds."""
        async with asyncio.timeout(deadline):
            while not holds(self.messages):
                self._changed.clear()
                await self._changed.wait()
        return self.messages

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        if http.path.startswith(("/services/", "/actions/")):
            return await self._on_webhook(http)
        if http.path.startswith("/api/"):
            return await self._on_method(http)
        return web.Response(status=404, text="no_such_path")

    async def _on_webhook(self, http: web.BaseRequest) -> web.StreamResponse:
        if http.method != "POST":
            return web.Response(status=400, text="invalid_payload")
        try:
            arguments = await _webhook_payload(http)
        except ValueError:
            return web.Response(status=400, text="invalid_payload")
        call = Call("webhook", arguments)
        service = Service(apply=lambda: self._deliver(http.path, call), refuse=_webhook_refusal)
        return await serve(http, self.faults.take(call), service, self._server.closing)

    def _deliver(self, path: str, call: Call) -> web.Response:
        self.calls.append(call)
        if path.startswith(ACTIONS_PATH):
            return self._answer_click(path.removeprefix(ACTIONS_PATH), call.arguments)
        if path != WEBHOOK_PATH:
            return web.Response(status=404, text="no_service")
        try:
            _check(call.arguments)
        except SlackRefusal as refused:
            return web.Response(status=400, text=refused.error)
        self._record(WEBHOOK_CHANNEL, call.arguments)
        return web.Response(text="ok")

    def _answer_click(self, user: str, arguments: Mapping[str, Any]) -> web.Response:
        """Only who clicked is answered here: nobody answers for all, or in place of the message."""
        if arguments.get("response_type") != "ephemeral" or arguments.get("replace_original"):
            return web.Response(status=400, text="invalid_payload")
        self._whisper(Whisper(user, "", str(arguments.get("text", ""))))
        return web.Response(text="ok")

    def _whisper(self, whisper: Whisper) -> None:
        self.whispers.append(whisper)
        self._changed.set()

    async def _on_method(self, http: web.BaseRequest) -> web.StreamResponse:
        arguments = await _method_arguments(http)
        call = Call(http.path.removeprefix("/api/"), arguments)
        token = _bearer(http) or arguments.get("token")
        service = Service(apply=lambda: self._call(call, token), refuse=_method_refusal)
        return await serve(http, self.faults.take(call), service, self._server.closing)

    def _call(self, call: Call, token: Any) -> web.Response:
        self.calls.append(call)
        try:
            self._authenticate(token)
            method = self._methods.get(call.method, _unknown)
            return web.json_response({"ok": True} | method(call.arguments))
        except SlackRefusal as refused:
            body: dict[str, Any] = {"ok": False, "error": refused.error}
            if refused.messages:
                body |= {"errors": refused.messages, "response_metadata": {"messages": refused.messages}}
            return web.json_response(body)

    def _authenticate(self, token: Any) -> None:
        if token != self._token:
            raise SlackRefusal("invalid_auth" if token else "not_authed")

    def _auth_test(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "url": "https://sandbox.slack.com/",
            "team": "Sandbox",
            "user": "remediator",
            "team_id": "T00000000",
            "user_id": "U00000000",
            "bot_id": "B00000000",
        }

    def _post_message(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel = arguments.get("channel")
        if not isinstance(channel, str) or not channel:
            raise SlackRefusal("channel_not_found")
        _check(arguments)
        return _confirmed(self._record(channel, arguments))

    def _post_ephemeral(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel, user = arguments.get("channel"), arguments.get("user")
        if not isinstance(channel, str) or not channel:
            raise SlackRefusal("channel_not_found")
        if not isinstance(user, str) or not user:
            raise SlackRefusal("user_not_in_channel")
        _check(arguments)
        self._whisper(Whisper(user, channel, str(arguments.get("text", ""))))
        return {"message_ts": f"{_EPOCH}.{next(self._clock):06d}"}

    def _update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        key = (str(arguments.get("channel")), str(arguments.get("ts")))
        held = self._messages.get(key)
        if held is None:
            raise SlackRefusal("message_not_found")
        _check(arguments)
        self._messages[key] = updated = replace(held, payload=_content(arguments), edits=held.edits + 1)
        self._changed.set()
        return _confirmed(updated)

    def _record(self, channel: str, arguments: Mapping[str, Any]) -> Message:
        ts = f"{_EPOCH}.{next(self._clock):06d}"
        message = Message(ts, channel, _content(arguments), arguments.get("thread_ts"))
        self._messages[channel, ts] = message
        self._changed.set()
        return message


def _unknown(_: Mapping[str, Any]) -> dict[str, Any]:
    raise SlackRefusal("unknown_method")


def _confirmed(message: Message) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": "message", "ts": message.ts, "bot_id": "B00000000", **message.payload}
    if message.thread_ts:
        shown["thread_ts"] = message.thread_ts
    return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": shown}


_CONTENT = ("text", "blocks", "attachments", "mrkdwn", "username", "icon_emoji", "unfurl_links")


def _content(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: arguments[key] for key in _CONTENT if key in arguments}


def _check(arguments: Mapping[str, Any]) -> None:
    if (refused := check_message(arguments)) is not None:
        raise SlackRefusal(refused.error, list(refused.messages))


async def _webhook_payload(http: web.BaseRequest) -> dict[str, Any]:
    raw = await http.read()
    if http.content_type == "application/x-www-form-urlencoded":
        raw = str((await http.post()).get("payload", "")).encode()
    decoded = json.loads(raw)
    if not isinstance(decoded, dict):
        raise ValueError("a message is an object")  # noqa: TRY004 - Slack tells neither apart
    return decoded


async def _method_arguments(http: web.BaseRequest) -> dict[str, Any]:
    if http.content_type == "application/json":
        try:
            decoded = json.loads(await http.read())
        except ValueError:
            return {}
        return decoded if isinstance(decoded, dict) else {}
    sent = {
        key: value for key, value in {**http.query, **await http.post()}.items() if isinstance(value, str)
    }
    nested = {key: json.loads(sent[key]) for key in ("blocks", "attachments") if key in sent}
    return sent | nested


def _bearer(http: web.BaseRequest) -> str:
    scheme, _, token = http.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


_WEBHOOK_WORDS = {403: "invalid_token", 404: "no_service", 410: "channel_is_archived", 429: "rate_limited"}
_METHOD_WORDS = {429: "ratelimited", 500: "internal_error", 503: "service_unavailable"}


def _webhook_refusal(answer: Answer) -> web.Response:
    word = _WEBHOOK_WORDS.get(answer.code, "internal_error")
    return web.Response(status=answer.code, text=word, headers=retry_after(answer))


def _method_refusal(answer: Answer) -> web.Response:
    word = _METHOD_WORDS.get(answer.code, "fatal_error")
    return web.json_response({"ok": False, "error": word}, status=answer.code, headers=retry_after(answer))
