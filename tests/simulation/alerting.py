"""Prometheus and its Alertmanagers: what fires, and what each of one or two peers tells of it, and when.

A peer posts a whole group, repeats itself, tries again until it hears 200, lets a post overtake another,
and may never say `resolved`. Each has a clock that is a little off.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Protocol

from remediator.clients.alertmanager import AlertmanagerClient
from remediator.core.alerts import fingerprint
from remediator.core.answers import AlertState, Answer, Heard, Listed, Silent
from remediator.rehearse.clockwork import EPOCH, Clockwork, Node
from tests.simulation.diary import Diary
from tests.simulation.network import Awaited, Network, RefusedError, ResetError
from tests.simulation.weather import LinkWeather

_NOT_OVER = "0001-01-01T00:00:00Z"
#: How long a peer waits for an answer to a post, and how often it tries (seconds, tries).
_POST_PATIENCE, _TRIES = 10.0, 12


@dataclass(slots=True)
class Alert:
    """One alert; firing from `starts_at` until `ends_at`, both in the simulation's seconds."""

    labels: dict[str, str]
    starts_at: float
    ends_at: float | None = None

    @property
    def firing(self) -> bool:
        return self.ends_at is None

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.labels)


@dataclass(slots=True)
class Group:
    """Alerts that are told together."""

    name: str
    alerts: list[Alert] = field(default_factory=list)


class Receiver(Protocol):
    """Whoever takes posts: the service in front of the replicas."""

    def post(self, body: bytes) -> asyncio.Future[int]:
        """Post to some replica; the status is answered, or nothing ever, or a network's error."""
        ...


class Peer:
    """One Alertmanager."""

    def __init__(
        self, name: str, node: Node, clockwork: Clockwork, random: Random, receiver: Receiver, diary: Diary
    ) -> None:
        self.name = name
        self.up_since = EPOCH - timedelta(days=1)
        self._node = node
        self._clockwork = clockwork
        self._random = random
        self._receiver = receiver
        self._diary = diary
        self._skew = random.uniform(-0.5, 0.5)
        self._repeat = random.uniform(12, 40)
        self._tells_resolved = random.random() < 0.8
        self._posts = 0
        self._last_answered = 0
        #: How many posts are under way.
        self.posting = 0

    def follow(self, group: Group) -> None:
        """Tell of a group whenever it changes, and again while it fires."""
        self._node.begin(self._follow(group))

    async def _follow(self, group: Group) -> None:
        await asyncio.sleep(self._random.uniform(0.05, 2))
        told: list[bool] = []
        at = float("-inf")
        while True:
            now, state = self._clockwork.now, [each.firing for each in group.alerts]
            if state != told or (any(state) and now - at >= self._repeat):
                if any(state) or self._tells_resolved:
                    self._node.begin(self._post(self._body(group)))
                told, at = state, now
            await asyncio.sleep(self._random.uniform(0.5, 2))

    async def _post(self, body: bytes) -> None:
        self.posting += 1
        try:
            await self._insist(body)
        finally:
            self.posting -= 1

    async def _insist(self, body: bytes) -> None:
        self._posts += 1
        number = self._posts
        if self._random.random() < 0.1:  # held up on its way, so that a later one overtakes it
            await asyncio.sleep(self._random.uniform(1, 20))
        for tries in range(_TRIES):
            if tries:
                self._diary.count("posts repeated")
            try:
                async with asyncio.timeout(_POST_PATIENCE):
                    status = await self._receiver.post(body)
            except (RefusedError, ResetError, TimeoutError):
                status = 0
            if status == 200:
                if number < self._last_answered:
                    self._diary.count("posts overtaken")
                self._last_answered = max(self._last_answered, number)
                return
            if status:
                self._diary.count("posts refused")
            await asyncio.sleep(min(0.5 * 2**tries, 10))

    def _body(self, group: Group) -> bytes:
        alerts = [self._told(alert) for alert in group.alerts]
        firing = any(alert.firing for alert in group.alerts)
        return json.dumps(
            {
                "version": "4",
                "groupKey": group.name,
                "truncatedAlerts": 0,
                "status": "firing" if firing else "resolved",
                "receiver": "remediator",
                "groupLabels": {"alertname": group.name},
                "commonLabels": {},
                "commonAnnotations": {},
                "externalURL": f"http://{self.name}",
                "alerts": alerts,
            }
        ).encode()

    def _told(self, alert: Alert) -> dict[str, object]:
        return {
            "status": "firing" if alert.firing else "resolved",
            "labels": alert.labels,
            "annotations": {"summary": f"{alert.labels['job']} is in trouble"},
            "startsAt": self._moment(alert.starts_at),
            "endsAt": _NOT_OVER if alert.ends_at is None else self._moment(alert.ends_at),
            "generatorURL": "",
            "fingerprint": alert.fingerprint,
        }

    def _moment(self, at: float) -> str:
        return (EPOCH + timedelta(seconds=at + self._skew)).isoformat()


class SimulatedAlertmanagers(AlertmanagerClient):
    """One replica's view of all peers."""

    def __init__(
        self,
        peers: Sequence[Peer],
        firing: Callable[[], frozenset[str]],
        network: Network,
        node: Node,
        weather: LinkWeather,
    ) -> None:
        super().__init__([f"http://{peer.name}" for peer in peers])
        self._peers = {f"http://{peer.name}": peer for peer in peers}
        self._firing = firing
        self._network = network
        self._node = node
        self._weather = weather

    async def _ask(self, url: object, query: object) -> Heard:
        del query

        def serve(awaited: Awaited) -> frozenset[str] | None:
            return None if awaited.busy else self._firing()

        shown = str(url).rstrip("/")
        try:
            async with asyncio.timeout(10):
                firing = await self._network.send(self._node, "alertmanager", self._weather, serve)
        except (RefusedError, ResetError, TimeoutError) as error:
            return Silent(shown, str(error))
        if firing is None:
            return Silent(shown, "503")
        alerts = tuple(Listed(each, AlertState.ACTIVE, {}, {}, EPOCH) for each in sorted(firing))
        return Answer(shown, self._peers[shown].up_since, alerts)


def moment(at: float) -> datetime:
    return EPOCH + timedelta(seconds=at)
