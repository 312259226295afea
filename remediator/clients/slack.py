"""Slack through slack-sdk: what it answers becomes a value, and no token or webhook URL leaves this module.

Nothing is retried here: the outbox owns retrying. A revoked token or a bot that isn't in the channel means
rejected, too: only a person can mend it, and a rejected message is parked for that and raises an alarm.

Errors: https://docs.slack.dev/reference/methods/chat.postMessage and, for incoming webhooks,
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from remediator.clients.answers import is_url, kind_of, retry_after
from remediator.clients.proxies import proxy_for
from remediator.core.ports.channels import Delivered, Delivery, Rejected, TryAgain

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient
    from slack_sdk.webhook.async_client import AsyncWebhookClient

API_URL = "https://slack.com/api/"
TIMEOUT = timedelta(seconds=10)

Blocks = Sequence[dict[str, Any]]

_TOKEN = "mend REMEDIATOR_SLACK_BOT_TOKEN: issue a new token at https://api.slack.com/apps"  # noqa: S105 - advice
_WEBHOOK = "create a new incoming webhook and set REMEDIATOR_SLACK_WEBHOOK_URL to it"
_CHANNEL = "check the channel's name in the rule, and invite the bot if the channel is private"
_SIZE = "please report it: Remediator should have made the message shorter"

_REMEDIES: Mapping[str, str] = {
    "not_in_channel": "invite the bot: type /invite and its name in the channel",
    "channel_not_found": _CHANNEL,
    "is_archived": "unarchive the channel, or name another one in the rule",
    "channel_is_archived": "unarchive the channel, or make the webhook for another one",
    "restricted_action": "a workspace admin has to let the bot post in this channel",
    "posting_to_general_channel_denied": "a workspace admin has to let the app post in #general",
    "action_prohibited": "a workspace admin has to let the webhook post",
    "ekm_access_denied": "a workspace admin has suspended posting",
    "access_denied": _TOKEN,
    "account_inactive": _TOKEN,
    "invalid_auth": _TOKEN,
    "not_allowed_token_type": _TOKEN,
    "not_authed": _TOKEN,
    "token_expired": _TOKEN,
    "token_revoked": _TOKEN,
    "missing_scope": "give the app the scope chat:write (and chat:write.public), then install it again",
    "no_permission": "give the app the scope chat:write, then install it again",
    "unknown_method": "check REMEDIATOR_SLACK_API_URL: a base that ends in /api/",
    "no_service": _WEBHOOK,
    "no_active_hooks": _WEBHOOK,
    "no_team": _WEBHOOK,
    "invalid_token": _WEBHOOK,
    "invalid_blocks": _SIZE,
    "msg_blocks_too_long": _SIZE,
    "msg_too_long": _SIZE,
}
#: What may pass by itself, whichever HTTP status it comes with.
_PASSING = frozenset(
    {
        "fatal_error",
        "internal_error",
        "message_limit_exceeded",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "rollup_error",
        "service_unavailable",
        "team_added_to_org",
    }
)
#: The message or thread is gone, or closed to us; the channel may well be there.
_MISSING = frozenset(
    {
        "cannot_reply_to_message",
        "cant_update_message",
        "edit_window_closed",
        "message_not_found",
        "thread_not_found",
    }
)
_NO_URL = Rejected("Slack's address is no URL: mend REMEDIATOR_SLACK_WEBHOOK_URL or REMEDIATOR_SLACK_API_URL")
_WORD = re.compile(r"[a-z][a-z0-9_]{1,59}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is: written as a delivery's ref, ``CHANNEL:TS``."""

    channel: str
    ts: str

    def __str__(self) -> str:
        return f"{self.channel}:{self.ts}"

    @classmethod
    def parse(cls, ref: str) -> Self | None:
        """The place that a ref names; ``None`` when it is no bot's (an incoming webhook's, or empty)."""
        channel, _, ts = ref.rpartition(":")
        return cls(channel, ts) if channel and re.fullmatch(r"\d+\.\d+", ts) else None


