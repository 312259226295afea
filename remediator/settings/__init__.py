"""Settings: ``REMEDIATOR_*`` from the environment, read once, every problem named at once.

Each secret may instead be in a file, named by the variable with ``_FILE`` behind it. No message and no
repr ever holds a secret's value (law 12).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from remediator.core.rules import Mode
from remediator.settings import parse
from remediator.settings.secrets import PREFIX, SECRETS, Keys, Secret, SecretSource, SecretUrl, Tokens
from remediator.settings.values import (
    DEFAULT_SOURCE,
    Address,
    Credentials,
    LogFormat,
    NamedToken,
    Operator,
    Role,
    SettingsError,
)

__all__ = [
    "DEFAULT_SOURCE",
    "Address",
    "ClientSettings",
    "Credentials",
    "LogFormat",
    "NamedToken",
    "Operator",
    "Role",
    "Settings",
    "SettingsError",
    "load_client_settings",
    "load_settings",
]

#: What Kubernetes puts into the environment of every pod for a Service that is called `remediator`.
_SERVICE_LINKS = re.compile(r"REMEDIATOR_(?:SERVICE_|PORT$|PORT_)")


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        enable_decoding=False,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        return init_settings, SecretSource(settings_cls), env_settings


class Settings(_Environment):
    """Everything that the environment decides; see the fields for units and what ``None`` means."""

    listen: Annotated[Address, BeforeValidator(parse.text(parse.address))] = Address("127.0.0.1", 9095)
    tls_cert: Annotated[Path | None, BeforeValidator(parse.text(parse.readable))] = None
    tls_key: Annotated[Path | None, BeforeValidator(parse.text(parse.readable))] = None
    #: The ledger's URL, not shown since it may hold a password; a relative path starts where the daemon did.
    store: Annotated[str, BeforeValidator(parse.text(parse.store)), Field(repr=False)] = (
        "sqlite:///remediator.db"
    )
    #: How long a dead replica holds what it worked on.
    lease_ttl: Annotated[timedelta, BeforeValidator(parse.text(parse.ttl))] = timedelta(seconds=15)
    #: A file, or a folder of ``*.yaml``.
    rules: Path = Path("rules")
    mode: Annotated[Mode, BeforeValidator(parse.text(parse.mode))] = Mode.OBSERVE
    webhook_token: Tokens = ()
    operator_token: Tokens = ()
    viewer_token: Tokens = ()
    operators_file: Annotated[tuple[Operator, ...], BeforeValidator(parse.text(parse.operators))] = ()
    slack_webhook_url: SecretUrl = None
    slack_bot_token: Secret = None
    slack_signing_secret: Secret = None
    slack_api_url: Annotated[str, BeforeValidator(parse.text(parse.slack_api))] = "https://slack.com/api/"
    #: PagerDuty's integration keys: the unnamed one is whoever is on call, the named ones are contacts'.
    pagerduty_routing_key: Keys = ()
    #: The whole enqueue URL.
    pagerduty_url: Annotated[str, BeforeValidator(parse.text(parse.url))] = (
        "https://events.pagerduty.com/v2/enqueue"
    )
    #: Every replica's base URL, without a trailing slash; may hold a user and password.
    alertmanager_url: Annotated[
        tuple[str, ...], BeforeValidator(parse.text(parse.bases)), Field(repr=False)
    ] = ()
    #: Sent as a bearer's to each of them whose URL has no user.
    alertmanager_token: Secret = None
    #: Certificates to trust there, instead of the system's.
    alertmanager_ca: Annotated[Path | None, BeforeValidator(parse.text(parse.certificates))] = None
    #: Asked for with each Watchdog that arrives; without one, nobody outside is told.
    heartbeat_url: SecretUrl = None
    prometheus_url: Annotated[str | None, BeforeValidator(parse.text(parse.base)), Field(repr=False)] = None
    log_format: Annotated[LogFormat, BeforeValidator(parse.text(parse.log_format))] = "console"

    @property
    def credentials(self) -> Credentials:
        """Who may post, look and act."""
        return Credentials(self.webhook_token, self.viewer_token, self.operator_token, self.operators_file)

    @property
    def secrets(self) -> frozenset[str]:
        """Every secret's text, for the logs to mask."""
        tokens = (
            *self.webhook_token,
            *self.operator_token,
            *self.viewer_token,
            *self.pagerduty_routing_key,
        )
        single = (
            self.slack_webhook_url,
            self.slack_bot_token,
            self.slack_signing_secret,
            self.alertmanager_token,
            self.heartbeat_url,
        )
        urls = (*self.alertmanager_url, self.prometheus_url or "", self.store)
        passwords = [found for each in urls if (found := urlsplit(each).password)]
        return frozenset(
            (
                *(each.token.get_secret_value() for each in tokens),
                *(each.get_secret_value() for each in single if each is not None),
                *passwords,
                *map(unquote, passwords),
            )
        )

    @property
    def pagerduty_keys(self) -> dict[str, str]:
        """PagerDuty's routing keys by name; the unnamed one has the empty name."""
        return {each.name: each.token.get_secret_value() for each in self.pagerduty_routing_key}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but probably not meant, each with its remedy."""
        return (*self._exposed(), *self._unanswerable(), *self._unbuilt(), *_unknown())

    def _unanswerable(self) -> Iterator[str]:
        """Ways to ask people by which nobody can answer."""
        if self.mode is Mode.APPROVE and not self.operators_file:
            yield "REMEDIATOR_MODE: approve, and nobody can: name people in REMEDIATOR_OPERATORS_FILE"
        if self.slack_signing_secret is None:
            return
        if self.slack_bot_token is None:
            yield (
                "REMEDIATOR_SLACK_SIGNING_SECRET: without REMEDIATOR_SLACK_BOT_TOKEN no message has buttons:"
                " set it, or unset this"
            )
        elif not any(each.slack for each in self.operators_file):
            yield (
                "REMEDIATOR_SLACK_SIGNING_SECRET: nobody's clicks count: write `slack: U...`, the id of their"
                " Slack user, to people of REMEDIATOR_OPERATORS_FILE"
            )

    def _unbuilt(self) -> Iterator[str]:
        """What is set and does nothing in this version."""
        if self.prometheus_url is not None:
            yield "REMEDIATOR_PROMETHEUS_URL: no check asks Prometheus yet: unset it"

    def _exposed(self) -> Iterator[str]:
        if not self.listen.is_loopback and self.tls_cert is None:
            yield (
                f"REMEDIATOR_LISTEN: {self.listen} is beyond loopback without TLS, so tokens can be read:"
                " set REMEDIATOR_TLS_CERT and REMEDIATOR_TLS_KEY, or keep it behind what does TLS"
            )

    def conflicts(self) -> Iterator[str]:
        """What each setting allows and together they don't, each with its remedy."""
        if (self.tls_cert is None) is not (self.tls_key is None):
            missing, given = ("KEY", "CERT") if self.tls_key is None else ("CERT", "KEY")
            yield f"REMEDIATOR_TLS_{missing}: is missing beside REMEDIATOR_TLS_{given}: set both or none"
        if not self.listen.is_loopback:
            where = f"listening on {self.listen}, beyond loopback, needs one"
            if not self.webhook_token:
                yield f"REMEDIATOR_WEBHOOK_TOKEN: {where}: set it or REMEDIATOR_WEBHOOK_TOKEN_FILE"
            if self.credentials.api_is_open:
                yield (
                    f"REMEDIATOR_OPERATOR_TOKEN: {where}: set it or REMEDIATOR_OPERATOR_TOKEN_FILE"
                    " (or only VIEWER_TOKEN, or OPERATORS_FILE)"
                )


