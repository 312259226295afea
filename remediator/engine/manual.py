"""Requests for manual runs: kept like webhooks, and ended when what they asked for has ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from remediator.core.episodes import Episode
from remediator.core.ids import EpisodeId
from remediator.core.manual import ALERTNAME, SOURCE, Request, fingerprint_of, request_of
from remediator.core.ports.store import Store
from remediator.core.rules import Rule
from remediator.core.triggers import in_scope

_UNKNOWN = datetime.min.replace(tzinfo=UTC)


def preview(rule: Rule, labels: Mapping[str, str]) -> dict[str, object]:
    """What a rule's target is made from, before a request with these labels is kept."""
    alert = {"alertname": ALERTNAME, **labels}
    asked = Episode(EpisodeId(0), SOURCE, "", alert, {}, _UNKNOWN, _UNKNOWN, _UNKNOWN)
    return in_scope(rule, asked)


async def keep(store: Store, id_: str, request: Request) -> str:
    """Keep a request durably, and give the fingerprint of its alert; one of the same id is the same."""
    labels = {"alertname": ALERTNAME, **request.labels}
    fingerprint = fingerprint_of(id_)
    now = await store.now()
    await store.save_webhook(SOURCE, _body(fingerprint, labels, request.annotations, now, None))
    return fingerprint


async def conclude(store: Store, episode: Episode) -> None:
    """End a request's episode: nothing else ever tells that it is over. Others are left as they are."""
    if request_of(episode) is not None and episode.is_open:
        now = await store.now()
        body = _body(episode.fingerprint, episode.labels, episode.annotations, episode.starts_at, now)
        await store.save_webhook(SOURCE, body)


def _body(
    fingerprint: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    starts_at: datetime,
    ends_at: datetime | None,
) -> bytes:
    """A v4 payload with the request's alert."""
    alert = {
        "status": "firing" if ends_at is None else "resolved",
        "labels": dict(labels),
        "annotations": dict(annotations),
        "startsAt": starts_at.isoformat(),
        "endsAt": None if ends_at is None else ends_at.isoformat(),
        "fingerprint": fingerprint,
    }
    return json.dumps({"version": "4", "alerts": [alert], "groupLabels": {}}).encode()
