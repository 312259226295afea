"""What settings are made of: tokens, people, addresses. A repr of these never shows a secret."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from remediator.core.targets import Target

#: The source of posts that come with an unnamed token, or with none where none is asked for.
DEFAULT_SOURCE = "default"
#: How log lines look.
LogFormat = Literal["console", "json"]


class SettingsError(Exception):
    """Settings that can't be used: ``problems`` names each variable with its remedy."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(("These settings can't be used:", *(f"  {each}" for each in problems))))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class NamedToken:
    """A bearer token; ``name`` is empty for one that was given without."""

    name: str
    token: SecretStr


class Role(StrEnum):
    """What a person may do with the API; an operator may also view."""

    VIEWER = "viewer"
    OPERATOR = "operator"


class Operator(BaseModel):
    """A person of ``OPERATORS_FILE``; with ``namespaces`` they only act on targets within those.

    ``slack`` is the id of their Slack user, whose clicks are theirs; without one, no click is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}$")]
    token_hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", repr=False)]
    roles: Annotated[frozenset[Role], Field(min_length=1)]
    namespaces: frozenset[str] = frozenset()
    slack: Annotated[str, Field(pattern=r"^[UW][A-Z0-9]{2,30}$")] | None = None

    def may_act_on(self, target: Target) -> bool:
        """Whether they may change the target, and so approve what others would do to it."""
        within = not self.namespaces or target.namespace in self.namespaces
        return Role.OPERATOR in self.roles and within


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may post webhooks, look, and act."""

    webhook: tuple[NamedToken, ...] = ()
    viewer: tuple[NamedToken, ...] = ()
    operator: tuple[NamedToken, ...] = ()
    operators: tuple[Operator, ...] = ()

    def approvers(self, target: Target) -> tuple[str, ...]:
        """The names of those who may approve what is done to a target."""
        return tuple(each.name for each in self.operators if each.may_act_on(target))

    @property
    def sources(self) -> frozenset[str]:
        """The sources that webhooks may come from."""
        named = frozenset(each.name or DEFAULT_SOURCE for each in self.webhook)
        return named or frozenset({DEFAULT_SOURCE})

    @property
    def api_is_open(self) -> bool:
        """Whether nobody has to say who they are, which only loopback may be."""
        return not (self.viewer or self.operator or self.operators)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes any that is free."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
