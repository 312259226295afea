"""Secrets: from a variable, or from the file that the variable with ``_FILE`` behind it names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from remediator.core.manual import SOURCE as MANUAL
from remediator.settings.parse import read_text, url
from remediator.settings.values import NamedToken

PREFIX = "REMEDIATOR_"
TOKENS = ("webhook_token", "operator_token", "viewer_token")
SECRETS = (
    *TOKENS,
    "slack_webhook_url",
    "slack_bot_token",
    "slack_signing_secret",
    "pagerduty_routing_key",
    "alertmanager_token",
    "heartbeat_url",
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


@dataclass(frozen=True, slots=True)
class _FromFile:
    """A secret's text as its file holds it."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Unusable:
    """Why a secret's source can't be used; becomes that field's problem."""

    why: str


def _secret_text(value: object) -> object:
    if isinstance(value, _Unusable):
        raise ValueError(value.why)  # noqa: TRY004 - pydantic collects ValueErrors; nothing is of a wrong type
    return value.text if isinstance(value, _FromFile) else value


def _one_line(value: object) -> object:
    value = _secret_text(value)
    if isinstance(value, str) and (not value.isprintable() or value != value.strip()):
        raise ValueError("holds a line break, a space at an end or a control character: give one plain line")
    return value


def _tokens(value: object) -> object:
    """One inline token, taken whole, or a file's lines ``token`` and ``name:token``."""
    if isinstance(value, _FromFile):
        return tuple(_token_lines(value.text))
    value = _one_line(value)
    return (NamedToken("", SecretStr(value)),) if isinstance(value, str) else value


def _token_lines(text: str) -> Iterator[NamedToken]:
    known: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        before, colon, after = line.strip().partition(":")
        name, token = (before.strip(), after.strip()) if colon else ("", before)
        if colon and _NAME.fullmatch(name) is None:
            raise ValueError(
                f"line {number}: write `token` or `name:token`, the name of letters, digits, . _ -"
            )
        if name == MANUAL:
            raise ValueError(f"line {number}: {MANUAL} is the source of runs by hand; give it another name")
        if not token:
            raise ValueError(f"line {number}: nothing follows the name; write `name:token`")
        if not token.isprintable():
            raise ValueError(f"line {number}: the token holds a control character")
        if known.setdefault(token, name) != name:
            raise ValueError(f"line {number}: the same token has another name further up; give each its own")
        yield NamedToken(name, SecretStr(token))
    if not known:
        raise ValueError("the file holds no token: write one `token` or `name:token` per line")


def _keys(value: object) -> object:
    """One inline key, taken whole, or a file's lines ``key`` and ``name:key``, of each name one."""
    keys = _tokens(value)
    if isinstance(keys, tuple):
        names = [each.name for each in keys]
        if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
            which = f"called {twice}" if twice else "without a name"
            raise ValueError(f"the file holds two keys {which}: leave one, or give each a name of its own")
    return keys


def _secret_url(value: object) -> object:
    value = _one_line(value)
    return url(value) if isinstance(value, str) else value


Tokens = Annotated[tuple[NamedToken, ...], BeforeValidator(_tokens), Field(repr=False)]
Keys = Annotated[tuple[NamedToken, ...], BeforeValidator(_keys), Field(repr=False)]
Secret = Annotated[SecretStr | None, BeforeValidator(_one_line)]
SecretUrl = Annotated[SecretStr | None, BeforeValidator(_secret_url)]


class SecretSource(PydanticBaseSettingsSource):
    """Reads the ``..._FILE`` variables, and finds tokens that are set to nothing."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:
        raise NotImplementedError  # __call__ answers for all fields at once

    def __call__(self) -> dict[str, Any]:
        return {
            name: found for name in SECRETS if (found := self._find(PREFIX + name.upper(), name)) is not None
        }

    def _find(self, variable: str, name: str) -> _FromFile | _Unusable | None:
        inline, file = os.environ.get(variable), os.environ.get(f"{variable}_FILE")
        if inline and file:
            return _Unusable(f"is set together with {variable}_FILE: unset one of them")
        if name in TOKENS and "" in (inline, file):
            # An empty token would open what was meant to be closed.
            return _Unusable("is set to nothing: give it a value or unset it")
        if not file:
            return None
        try:
            text = read_text(Path(file)).rstrip("\r\n")
        except ValueError as error:
            return _Unusable(f"is to come from {variable}_FILE, but {error}")
        return (
            _FromFile(text)
            if text or name in TOKENS
            else _Unusable(f"is to come from {file}, which is empty")
        )
