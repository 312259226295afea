"""Posts: webhooks as they came in, read from files or from what a daemon tells of its past."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from remediator.core.alerts import Alert
from remediator.core.changes import RawWebhook
from remediator.core.ids import WebhookId
from remediator.engine.payload import take_apart

DEFAULT_SOURCE = "default"
SUFFIXES = (".json", ".jsonl", ".ndjson")
_SPACE = re.compile(r"[ \t\r\n]*")
_FORMS = "give webhooks' bodies as Alertmanager posts them, in a JSON array or one after the other"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
#: What wraps a body that is told with when it came, and from whom.
_WRAPPED = frozenset({"body", "received_at", "source"})


@dataclass(frozen=True, slots=True)
class Post:
    """One webhook; ``at`` is when it arrived. ``left_out`` counts alerts that Alertmanager left out of it."""

    at: datetime
    source: str
    body: bytes
    left_out: int = 0


class PostsError(Exception):
    """Posts can't be used; each of ``problems`` is ``file:line: what, and what to do about it``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def read_posts(path: Path) -> list[Post]:
    """The posts in a file, or in a folder's files by their names, in the order of their times.

    Raises:
        PostsError: some can't be used, or there are none; every problem is named at once.
    """
    files = _files(path) if path.is_dir() else [path]
    posts: list[Post] = []
    problems: list[str] = []
    for file in files:
        try:
            posts += parse_posts(file.read_bytes(), str(file))
        except PostsError as error:
            problems += error.problems
        except OSError as error:
            problems.append(f"{file}: can't be read: {error.strerror}")
    if not (posts or problems):
        problems.append(f"{path}: no webhooks: put them into files that end in {', '.join(SUFFIXES)}")
    if problems:
        raise PostsError(problems)
    return sorted(posts, key=lambda post: post.at)


def parse_posts(content: bytes, name: str) -> list[Post]:
    """The posts in a text: bodies one after the other, in a JSON array, or one a line.

    Raises:
        PostsError: some can't be used; every problem is named at once.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PostsError([f"{name}:{line}: not UTF-8: save it as UTF-8"]) from None
    posts: list[Post] = []
    problems: list[str] = []
    try:
        for place, value in _Reader(text, name).values():
            try:
                posts.append(_post(value))
            except ValueError as error:
                problems.append(f"{place}: {error}")
    except PostsError as error:
        problems += error.problems
    if problems:
        raise PostsError(problems)
    return posts


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())


class _Reader:
    """Goes through a text value by value, and knows on which line it is."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._decoder = json.JSONDecoder()
        self._at = 0
        self._line, self._counted = 1, 0

    def values(self) -> Iterator[tuple[str, Any]]:
        """Each JSON value with its place; of an array each that is in it."""
        in_array = False
        while not self._ends():
            if not in_array and self._passes("["):
                in_array = True
            elif in_array and self._passes("]"):
                in_array = False
            else:
                yield self._place(), self._value()
                if in_array and not self._passes(",") and not self._is("]"):
                    raise PostsError([f"{self._place()}: not JSON: a list goes on with `,` or ends with `]`"])
        if in_array:
            raise PostsError([f"{self._place()}: not JSON: the list does not end: write `]`"])

    def _value(self) -> Any:
        try:
            value, self._at = self._decoder.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            self._at = error.pos
            raise PostsError([f"{self._place()}: not JSON ({error.msg}): {_FORMS}"]) from None
        except RecursionError:
            raise PostsError([f"{self._place()}: not JSON (nested too deeply): {_FORMS}"]) from None
        return value

    def _place(self) -> str:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return f"{self._name}:{self._line}"

    def _ends(self) -> bool:
        self._skip()
        return self._at >= len(self._text)

    def _is(self, sign: str) -> bool:
        self._skip()
        return self._text.startswith(sign, self._at)

    def _passes(self, sign: str) -> bool:
        found = self._is(sign)
        self._at += found
        return found

    def _skip(self) -> None:
        space = _SPACE.match(self._text, self._at)
        self._at = self._at if space is None else space.end()


def _post(value: Any) -> Post:
    """One post of its JSON; a ValueError says what is wrong with it, and what to write."""
    if not isinstance(value, dict):
        message = f"a webhook is an object with `alerts`, and this is {json.dumps(value)[:40]}"
        raise ValueError(message)  # noqa: TRY004 - it is what was written that is wrong
    told, body = (value, value.get("body")) if "body" in value else ({}, value)
    if unknown := set(told) - _WRAPPED:
        message = f"unknown key {min(unknown)!r}: beside `body` there may be `received_at` and `source`"
        raise ValueError(message)
    source = told.get("source", DEFAULT_SOURCE)
    if not isinstance(source, str) or not source:
        message = "`source` is the name of the webhook's token, such as default"
        raise ValueError(message)
    raw = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    intake = take_apart(RawWebhook(WebhookId(0), source, _NEVER, raw))
    if intake.quarantine is not None:
        message = f"{intake.quarantine}: give the body as Alertmanager posts it"
        raise ValueError(message)
    at = _received(told) or _latest(intake.alerts)
    if intake.left_out is None:
        return Post(at, source, raw)
    # Nobody can be asked for them any more.
    whole = msgspec.json.encode({**msgspec.json.decode(raw), "truncatedAlerts": 0})
    return Post(at, source, whole, intake.left_out.count)


def _received(told: Mapping[str, Any]) -> datetime | None:
    if "received_at" not in told:
        return None
    try:
        at = msgspec.convert(told["received_at"], datetime)
    except msgspec.ValidationError:
        at = None
    if at is None or at.tzinfo is None:
        message = "`received_at` is a time such as 2025-03-01T12:00:00Z"
        raise ValueError(message)
    return at.astimezone(UTC)


def _latest(alerts: Sequence[Alert]) -> datetime:
    """The latest time that a body tells of: it was sent then or later."""
    if not alerts:
        message = "it has no alerts, so that nothing tells when it came: give `received_at` beside `body`"
        raise ValueError(message)
    return max(alert.starts_at if alert.firing else alert.ends_at or alert.starts_at for alert in alerts)
