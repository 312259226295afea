"""Clicks as Slack sends them: its published payload, signed by slack-sdk's own signer.

Shape: https://docs.slack.dev/reference/interaction-payloads/block_actions-payload.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from slack_sdk.signature import SignatureVerifier

from remediator.sandbox.slack import Message

SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"  # noqa: S105 - the one of Slack's own example


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request's headers and its body, which the signature covers."""

    headers: Mapping[str, str]
    body: bytes


def buttons(message: Message) -> Iterator[dict[str, Any]]:
    """The buttons that a message bears now."""
    for block in message.payload.get("blocks") or ():
        if block["type"] == "actions":
            yield from (element for element in block["elements"] if element["type"] == "button")


def click(message: Message, action_id: str, user: str, *, response_url: str, at: float) -> dict[str, Any]:
    """The payload of a click on one of a message's buttons; ``at`` is its time in seconds."""
    (button,) = [each for each in buttons(message) if each["action_id"] == action_id]
    return {
        "type": "block_actions",
        "user": {"id": user, "username": "jtorrance", "name": "jtorrance", "team_id": "T9TK3CUKW"},
        "api_app_id": "AABA1ABCD",
        "token": "9s8d9as89d8as9d8as989",
        "container": {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": message.channel,
            "is_ephemeral": False,
        },
        "trigger_id": "12321423423.333649436676.d8c1bb837935619ccad0f624c448ffb3",
        "team": {"id": "T9TK3CUKW", "domain": "example"},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": message.channel, "name": "review-updates"},
        "message": {"bot_id": "BAH5CA16Z", "type": "message", "ts": message.ts, **message.payload},
        "state": {"values": {}},
        "response_url": response_url,
        "actions": [
            {
                "action_id": action_id,
                "block_id": "=qXel",
                "text": button["text"],
                "value": button["value"],
                "type": "button",
                "action_ts": f"{at:.6f}",
            }
        ],
    }


def signed(payload: Mapping[str, Any], *, at: float, secret: str = SIGNING_SECRET) -> SignedRequest:
    """A payload as Slack posts it, signed for that time (seconds since 1970)."""
    return signed_body(urlencode({"payload": json.dumps(payload)}).encode(), at=at, secret=secret)


def signed_body(body: bytes, *, at: float, secret: str = SIGNING_SECRET) -> SignedRequest:
    """Any body, signed."""
    timestamp = str(int(at))
    signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=body)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": str(signature),
    }
    return SignedRequest(headers, body)
