"""What happens to the services of one simulation, and what people do meanwhile: drawn from its seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random

from remediator.rehearse.clockwork import Clockwork, Node
from remediator.sandbox.kubernetes import StandIn
from tests.simulation.alerting import Alert, Group, Peer
from tests.simulation.diary import Diary
from tests.simulation.rulebook import HELD, SERVICES, WITHIN, space_of

_KINDS = ("bad release", "bad for good", "slow", "full", "stuck", "odd", "blip", "disk", "lost")
_HOW_OFTEN = (30, 10, 25, 20, 12, 5, 10, 8, 28)
_ALERTS = {
    "bad release": "Down",
    "bad for good": "Down",
    "slow": "Slow",
    "full": "Full",
    "stuck": "Stuck",
    "odd": "Odd",
    "blip": "Slow",
    "disk": "Disk",
    "lost": "Lost",
}
#: How often one instance is told of late.
_LATE = 0.3
#: How often a service is lost whose disk is getting full.
_FULL_DISK = 0.7
#: How often instances of one service get into trouble one after the other; how many there are, how often it
#: is another than before, and how often it is for a short while.
_TRICKLES, _INSTANCES, _OTHERS, _SHORT = 0.25, 3, 0.6, 0.7
#: How often a service gets full again soon after its cooldown, when its rate is spent.
_RELAPSES = 0.12
_LOOK_EVERY = 1.5
#: The release that every service has at first; there is one before it.
FIRST_RELEASE = 2


class Script:
    """The troubles. Prometheus sees each some time after it began, and its end some time after it is over."""

    def __init__(
        self,
        cluster: StandIn,
        peers: list[Peer],
        outside: Node,
        clockwork: Clockwork,
        random: Random,
        diary: Diary,
        seed: int,
    ) -> None:
        self._cluster = cluster
        self._peers = peers
        self._outside = outside
        self._clockwork = clockwork
        self._random = random
        self._diary = diary
        #: Of their own, so that where nothing of it happens in a seed it is as it would be without.
        self._trickling, self._relapsing = Random(f"{seed} trickle"), Random(f"{seed} relapse")
        self._releases = dict.fromkeys(SERVICES, FIRST_RELEASE)
        self._groups = 0
        self.alerts: list[Alert] = []

    def firing(self) -> frozenset[str]:
        """The fingerprints of all that fires now."""
        return frozenset(alert.fingerprint for alert in self.alerts if alert.firing)

    def trouble(self, until: float) -> None:
        """Begin the troubles of a simulation that goes on for so many seconds."""
        for _ in range(self._random.randint(2, 5)):
            kind = self._random.choices(_KINDS, _HOW_OFTEN)[0]
            weights = [5] * (len(SERVICES) - 2) + [1, 1]
            name = self._random.choices(SERVICES, weights)[0]
            at = self._random.uniform(0, until * 0.7)
            self._outside.begin(self._trouble(kind, name, at))
        random = self._trickling
        if random.random() < _TRICKLES:
            name, at = random.choice(SERVICES), random.uniform(0, until * 0.6)
            self._outside.begin(self._trickle(name, at))
        random = self._relapsing
        if random.random() < _RELAPSES:
            name, at = random.choice(SERVICES), random.uniform(0, until * 0.3)
            self._outside.begin(self._relapse(name, at))

    def meddle(self) -> None:
        """Somebody else changes a service."""
        name = self._random.choice(SERVICES)
        if self._random.random() < 0.5:
            self._release(name)
        else:
            self._cluster.annotate(space_of(name), name, {"touched-at": str(round(self._clockwork.now))})
            self._diary.note("kubectl", f"annotates {name}")

    def in_trouble(self) -> str:
        """A service, rather one that an alert tells of."""
        firing = sorted({alert.labels["job"] for alert in self.alerts if alert.firing})
        return self._random.choice(firing or SERVICES)

    def hold(self, name: str) -> None:
        """Somebody labels a service so that it is protected."""
        self._cluster.label(space_of(name), name, HELD)
        self._diary.note("kubectl", f"labels {name}: it is held")

    def let_go(self, name: str) -> None:
        """Somebody takes that label away."""
        self._cluster.label(space_of(name), name, dict.fromkeys(HELD))
        self._diary.note("kubectl", f"lets go of {name}")

    async def _trouble(self, kind: str, name: str, at: float) -> None:
        random = self._random
        await asyncio.sleep(at)
        if kind == "lost" and random.random() < _FULL_DISK:
            self._outside.begin(self._trouble("disk", name, 0))
            await asyncio.sleep(random.uniform(0.5, 5))
        self._diary.note("world", f"{kind}: {name}")
        over = self._begin(kind, name)
        await asyncio.sleep(random.uniform(0.5, 4))
        group = self._group(_ALERTS[kind], name, range(random.choice((1, 1, 2, 3))))
        if random.random() < _LATE:
            self._outside.begin(self._told_late(_ALERTS[kind], name, over))
        await self._until(over)
        await asyncio.sleep(random.uniform(0, 6))
        self._resolve(group)
        if random.random() < 0.3:
            await asyncio.sleep(random.uniform(2, 60))
            self._diary.note("world", f"again {kind}: {name}")
            over = self._begin(kind, name)
            for alert in group.alerts:
                alert.starts_at, alert.ends_at = self._clockwork.now, None
            await self._until(over)
            self._resolve(group)

    async def _told_late(self, alertname: str, name: str, over: Callable[[], bool]) -> None:
        """One more instance is in the same trouble since now, and nobody is told before it is dealt with."""
        began = self._clockwork.now
        await asyncio.sleep(self._random.uniform(5, 30))
        group = self._group(alertname, name, (_INSTANCES,))
        group.alerts[0].starts_at = began
        await self._until(over)
        await asyncio.sleep(self._random.uniform(4, 10))
        self._resolve(group)

    async def _trickle(self, name: str, at: float) -> None:
        """Instances of a service get into trouble, some of them again, in time to count together or not."""
        random, instance = self._trickling, 0
        await asyncio.sleep(at)
        for _ in range(random.randint(1, 4)):
            if random.random() < _OTHERS:
                instance = random.randrange(_INSTANCES)
            lasts = (
                random.uniform(1, 4) if random.random() < _SHORT else random.choice((15, 40, float("inf")))
            )
            self._outside.begin(self._one(name, instance, lasts))
            await asyncio.sleep(random.uniform(0, 1.5 * WITHIN))

    async def _relapse(self, name: str, at: float) -> None:
        """A service is full, and once more between the end of its cooldown and that of its rate's window."""
        await asyncio.sleep(at)
        for again in (34, 0):
            group = self._group("Full", name, range(1))
            lasts = self._relapsing.uniform(8, 12)
            await asyncio.sleep(lasts)
            self._resolve(group)
            await asyncio.sleep(max(again + self._relapsing.uniform(0, 4) - lasts, 0))

    async def _one(self, name: str, instance: int, lasts: float) -> None:
        group, end = self._group("Many", name, (instance,)), self._clockwork.now + lasts
        await self._until(lambda: self._clockwork.now >= end)
        self._resolve(group)

    def _begin(self, kind: str, name: str) -> Callable[[], bool]:
        """Make the trouble; gives whether it is over."""
        random = self._random
        if kind in ("bad release", "bad for good"):
            release = self._release(name)
            self._cluster.break_image(_image(name, release))
            if kind == "bad for good":
                self._cluster.break_image(_image(name, release - 1))
            return lambda: self._cluster.healthy(space_of(name), name)
        lasts = random.uniform(1, 4) if kind == "blip" else random.choice((15, 40, float("inf")))
        end = self._clockwork.now + lasts
        return lambda: self._clockwork.now >= end

    def _release(self, name: str) -> int:
        self._releases[name] += 1
        release = self._releases[name]
        self._cluster.set_image(space_of(name), name, _image(name, release))
        self._diary.note("kubectl", f"rolls out {name}:{release}")
        return release

    def _group(self, alertname: str, name: str, instances: Iterable[int]) -> Group:
        self._groups += 1
        group = Group(f"{alertname}-{self._groups}")
        for instance in instances:
            place = {"namespace": space_of(name), "job": name}
            labels = {"alertname": alertname, **place, "instance": str(instance)}
            alert = next((each for each in self.alerts if each.labels == labels), None)
            if alert is None:
                alert = Alert(labels, self._clockwork.now)
                self.alerts.append(alert)
            elif not alert.firing:
                alert.starts_at, alert.ends_at = self._clockwork.now, None
            group.alerts.append(alert)
        for peer in self._peers:
            peer.follow(group)
        self._diary.note("prometheus", f"{alertname} of {name} fires, {len(group.alerts)} instances")
        return group

    def _resolve(self, group: Group) -> None:
        for alert in group.alerts:
            alert.ends_at = self._clockwork.now
        self._diary.note("prometheus", f"{group.name} is resolved")

    async def _until(self, over: Callable[[], bool]) -> None:
        while not over():  # noqa: ASYNC110 - time is virtual, and nobody tells
            await asyncio.sleep(_LOOK_EVERY)


async def deploy(cluster: StandIn) -> None:
    """Bring every service up."""
    for release in range(1, FIRST_RELEASE + 1):
        for name in SERVICES:
            if release == 1:
                cluster.deploy(space_of(name), name, _image(name, release), replicas=1)
            else:
                cluster.set_image(space_of(name), name, _image(name, release))
        await cluster.settled()


def _image(name: str, release: int) -> str:
    return f"registry.example/{name}:{release}"
