"""Alerts as Alertmanager tells them: the values that everything else is derived from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

#: FNV-1a, 64 bits, as Prometheus hashes a label set (common/model/signature.go).
_FNV_OFFSET = 14_695_981_039_346_656_037
_FNV_PRIME = 1_099_511_628_211
_SEPARATOR = b"\xff"
_MASK = 0xFFFF_FFFF_FFFF_FFFF


class AlertKey(NamedTuple):
    """An alert's identity: who told us, and Alertmanager's own hash of its labels."""

    source: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of one webhook.

    ``ends_at`` is ``None`` while it fires: Alertmanager writes year 1 there.
    ``group`` holds the webhook's group labels.
    """

    source: str
    fingerprint: str
    firing: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None
    group: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> AlertKey:
        return AlertKey(self.source, self.fingerprint)


def fingerprint(labels: Mapping[str, str]) -> str:
    """Prometheus' hash of a label set, 16 hex digits, for payloads that carry none."""
    hashed = b"".join(
        part.encode() + _SEPARATOR for name, value in sorted(labels.items()) for part in (name, value)
    )
    value, prime, mask = _FNV_OFFSET, _FNV_PRIME, _MASK
    for byte in hashed:
        value = (value ^ byte) * prime & mask
    return f"{value:016x}"