@dataclass(frozen=True, slots=True)
class Missing:
    """The message to be changed, or to be answered, is not there any more."""

    detail: str


class SlackBot:
    """The Web API with a bot's token. ``api_url`` ends in ``/api/``; one call takes at most ``timeout``."""

    def __init__(self, token: str, *, api_url: str = API_URL, timeout: timedelta = TIMEOUT) -> None:
        self._token = token
        self._api_url = api_url
        self._timeout = timeout

    async def post(
        self, text: str, blocks: Blocks, *, channel: str, thread: str = "", broadcast: bool = False
    ) -> Delivery | Missing:
        """Post to a channel (``#name`` or id), or below the message whose ts ``thread`` is.

        ``broadcast`` shows the reply in the channel as well. Delivered with the new message's place as ref.
        """
        return await self._call(
            channel,
            lambda client: client.chat_postMessage(
                channel=channel,
                text=text,
                blocks=list(blocks),
                thread_ts=thread or None,
                reply_broadcast=broadcast if thread else None,
                unfurl_links=False,
                unfurl_media=False,
            ),
        )

    async def whisper(self, text: str, *, channel: str, user: str) -> Delivery | Missing:
        """Say something in a channel that one person alone sees, and that is gone when they look away."""
        return await self._call(
            channel, lambda client: client.chat_postEphemeral(channel=channel, user=user, text=text)
        )

    async def update(self, text: str, blocks: Blocks, *, place: Place) -> Delivery | Missing:
        """Replace a message's content in place. It rings nobody's phone."""
        return await self._call(
            place.channel,
            lambda client: client.chat_update(
                channel=place.channel, ts=place.ts, text=text, blocks=list(blocks)
            ),
        )

    def _client(self) -> AsyncWebClient:
        from slack_sdk.web.async_client import AsyncWebClient

        client = AsyncWebClient(
            token=self._token,
            base_url=self._api_url,
            timeout=math.ceil(self._timeout.total_seconds()),
            logger=_silent_logger(),
            retry_handlers=[],
        )
        client.proxy = proxy_for(self._api_url)
        return client

    async def _call(
        self, channel: str, method: Callable[[AsyncWebClient], Awaitable[Any]]
    ) -> Delivery | Missing:
        answered = await _ask(self._api_url, lambda: method(self._client()), self._timeout)
        if not isinstance(answered, _Answer):
            return answered
        if answered.status == 200 and answered.body.get("ok") is True:
            place = Place(str(answered.body.get("channel") or channel), str(answered.body.get("ts") or ""))
            return Delivered(str(place))
        return answered.missing() or answered.failure(f"for {channel}")


class SlackWebhook:
    """An incoming webhook: it posts to its own channel, and can neither update nor answer a message."""

    #: Says that something was sent; an incoming webhook doesn't tell what became of it.
    REF = "webhook"

    def __init__(self, url: str, *, timeout: timedelta = TIMEOUT) -> None:
        self._url = url
        self._timeout = timeout

    async def post(self, text: str, blocks: Blocks) -> Delivery:
        """Post to the webhook's channel. Delivered with :attr:`REF`."""
        content = {"text": text, "blocks": list(blocks), "unfurl_links": False, "unfurl_media": False}
        return await self._send(content, "through the incoming webhook")

    async def whisper(self, text: str) -> Delivery:
        """Through a click's ``response_url``: say something that only who clicked sees."""
        content = {"text": text, "response_type": "ephemeral", "replace_original": False}
        return await self._send(content, "through the click's response_url")

    async def _send(self, content: dict[str, Any], where: str) -> Delivery:
        answered = await _ask(self._url, lambda: self._client().send_dict(content), self._timeout)
        if not isinstance(answered, _Answer):
            return answered
        if answered.status == 200 and answered.word == "ok":
            return Delivered(self.REF)
        return answered.failure(where)

    def _client(self) -> AsyncWebhookClient:
        from slack_sdk.webhook.async_client import AsyncWebhookClient

        client = AsyncWebhookClient(
            self._url,
            timeout=math.ceil(self._timeout.total_seconds()),
            logger=_silent_logger(),
            retry_handlers=[],
        )
        client.proxy = proxy_for(self._url)
        return client


