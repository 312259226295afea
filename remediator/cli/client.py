"""Speaks to a running daemon's API, and says plainly why it can't."""

from __future__ import annotations

import http.client
import json
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, NoReturn
from urllib.parse import urlencode

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from remediator.notify.text import clean
from remediator.settings import SettingsError, load_client_settings

_TIMEOUT_SECONDS = 25.0
#: A large file is made before its first byte comes.
_DOWNLOAD_SECONDS = 600.0


class Terminal(Console):
    """Lets no terminal obey control characters in other people's text, such as an alert's labels."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The parts to be written; colours and moves of our own are in styles and control segments."""
        for part in super().render(renderable, options):
            yield part if part.control else part._replace(text=clean(part.text))


def console() -> Console:
    """Standard output: colours only on a terminal, and wide enough not to break lines for a pipe."""
    return Terminal(highlight=False, width=None if sys.stdout.isatty() else 160)


def ask(method: str, path: str, body: Mapping[str, object] | None = None, **query: object) -> Any:
    """The daemon's JSON answer; anything else ends the command with exit code 1 and a remedy."""
    with _answer(method, path, body, query, _TIMEOUT_SECONDS) as answer:
        return json.load(answer)


def download(path: str, file: BinaryIO) -> None:
    """Write what the daemon sends into a file; anything else ends the command as in :func:`ask`."""
    with _answer("GET", path, None, {}, _DOWNLOAD_SECONDS) as answer:
        length = int(answer.headers["Content-Length"])
        shutil.copyfileobj(answer, file)
        if file.tell() != length:
            message = f"the answer ended after {file.tell()} of {length} bytes"
            raise ValueError(message)


@contextmanager
def _answer(
    method: str, path: str, body: Mapping[str, object] | None, query: Mapping[str, object], timeout: float
) -> Iterator[http.client.HTTPResponse]:
    """The daemon's answer, whatever goes wrong until it was read ends the command."""
    try:
        settings = load_client_settings()
    except SettingsError as error:
        _stop(str(error))
    given = {name: value for name, value in query.items() if value is not None}
    url = f"{settings.base_url}/api/v1{path}{'?' + urlencode(given) if given else ''}"
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if settings.token is not None:
        headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - http(s) by settings
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310 - as above
            yield answer
    except urllib.error.HTTPError as error:
        _stop(_explained(error))
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        _stop(
            f"no Remediator answers at {settings.base_url}: {reason}\n"
            "Is `remediator serve` running? Set REMEDIATOR_URL to where it listens."
        )


def one_line(text: str) -> str:
    """A line as it is, but what others wrote in it neither breaks it nor commands the terminal."""
    return clean(text).replace("\n", " ")


def say(text: str) -> None:
    """One line on standard output."""
    click.echo(one_line(text))


def print_json(value: object) -> None:
    """One document on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _explained(error: urllib.error.HTTPError) -> str:
    """The API's own words (RFC 9457), with its remedy on a line of its own."""
    try:
        problem = json.load(error)
        lines = [problem["detail"], *problem.get("problems", ()), problem["remedy"]]
    except (ValueError, KeyError, TypeError, OSError):
        return f"the daemon answered {error.code} {error.reason}"
    return "\n".join(line for line in lines if line)


def _stop(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)
