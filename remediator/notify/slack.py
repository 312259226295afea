"""Notices to Slack: a thread per run with a bot's token, one after the other through an incoming webhook."""

from __future__ import annotations

from typing import Final

from remediator.clients.slack import Missing, Place, SlackBot, SlackWebhook
from remediator.core.notices import Envelope, Notice
from remediator.core.ports.channels import Delivered, Delivery, Notifier, Rejected
from remediator.core.references import Reference
from remediator.notify.messages import SlackMessage, render
from remediator.settings.references import secret


class SlackNotifier:
    """Delivers to ``slack:#channel``. With both a bot and a webhook, the bot is used.

    With a **bot**, the first envelope of a thread is posted and what follows is posted below it, pages so
    that the channel sees them too. An envelope whose key was sent before replaces that message in place,
    which rings nobody: what must ring is sent without a key or ``standalone``. What was to be replaced or
    answered and is gone is posted anew. Refs are ``CHANNEL-ID:TS``.

    With only a **webhook**, every channel is the webhook's own, and nothing can be replaced or threaded. So
    of a key's envelopes the first is posted and then only pages and what is final; those in between count as
    delivered, with the same ref, though nothing is sent: the final one tells the whole story anyway.

    What is addressed to a **reference** (``slack:env=NAME``) goes through the webhook whose URL is kept
    there, read anew for each. With neither bot nor webhook everything else is ``otherwise``'s.

    A ``standalone`` envelope is always a message of its own. With ``buttons``, a bot's messages bear them:
    clicks come back to ``POST /slack/interactivity``, which needs Slack's signing secret.
    """

    scheme: Final = "slack"

    def __init__(
        self,
        *,
        bot: SlackBot | None = None,
        webhook: SlackWebhook | None = None,
        otherwise: Notifier | None = None,
        buttons: bool = False,
    ) -> None:
        if bot is None and webhook is None and otherwise is None:
            raise ValueError("Slack needs a bot's token or an incoming webhook's URL")
        self._bot = bot
        self._webhook = webhook
        self._otherwise = otherwise
        self._buttons = buttons

    async def deliver(self, envelope: Envelope, *, head: str, sent: str) -> Delivery:
        """Deliver one envelope, as :class:`remediator.core.ports.channels.Notifier` describes."""
        if envelope.standalone:
            head = sent = ""
        reference = Reference.parse(envelope.channel.partition(":")[2])
        if reference is not None:
            return await _by_reference(reference, envelope.notice, sent)
        if self._bot is not None:
            message = render(envelope.notice, buttons=self._buttons)
            return await _by_bot(self._bot, envelope, message, Place.parse(head), Place.parse(sent))
        if self._webhook is not None:
            return await _by_webhook(self._webhook, envelope.notice, sent)
        if self._otherwise is not None:
            return await self._otherwise.deliver(envelope, head=head, sent=sent)
        return Delivered(sent)


async def _by_reference(reference: Reference, notice: Notice, sent: str) -> Delivery:
    try:
        url = secret(reference)
    except ValueError as error:
        return Rejected(f"there is no webhook's URL: {error}")
    return await _by_webhook(SlackWebhook(url), notice, sent)


async def _by_webhook(webhook: SlackWebhook, notice: Notice, sent: str) -> Delivery:
    if sent and not (notice.final or notice.page):
        return Delivered(sent)
    message = render(notice)
    return await webhook.post(message.text, message.blocks)


async def _by_bot(
    bot: SlackBot, envelope: Envelope, message: SlackMessage, head: Place | None, sent: Place | None
) -> Delivery:
    channel = envelope.channel.removeprefix("slack:").strip()
    if not channel.removeprefix("#"):
        return Rejected(f"{envelope.channel!r} names no Slack channel: write slack:#name in the rule")
    if sent is not None:
        updated = await bot.update(message.text, message.blocks, place=sent)
        if not isinstance(updated, Missing):
            return updated
    if head is not None and head != sent:
        answered = await bot.post(
            message.text,
            message.blocks,
            channel=head.channel,
            thread=head.ts,
            broadcast=envelope.notice.page,
        )
        if not isinstance(answered, Missing):
            return answered
    return await _posted(bot, message, channel)


async def _posted(bot: SlackBot, message: SlackMessage, channel: str) -> Delivery:
    posted = await bot.post(message.text, message.blocks, channel=channel)
    return Rejected(posted.detail) if isinstance(posted, Missing) else posted
