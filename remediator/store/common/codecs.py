"""Rows to values and back: times as microseconds, JSON as text, targets as people write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import zstandard

from remediator.core.approvals import Proposal
from remediator.core.changes import RawWebhook
from remediator.core.checks import Fact
from remediator.core.decide import Decision
from remediator.core.ids import WebhookId
from remediator.core.notices import Call, Envelope, Notice
from remediator.core.targets import Target, parse_target

T = TypeVar("T")

#: One row as the database hands it out; its types are those of the schema.
Row = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
#: More than was ever taken in: a damaged row that says so must not fill the memory.
_LARGEST_BODY = 256 << 20
_NOTHING = zstandard.ZstdCompressor().compress(b"")


def micros(at: datetime) -> int:
    """Microseconds since 1970 in UTC, exact."""
    since = at - _EPOCH
    return since.days * _DAY + since.seconds * 1_000_000 + since.microseconds


def maybe_micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def moment(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def maybe_moment(value: int | None) -> datetime | None:
    return None if value is None else moment(value)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    message = f"a {type(value).__name__} can't be kept in the ledger's JSON"
    raise TypeError(message)


_encode = msgspec.json.Encoder(enc_hook=_plain).encode

strings = msgspec.json.Decoder(dict[str, str]).decode
objects = msgspec.json.Decoder(dict[str, object]).decode
results = msgspec.json.Decoder(dict[str, dict[str, object]]).decode
decision = msgspec.json.Decoder(Decision).decode
fact = msgspec.json.Decoder(Fact).decode
envelope = msgspec.json.Decoder(Envelope).decode
notice = msgspec.json.Decoder(Notice).decode
call = msgspec.json.Decoder(Call).decode
texts = msgspec.json.Decoder(tuple[str, ...]).decode
proposal = msgspec.json.Decoder(Proposal).decode


def as_json(value: object) -> str:
    """A value of the core as JSON text; the same value always gives the same text."""
    return _encode(value).decode()


@lru_cache(maxsize=4096)
def target(text: str) -> Target:
    return parse_target(text)


def webhook_from(row: Row, decompress: Callable[[bytes], bytes]) -> RawWebhook:
    """A webhook of (id, source, received_at, body) as it was sent.

    From a row that can't be read its body is empty, so that whoever reads it quarantines it.
    """
    id_, source, received_at, body = row
    try:
        if zstandard.get_frame_parameters(body).content_size > _LARGEST_BODY:
            body = _NOTHING
        return RawWebhook(WebhookId(id_), source, moment(received_at), decompress(body))
    except (zstandard.ZstdError, TypeError, ValueError, OverflowError):
        return RawWebhook(WebhookId(id_), str(source), _EPOCH, b"")
