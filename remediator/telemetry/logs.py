"""Logs, as key and value, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TextIO
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "***"
#: Shorter values are not masked wherever they occur: they would tear up every log line, and guard nothing.
SHORTEST_SECRET = 4
_SECRET_KEY = re.compile(
    r"(?i)(?:token|secret|password|passphrase|authorization|cookie|api_?key|routing_key)$"
)
#: Fencing tokens are numbers that people must be able to compare.
_PLAIN = (bool, int, float, type(None))


#: How log lines look.
LogFormat = Literal["console", "json"]


class Redaction:
    """Keeps secrets out of log lines (law 12): by the names of keys, and by the secrets' own text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        shapes = {shape for secret in secrets if len(secret) >= SHORTEST_SECRET for shape in _shapes(secret)}
        longest_first = sorted(shapes, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if shapes else None

    def keys(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        """Mask the values of keys that are named like a secret, at any depth."""
        return {key: _masked(key, value) for key, value in event.items()}

    def line(self, _: WrappedLogger, __: str, rendered: Any) -> str:
        """Mask every known secret in a finished line, tracebacks included."""
        text = rendered.decode() if isinstance(rendered, bytes) else str(rendered)
        return text if self._secrets is None else self._secrets.sub(MASK, text)


def _shapes(secret: str) -> tuple[str, ...]:
    """A secret as it may appear in a line: plain, JSON-escaped, in a repr, percent-encoded."""
    return secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")


def _masked(key: object, value: object) -> object:
    if isinstance(key, str) and _SECRET_KEY.search(key) and not isinstance(value, _PLAIN):
        return MASK
    if isinstance(value, Mapping):
        return {inner: _masked(inner, item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(None, item) for item in value]
    return value


def configure_logging(
    form: LogFormat,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
    *,
    level: int = logging.INFO,
) -> None:
    """Send structlog's and the standard library's logs to ``stream`` (stderr), one line per event.

    Console lines have colours on a terminal. Told is what has ``level`` and up, of other people's loggers
    WARNING and up; aiohttp's access log is off.
    """
    stream = stream or sys.stderr
    redaction = Redaction(secrets)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redaction.keys,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(form, stream),
                redaction.line,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("remediator").setLevel(level)
    logging.getLogger("aiohttp.access").disabled = True


def _renderers(form: LogFormat, stream: TextIO) -> list[Processor]:
    if form == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(sort_keys=False)]
    # Tracebacks without local variables: those hold whatever was being worked on.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
