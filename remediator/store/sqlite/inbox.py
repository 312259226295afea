"""The inbox: raw webhooks in, episodes out."""

from __future__ import annotations

from collections.abc import Sequence

import zstandard

from remediator.core.alerts import Alert, AlertKey
from remediator.core.changes import Intake, Observed, RawWebhook
from remediator.core.episodes import Episode, Observation, Sighting
from remediator.core.events import Event, EventKind
from remediator.core.ids import EpisodeId, WebhookId
from remediator.core.ports.store import Fold, Topic
from remediator.store.sqlite.codecs import as_json, moment
from remediator.store.sqlite.episodes import (
    insert_episodes,
    latest_episodes,
    next_episode_id,
    numbered,
    update_episodes,
)
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.transaction import Transaction

_SAVE = "INSERT INTO webhooks (source, received_at, size, body) VALUES (?, ?, ?, ?)"
_UNTAKEN = (
    "SELECT id, source, received_at, size, body FROM webhooks WHERE taken_at IS NULL ORDER BY id LIMIT ?"
)
_STILL_UNTAKEN = "SELECT id FROM webhooks WHERE taken_at IS NULL AND id IN (SELECT value FROM json_each(?))"
_MARK_TAKEN = "UPDATE webhooks SET taken_at = ?, quarantine = ? WHERE id = ?"
#: Rows read at a time, so that a long queue is not read whole to hand out its beginning.
_READ = 1000

_EVENTS = {
    Sighting.OPENED: EventKind.EPISODE_OPENED,
    Sighting.REFIRED: EventKind.EPISODE_REFIRED,
    Sighting.RESOLVED: EventKind.EPISODE_RESOLVED,
    Sighting.STALE: EventKind.EPISODE_STALE,
}

_compress = zstandard.ZstdCompressor(level=1).compress
_decompress = zstandard.ZstdDecompressor().decompress


def save_webhook(transaction: Transaction, source: str, body: bytes) -> None:
    transaction.sql.execute(_SAVE, (source, transaction.micros, len(body), _compress(body)))
    transaction.topics.add(Topic.WEBHOOKS)


def untaken_webhooks(transaction: Transaction, max_bytes: int) -> list[RawWebhook]:
    webhooks: list[RawWebhook] = []
    read = 0
    for id_, source, received_at, size, body in transaction.sql.execute(_UNTAKEN, (_READ,)):
        if webhooks and read + size > max_bytes:
            break
        read += size
        webhooks.append(RawWebhook(WebhookId(id_), source, moment(received_at), _plain(body)))
    return webhooks


def _plain(body: bytes) -> bytes:
    """The body as it was sent; nothing if the row is damaged, so that its reader quarantines it."""
    try:
        return _decompress(body)
    except zstandard.ZstdError:
        return b""


def take_webhooks(transaction: Transaction, intakes: Sequence[Intake], fold: Fold) -> list[Observed]:
    ids = as_json([intake.webhook for intake in intakes])
    untaken = {row[0] for row in transaction.sql.execute(_STILL_UNTAKEN, (ids,))}
    fresh = [intake for intake in intakes if intake.webhook in untaken]
    folding = _Folding(transaction, fold, [alert for intake in fresh for alert in intake.alerts])
    observed = []
    for intake in intakes:
        if intake.webhook in untaken:
            untaken.remove(intake.webhook)
            observed.append(folding.take(intake))
        else:
            observed.append(Observed(intake.webhook, {}))
    folding.write()
    now = transaction.micros
    marks = [(now, intake.quarantine, intake.webhook) for intake in fresh if not intake.more]
    transaction.sql.executemany(_MARK_TAKEN, marks)
    return observed


class _Folding:
    """Folds alerts into episodes in memory, and writes each episode once, as the last alert left it."""

    def __init__(self, transaction: Transaction, fold: Fold, alerts: Sequence[Alert]) -> None:
        self._transaction = transaction
        self._fold = fold
        self._latest = latest_episodes(transaction, (alert.key for alert in alerts))
        self._next_id = next_episode_id(transaction)
        self._opened: dict[EpisodeId, Episode] = {}
        self._changed: dict[EpisodeId, Episode] = {}
        self._events: list[Event] = []

    def take(self, intake: Intake) -> Observed:
        if intake.quarantine is not None:
            data = {"webhook": intake.webhook, "why": intake.quarantine}
            self._events.append(Event(EventKind.WEBHOOK_QUARANTINED, self._transaction.now, data))
            return Observed(intake.webhook, {})
        sightings: dict[Sighting, int] = {}
        closed: list[EpisodeId] = []
        opened = 0
        for alert in intake.alerts:
            seen = self._see(alert)
            sightings[seen.sighting] = sightings.get(seen.sighting, 0) + 1
            opened += seen.opened is not None
            if seen.changed is not None and not seen.changed.is_open:
                closed.append(seen.changed.id)
        return Observed(intake.webhook, sightings, tuple(closed), opened)

    def _see(self, alert: Alert) -> Observation:
        key = alert.key
        latest = self._latest.get(key)
        seen = self._fold(alert, latest, self._transaction.now)
        if seen.changed is not None:
            self._keep(key, seen.changed)
        if seen.opened is not None:
            opened = numbered(seen.opened, EpisodeId(self._next_id))
            self._next_id += 1
            self._opened[opened.id] = opened
            self._latest[key] = opened
        self._tell(seen, latest, self._latest.get(key))
        return seen

    def _keep(self, key: AlertKey, changed: Episode) -> None:
        among = self._opened if changed.id in self._opened else self._changed
        among[changed.id] = changed
        self._latest[key] = changed

    def _tell(self, seen: Observation, before: Episode | None, after: Episode | None) -> None:
        kind = _EVENTS.get(seen.sighting)
        if kind is None or after is None:
            return
        data: dict[str, object] = {
            "alertname": after.alertname,
            "source": after.source,
            "fingerprint": after.fingerprint,
        }
        if seen.sighting is Sighting.REFIRED and before is not None:
            data["superseded"] = before.id
        self._events.append(Event(kind, self._transaction.now, data, episode=after.id))

    def write(self) -> None:
        # What closes goes first: a key has one open episode at most.
        update_episodes(self._transaction, self._changed.values())
        insert_episodes(self._transaction, self._opened.values())
        append_events(self._transaction, self._events)
        if self._opened:
            self._transaction.topics.add(Topic.EPISODES)
