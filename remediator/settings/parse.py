"""How each variable's text is read. Messages name what is wrong and what to write, never a secret's value."""

from __future__ import annotations

import difflib
import re
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import TypeAdapter, ValidationError

from remediator.core.durations import parse_duration
from remediator.core.rules import Mode
from remediator.settings.values import Address, LogFormat, Operator

_SHORTEST_TTL, _LONGEST_TTL = timedelta(seconds=1), timedelta(minutes=10)
_Value = TypeVar("_Value")


def text(parse: Callable[[str], _Value]) -> Callable[[object], object]:
    """Parse text, and let values that are parsed already (defaults) through."""
    return lambda value: parse(value) if isinstance(value, str) else value


def address(text: str) -> Address:
    """Read ``host:port``."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]*)):(\d{1,5})", text)
    if found is None or int(found[3]) > 65_535:
        raise ValueError(
            "is no address: write host:port, such as 127.0.0.1:9095, [::1]:9095 or :9095 for all"
        )
    return Address(found[1] or found[2] or "0.0.0.0", int(found[3]))  # noqa: S104 - what `:9095` asks for


def store(text: str) -> str:
    """Check the ledger's URL; what follows ``postgresql://`` is asyncpg's to read."""
    if text.startswith(("postgresql://", "postgres://")):
        return text
    scheme, _, path = text.partition(":///")
    if scheme != "sqlite" or not path or path.startswith(":memory:"):
        raise ValueError(
            "is no ledger: write sqlite:///relative.db, sqlite:////absolute.db or"
            " postgresql://user@host/database"
        )
    return text


def ttl(text: str) -> timedelta:
    """Read a lease's length."""
    length = parse_duration(text)
    if not _SHORTEST_TTL <= length <= _LONGEST_TTL:
        raise ValueError("must be from 1s to 10m, such as 15s")
    return length


def mode(text: str) -> Mode:
    """Read a mode's word."""
    return Mode[_word(text, tuple(mode.word for mode in Mode)).upper()]


def log_format(text: str) -> LogFormat:
    """Read a log format's word."""
    return "json" if _word(text, ("console", "json")) == "json" else "console"


def _word(text: str, words: tuple[str, ...]) -> str:
    word = text.strip().lower()
    if word not in words:
        near = difflib.get_close_matches(word, words, 1)
        hint = f"did you mean {near[0]}?" if near else f"write one of {', '.join(words)}"
        raise ValueError(f"is not known: {hint}")
    return word


def url(text: str) -> str:
    """Check a URL and leave it as it is."""
    message = "is no URL: write http://host:port or https://host"
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        raise ValueError(message) from None
    if not usable or not text.isprintable() or " " in text:
        raise ValueError(message)
    return text


def base(text: str) -> str:
    """Check a base URL, and take its trailing slash away."""
    return url(text).rstrip("/")


def bases(text: str) -> tuple[str, ...]:
    """Read base URLs between commas."""
    return tuple(base(each.strip()) for each in text.split(",") if each.strip())


def slack_api(text: str) -> str:
    """Check the base URL of Slack's Web API."""
    if not url(text).endswith("/api/"):
        raise ValueError("must end in /api/, such as https://slack.com/api/")
    return text


def operators(text: str) -> tuple[Operator, ...]:
    """Read the people of the file with this path."""
    try:
        listed = yaml.safe_load(read_text(Path(text)))
        people = TypeAdapter(tuple[Operator, ...]).validate_python(listed or ())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ValueError(f"{text}{where}: is no YAML") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the top"
        raise ValueError(
            f"{text}: {place}: {first['msg']}; write a list of"
            " {name: ada, token_hash: 'sha256:<64 hex digits>', roles: [operator], namespaces: [shop],"
            " slack: U012AB3CD}"
        ) from None
    if not people:
        raise ValueError(f"{text} names nobody: list people, or unset it")
    for key in ("name", "token_hash", "slack"):
        values = [value for person in people if (value := getattr(person, key)) is not None]
        if len(set(values)) < len(values):
            raise ValueError(f"{text}: two people share a {key}; give each their own")
    return people


def read_text(path: Path) -> str:
    """Read a file.

    Raises:
        ValueError: it can't be read; the message names it.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"{path} can't be read: {error.strerror}; check the path and who may read it"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None


def readable(text: str) -> Path:
    """Check that the file with this path can be read."""
    read_text(Path(text))
    return Path(text)


def certificates(text: str) -> Path:
    """Check that the file with this path holds certificates."""
    path = readable(text)
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"{text} holds no certificates: give it one or more in PEM") from None
    return path