@dataclass(frozen=True, slots=True)
class _Answer:
    """An HTTP answer, whatever sent it. ``word`` is Slack's word for it: an error, ``ok`` or empty."""

    status: int
    headers: Mapping[str, str]
    word: str
    body: Mapping[str, Any]

    def missing(self) -> Missing | None:
        return Missing(f"Slack says {self.word}") if self.word in _MISSING else None

    def failure(self, where: str) -> TryAgain | Rejected:
        """What an answer that is no success means for the message."""
        said = self.word or f"HTTP {self.status}"
        if self.status == 429 or self.word in _PASSING or self.status in (408, *range(500, 600)):
            return TryAgain(f"Slack says {said} {where}", retry_after(self.headers))
        if self.status == 200 and self.word in ("", "ok"):
            return TryAgain(
                f"HTTP 200 {where}, but not in Slack's words: something else answers in its place"
            )
        return Rejected(f"Slack says {said} {where}{self._more()}")

    def _more(self) -> str:
        metadata = self.body.get("response_metadata")
        messages = metadata.get("messages") if isinstance(metadata, Mapping) else None
        details = "; ".join(str(each) for each in messages)[:300] if isinstance(messages, list) else ""
        remedy = _REMEDIES.get(self.word, "")
        return f"{f' ({details})' if details else ''}{f': {remedy}' if remedy else ''}"


class SlackSignature:
    """Tells Slack's own requests from others' by the app's signing secret, none older than five minutes.

    https://docs.slack.dev/authentication/verifying-requests-from-slack
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def holds(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether Slack signed this very body, a short while ago."""
        from slack_sdk.signature import SignatureVerifier

        try:
            return SignatureVerifier(self._secret).is_valid_request(body, dict(headers))
        except (TypeError, ValueError):
            # No number for a time, no UTF-8 for a body, or what no signature is made of.
            return False


async def _ask(
    url: str, call: Callable[[], Awaitable[Any]], timeout: timedelta
) -> _Answer | TryAgain | Rejected:
    """Make a call; every exception but cancellation ends here, and none is quoted: they may name the URL."""
    import aiohttp
    from slack_sdk.errors import SlackApiError

    if not is_url(url):
        return _NO_URL
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            return _answer(await call())
    except SlackApiError as error:
        return _answer(error.response)
    except TimeoutError:
        return TryAgain(f"Slack did not answer within {timeout.total_seconds():g} s")
    except aiohttp.InvalidURL:
        return _NO_URL
    except (aiohttp.ClientError, OSError) as error:
        return TryAgain(f"Slack can't be reached ({kind_of(error)})")
    except Exception as error:  # noqa: BLE001 - the SDK trips in its own ways over an answer that isn't Slack's
        return TryAgain(f"Slack's answer can't be understood ({kind_of(error)}): is a proxy in between?")


def _answer(response: Any) -> _Answer:
    """An answer out of the SDK's three kinds of response: the Web API's, the webhook's, and aiohttp's own."""
    status = getattr(response, "status_code", 0) or getattr(response, "status", 0)
    data = getattr(response, "data", None)
    body = data if isinstance(data, Mapping) else {}
    said = body.get("error") or getattr(response, "body", "") or ""
    word = str(said).strip()
    return _Answer(int(status), response.headers or {}, word if _WORD.fullmatch(word) else "", body)


def _silent_logger() -> logging.Logger:
    """A logger for the SDK, which logs the webhook's URL and every message at debug level."""
    logger = logging.getLogger("remediator.clients.slack.sdk")
    logger.setLevel(logging.WARNING)
    return logger
