"""Clicks on Slack's buttons: whether Slack sent them, and what only who clicked is told about it."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from remediator.clients.slack import Missing, SlackBot, SlackSignature, SlackWebhook
from remediator.core.ports.channels import Delivered, Delivery, Rejected
from remediator.notify.text import inline

_log = structlog.get_logger(__name__)


class SlackClicks:
    """Knows Slack by its signature, and whispers as the bot, else by the click's own ``response_url``.

    A whisper is neither kept nor made again: whoever hears none still sees the message as it is.
    """

    def __init__(self, signature: SlackSignature, bot: SlackBot | None) -> None:
        self._signature = signature
        self._bot = bot

    def is_slacks(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether Slack signed this very body, a short while ago."""
        return self._signature.holds(body, headers)

    async def whisper(self, text: str, *, channel: str, user: str, response_url: str) -> None:
        """Tell who clicked one line of anybody's text; log it if that can't be done."""
        told = await self._whispered(inline(text), channel, user, response_url)
        if not isinstance(told, Delivered):
            _log.warning("who clicked was not told", user=user, text=text, why=told.detail)

    async def _whispered(self, text: str, channel: str, user: str, response_url: str) -> Delivery | Missing:
        told: Delivery | Missing = Rejected("the click names no place to answer it")
        if self._bot is not None and channel:
            told = await self._bot.whisper(text, channel=channel, user=user)
        if not isinstance(told, Delivered) and response_url:
            told = await SlackWebhook(response_url).whisper(text)
        return told
