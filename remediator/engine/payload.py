"""Alertmanager's webhook, version 4, decoded strictly where it matters and leniently where it grows.

Fields as in Alertmanager's ``template.Data`` (template/template.go); unknown ones are passed over,
``notification_reason`` and ``routeLabels`` among them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from remediator.core.alerts import Alert, fingerprint
from remediator.core.answers import Listed
from remediator.core.changes import Intake, RawWebhook
from remediator.core.inquiries import LeftOut


class _Alert(msgspec.Struct, rename="camel"):
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    starts_at: datetime
    annotations: dict[str, str] = {}
    ends_at: datetime | None = None
    fingerprint: str = ""


class _Payload(msgspec.Struct, rename="camel"):
    version: Literal["4"]
    alerts: list[_Alert]
    receiver: str = ""
    group_labels: dict[str, str] = {}
    truncated_alerts: int = 0


#: Alertmanager's own hash of a label set, 64 bits in hexadecimal (common/model/fingerprinting.go).
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
#: Go's zero time, which Alertmanager writes where no end is known.
_UNKNOWN = datetime(1, 1, 1, tzinfo=UTC)
#: A number that every ledger can hold; no group has as many alerts.
_MOST = 2**31 - 1
_decoder = msgspec.json.Decoder(_Payload)


def take_apart(webhook: RawWebhook) -> Intake:
    """The alerts of a stored webhook, or why it is no v4 payload."""
    try:
        payload = _decoder.decode(webhook.body)
        alerts = tuple(_alert(webhook.source, alert, payload.group_labels) for alert in payload.alerts)
    except RecursionError:
        return Intake(webhook.id, quarantine="no Alertmanager v4 payload: it is nested too deeply")
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        return Intake(webhook.id, quarantine=f"no Alertmanager v4 payload: {error}")
    return Intake(webhook.id, alerts, left_out=_left_out(payload))


def put_together(left_out: LeftOut, alerts: Sequence[Listed]) -> bytes:
    """The webhook that would have told of these alerts, had they not been left out of another."""
    told = [
        {
            "status": "firing",
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": alert.starts_at,
            "endsAt": _UNKNOWN,
            "fingerprint": alert.fingerprint,
        }
        for alert in alerts
    ]
    return msgspec.json.encode(
        {
            "version": "4",
            "status": "firing",
            "receiver": left_out.receiver,
            "groupLabels": left_out.group,
            "alerts": told,
            "truncatedAlerts": 0,
            "notification_reason": "left out of a truncated webhook",
        }
    )


def _left_out(payload: _Payload) -> LeftOut | None:
    if payload.truncated_alerts <= 0:
        return None
    return LeftOut(min(payload.truncated_alerts, _MOST), payload.receiver, payload.group_labels)


def _alert(source: str, alert: _Alert, group: dict[str, str]) -> Alert:
    return Alert(
        source=source,
        fingerprint=_fingerprint(alert),
        firing=alert.status == "firing",
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=_utc(alert.starts_at),
        ends_at=_end(alert.ends_at),
        group=group,
    )


def _fingerprint(alert: _Alert) -> str:
    """The one that was told, if it is one: it is the alert's key in the ledger, and no place for any text."""
    if _FINGERPRINT.fullmatch(alert.fingerprint):
        return alert.fingerprint
    return fingerprint(alert.labels)


def _end(told: datetime | None) -> datetime | None:
    """Year 1 is Go's zero time: no end is known."""
    return None if told is None or told.year == 1 else _utc(told)


def _utc(told: datetime) -> datetime:
    if told.tzinfo is None:
        message = f"time {told.isoformat()} has no offset"
        raise ValueError(message)
    return told.astimezone(UTC)