class ClientSettings(_Environment):
    """What the command line needs to speak to a daemon; ``token`` is the strongest that is set."""

    url: Annotated[str | None, BeforeValidator(parse.text(parse.base))] = None
    listen: Annotated[Address, BeforeValidator(parse.text(parse.address))] = Address("127.0.0.1", 9095)
    tls_cert: Path | None = None
    operator_token: Tokens = ()
    viewer_token: Tokens = ()

    @property
    def base_url(self) -> str:
        """Where the daemon answers, without a trailing slash; from ``LISTEN`` if ``URL`` is unset."""
        if self.url is not None:
            return self.url
        # Who listens everywhere is reached on loopback.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.listen.host, self.listen.host)  # noqa: S104 - read, not bound
        return f"{'https' if self.tls_cert else 'http'}://{Address(host, self.listen.port)}"

    @property
    def token(self) -> SecretStr | None:
        first = next(iter((*self.operator_token, *self.viewer_token)), None)
        return None if first is None else first.token


_Loaded = TypeVar("_Loaded", bound=_Environment)


def load_settings() -> Settings:
    """Read the daemon's settings.

    Raises:
        SettingsError: some can't be used; every problem is named at once.
    """
    settings, problems = _load(Settings)
    wrong = {problem.partition(":")[0] for problem in problems}
    problems += [each for each in settings.conflicts() if each.partition(":")[0] not in wrong]
    if problems:
        raise SettingsError(tuple(problems))
    return settings


def load_client_settings() -> ClientSettings:
    """Read what the command line needs; a server's other settings may be wrong.

    Raises:
        SettingsError: some can't be used; every problem is named at once.
    """
    settings, problems = _load(ClientSettings)
    if problems:
        raise SettingsError(tuple(problems))
    return settings


def _load(model: type[_Loaded]) -> tuple[_Loaded, list[str]]:
    """Read a model; fields that can't be used have their defaults and a problem each."""
    try:
        return model(), []
    except ValidationError as error:
        found = error.errors(include_input=False)
        wrong = {str(each["loc"][0]) for each in found}
        defaults = {name: model.model_fields[name].default for name in wrong}
        return model(**defaults), [_problem(each) for each in found]


def _problem(error: ErrorDetails) -> str:
    cause = error.get("ctx", {}).get("error")
    return f"{PREFIX}{str(error['loc'][0]).upper()}: {cause or error['msg']}"


def _unknown() -> Iterator[str]:
    names = [PREFIX + name.upper() for name in {*Settings.model_fields, *ClientSettings.model_fields}]
    known = {*names, *(f"{PREFIX}{name.upper()}_FILE" for name in SECRETS)}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name.upper() not in known and not _SERVICE_LINKS.match(name):
            near = difflib.get_close_matches(name, known, 1)
            yield f"{name}: is no setting" + (f"; did you mean {near[0]}?" if near else " and does nothing")
