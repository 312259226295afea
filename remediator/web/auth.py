"""Who is asking: bearer or basic tokens, compared in constant time."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Final
from urllib.parse import urlsplit

from remediator.core.targets import Target
from remediator.settings import DEFAULT_SOURCE, Credentials, NamedToken, Operator, Role

#: Who acts where nobody has to say who they are.
LOCAL: Final = "local"
#: Who acts with an unnamed ``OPERATOR_TOKEN``; it is nobody in particular.
ANY_OPERATOR: Final = "operator"


def presented_token(authorization: str | None) -> bytes | None:
    """The token of an ``Authorization`` header: a bearer's, or a basic password (whoever the user is)."""
    if not authorization:
        return None
    scheme, _, rest = authorization.partition(" ")
    kind = scheme.lower()
    if kind == "bearer":
        return rest.strip().encode("utf-8", "surrogateescape") or None
    if kind != "basic":
        return None
    try:
        _, colon, password = base64.b64decode(rest, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return password if colon and password else None


class WebhookAuth:
    """Gives the source that a webhook's token names; without tokens everybody is the default source."""

    def __init__(self, tokens: tuple[NamedToken, ...]) -> None:
        self.is_open = not tokens
        self._tokens = [
            (each.token.get_secret_value().encode(), each.name or DEFAULT_SOURCE) for each in tokens
        ]

    def source(self, authorization: str | None) -> str | None:
        """The source, or ``None`` for a wrong or missing token."""
        if self.is_open:
            return DEFAULT_SOURCE
        presented = presented_token(authorization)
        if presented is None:
            return None
        found = None
        for token, name in self._tokens:
            if compare_digest(token, presented):
                found = name
        return found


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. ``named`` is a person; with ``namespaces`` they act on targets within those only."""

    name: str
    may_operate: bool
    named: bool = False
    namespaces: frozenset[str] = field(default=frozenset())

    def may_act_on(self, target: Target) -> bool:
        return not self.namespaces or target.namespace in self.namespaces


class ApiAuth:
    """Knows viewers, operators and people by their tokens' hashes."""

    def __init__(self, credentials: Credentials) -> None:
        self.is_open = credentials.api_is_open
        self._known = [
            *((_hash(each.token.get_secret_value().encode()), _viewer(each)) for each in credentials.viewer),
            *((_hash(each.token.get_secret_value().encode()), _bare(each)) for each in credentials.operator),
            *((each.token_hash.removeprefix("sha256:"), _person(each)) for each in credentials.operators),
        ]

    def principal(self, authorization: str | None) -> Principal | None:
        """Who holds the token, or ``None`` for a wrong or missing one."""
        if self.is_open:
            return Principal(LOCAL, may_operate=True)
        presented = presented_token(authorization)
        if presented is None:
            return None
        digest, found = _hash(presented), None
        for known, principal in self._known:
            if compare_digest(known, digest):
                found = principal
        return found


def people_by_slack(credentials: Credentials) -> Mapping[str, Principal]:
    """People by the ids of their Slack users, for those that have one."""
    return {each.slack: _person(each) for each in credentials.operators if each.slack is not None}


def _person(each: Operator) -> Principal:
    return Principal(each.name, Role.OPERATOR in each.roles, named=True, namespaces=each.namespaces)


def _hash(token: bytes) -> str:
    return sha256(token).hexdigest()


def _viewer(token: NamedToken) -> Principal:
    return Principal(token.name or Role.VIEWER.value, may_operate=False)


def _bare(token: NamedToken) -> Principal:
    return Principal(token.name or ANY_OPERATOR, may_operate=True)


def is_loopback_host(host: str | None) -> bool:
    """Whether a ``Host`` header names this machine; a page of elsewhere that was rebound to it does not."""
    try:
        name = urlsplit(f"//{host or ''}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
