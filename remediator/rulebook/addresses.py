"""Where people are told: channels, persons in Slack, routing keys, and where a secret is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from remediator.core.references import Keeper, Reference
from remediator.rulebook.fields import json_schema, named, text
from remediator.rulebook.problems import shown

#: The channels that a report may go to, by what stands before the colon.
CHANNEL_SCHEMES = ("slack", "log")


# Slack's names for channels, and its ids: https://api.slack.com/methods/conversations.create
_SLACK = re.compile(r"#[^\s#@,:A-Z]{1,80}|[CGDU][A-Z0-9]{5,20}")
_SLACK_ID = re.compile(r"[UWS][A-Z0-9]{5,20}")
#: A key itself has 32 characters, and is no name.
_KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,30}")
_WEBHOOK = "slack_webhook"
_LOG = re.compile(r"[-\w.]{0,60}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_key_name = named(_KEY_NAME, "a routing key's name", "write the name of the key, never the key")


def channel(value: str) -> str:
    """Read a channel such as ``slack:#incidents``.

    Raises:
        ValueError: its scheme is unknown, or what follows is nothing that the scheme knows.
    """
    scheme, _, rest = value.partition(":")
    if scheme not in CHANNEL_SCHEMES or (scheme == "slack" and ":" not in value):
        example = f"slack:{value}" if value.startswith("#") else "slack:#incidents"
        message = f"{shown(value)} is no channel: write it as {example}, or log"
        raise ValueError(message)
    if scheme == "slack" and _SLACK.fullmatch(rest) is None:
        message = f"{shown(rest)} is no Slack channel: write slack:#name in lower case, or slack: and its id"
        raise ValueError(message)
    if scheme == "log" and _LOG.fullmatch(rest) is None:
        message = f"{shown(value)} is no channel: write log alone, or log:word"
        raise ValueError(message)
    return value


def _channel(value: object) -> str:
    return channel(text(value, "a channel such as slack:#incidents"))


def _reference(value: object) -> Reference:
    keeper, name = next(iter(value.items())) if isinstance(value, Mapping) and len(value) == 1 else ("", "")
    if keeper not in tuple(Keeper) or not isinstance(name, str) or not name:
        message = (
            "write where the secret is kept, as {env: NAME} or {file: PATH}, and never the secret itself"
        )
        raise ValueError(message)
    if keeper == Keeper.ENV and _ENV_NAME.fullmatch(name) is None:
        message = f"{shown(name)} is no variable's name: use letters, digits and `_`"
        raise ValueError(message)
    if keeper == Keeper.FILE and not (name.startswith("/") and name.isprintable()):
        message = f"{shown(name)} is no absolute path: begin it with /"
        raise ValueError(message)
    return Reference(Keeper(keeper), name)


def _webhook_or_channel(value: object) -> str:
    if not isinstance(value, Mapping):
        return _channel(value)
    if list(value) != [_WEBHOOK]:
        message = f"a channel is a text such as slack:#incidents, or {{{_WEBHOOK}: {{env: NAME}}}}"
        raise ValueError(message)
    return f"slack:{_reference(value[_WEBHOOK])}"


def _key(value: object) -> str:
    return f"{_reference(value)}" if isinstance(value, Mapping) else _key_name(value)


SlackId = Annotated[
    str,
    PlainValidator(named(_SLACK_ID, "a Slack id", "write that of a person, U…, or of a group, S…")),
    json_schema("string", "S0123456789", pattern=f"^{_SLACK_ID.pattern}$"),
]
_REFERENCE = {
    "type": "object",
    "description": "Where a secret is kept: a variable of the daemon's environment, or a file.",
    "properties": {
        "env": {
            "type": "string",
            "pattern": f"^{_ENV_NAME.pattern}$",
            "description": "The variable's name.",
            "examples": ["LEAD_ROUTING_KEY"],
        },
        "file": {
            "type": "string",
            "pattern": "^/",
            "description": "The file's absolute path.",
            "examples": ["/etc/remediator/keys/lead"],
        },
    },
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "examples": [{"env": "LEAD_ROUTING_KEY"}],
}
#: A routing key's name, or a reference to one as text.
RoutingKey = Annotated[
    str,
    PlainValidator(_key),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "examples": ["lead"], "pattern": f"^{_KEY_NAME.pattern}$"}, _REFERENCE]}
    ),
]
#: A channel; that of an incoming webhook has the reference to its URL for a name.
Channel = Annotated[
    str,
    PlainValidator(_webhook_or_channel),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["slack:#incidents", "log"]},
                {
                    "type": "object",
                    "description": "A channel of Slack that an incoming webhook posts to.",
                    "properties": {_WEBHOOK: _REFERENCE},
                    "required": [_WEBHOOK],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
