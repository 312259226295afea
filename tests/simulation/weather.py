"""What may go wrong in one simulation, chosen by its seed: some are stormy in one way, others in another."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from random import Random
from typing import NamedTuple

#: How many replicas there are, and how often: most faults need a second one, few need a fifth.
_REPLICAS, _HOW_OFTEN = (1, 2, 3, 4, 5), (15, 35, 30, 12, 8)


@dataclass(frozen=True, slots=True)
class LinkWeather:
    """How messages of one kind fare: each is the share of messages that meet with it.

    `late` ones take seconds, `very_late` ones outlive their sender's patience and perhaps the sender.
    `refused` ones never arrive and their sender hears so; of those `swallowed` nobody hears. Of those that
    arrive, `reset` ones lose their answer at once, `mute` ones never get one, `busy` ones are turned away.
    """

    late: float = 0.0
    very_late: float = 0.0
    refused: float = 0.0
    swallowed: float = 0.0
    reset: float = 0.0
    mute: float = 0.0
    busy: float = 0.0


CALM = LinkWeather()


@dataclass(frozen=True, slots=True)
class Weather:
    """One seed's faults; times in seconds, `every` is the mean time between two."""

    replicas: int
    peers: int
    lease_ttl: float
    storm: float
    """How long faults go on; after it everything is well, and all must come to an end."""
    parallel: int
    ledger: LinkWeather
    cluster: LinkWeather
    posts: LinkWeather
    channel: LinkWeather
    lost_wakes: float
    """The share of commits of which another replica is not told."""
    crash_every: float = 0.0
    restart_every: float = 0.0
    pause_every: float = 0.0
    partition_every: float = 0.0
    people_every: float = 0.0
    meddling_every: float = 0.0
    holding_every: float = 0.0
    """Between two times at which somebody labels a service so that it is protected, for a while."""
    share: bool = False
    """Whether the brake has a budget for a share of a namespace's Deployments."""
    frozen_minute: int | None = None
    """The minute in which some services may not be changed."""
    pruned: bool = False
    """Whether what nothing needs any more is kept for a short while only; limits look back less far then."""

    @property
    def cooldown(self) -> int:
        """That of every rule."""
        return 15 if self.pruned else 30

    @property
    def rate(self) -> int:
        """The window of the one rate."""
        return 40 if self.pruned else 150


class Fate(NamedTuple):
    """What becomes of one message: seconds there and back, and whether it arrives and is answered.

    `told` says whether the sender learns at once that it failed, or waits in vain. `busy` is what is answered
    instead of being served.
    """

    there: float
    back: float
    arrives: bool = True
    answered: bool = True
    told: bool = True
    busy: bool = False


def forecast(random: Random) -> Weather:
    """A seed's weather."""

    def sometimes(share: float, low: float, high: float) -> float:
        return random.uniform(low, high) if random.random() < share else 0.0

    def link(share: float, much: float) -> LinkWeather:
        if random.random() >= share:
            return CALM
        return LinkWeather(**{each.name: sometimes(0.4, much / 10, much) for each in fields(LinkWeather)})

    pruned = random.random() < 0.35
    return Weather(
        replicas=random.choices(_REPLICAS, _HOW_OFTEN)[0],
        peers=random.choice((1, 2, 2)),
        lease_ttl=random.choice((3.0, 6.0, 12.0)),
        storm=random.uniform(40, 90) + 20 * pruned,
        parallel=random.choice((1, 2, 3, 3)),
        ledger=link(0.6, 0.02),
        cluster=link(0.7, 0.12),
        posts=link(0.7, 0.25),
        channel=link(0.5, 0.2),
        lost_wakes=sometimes(0.3, 0.05, 0.5),
        crash_every=sometimes(0.5, 8, 30),
        restart_every=sometimes(0.2, 20, 60),
        pause_every=sometimes(0.5, 8, 30),
        partition_every=sometimes(0.4, 15, 40),
        people_every=sometimes(0.4, 8, 30),
        meddling_every=sometimes(0.2, 15, 50),
        share=random.random() < 0.3,
        holding_every=sometimes(0.3, 2, 8),
        frozen_minute=random.choice((None, None, None, 0, 1)),
        pruned=pruned,
    )


#: A message that takes longer there and back is late (seconds).
_SLOW = 0.1


@dataclass(slots=True)
class Sky:
    """Draws each message's fate from the weather, until it is calm."""

    random: Random
    calm: bool = False
    #: When a replica was stopped or killed, or the ledger did not answer it at once.
    troubles: list[float] = field(default_factory=list)
    #: Pairs of (who, what) that can't reach each other, until when.
    cut: dict[tuple[str, str], float] = field(default_factory=dict)

    def fate(self, weather: LinkWeather, who: str, what: str, now: float) -> Fate:
        """What becomes of a message that `who` sends to `what` now."""
        fate = self._draw(weather, who, what, now)
        if what == "ledger" and (fate.there + fate.back > _SLOW or not (fate.arrives and fate.answered)):
            self.troubles.append(now)
        return fate

    def _draw(self, weather: LinkWeather, who: str, what: str, now: float) -> Fate:
        random = self.random
        there, back = random.uniform(0.0005, 0.004), random.uniform(0.0005, 0.004)
        if self.calm:
            return Fate(there, back)
        if self.cut and self._is_cut(who, what, now):
            return Fate(there, back, arrives=False, told=random.random() < 0.5)
        if weather is CALM:
            return Fate(there, back)
        if random.random() < weather.refused:
            return Fate(there, back, arrives=False)
        if random.random() < weather.swallowed:
            return Fate(there, back, arrives=False, told=False)
        if random.random() < weather.late:
            there, back = random.choice(((random.uniform(0.1, 8), back), (there, random.uniform(0.1, 8))))
        if random.random() < weather.very_late:
            there = random.uniform(8, 40)
        if random.random() < weather.reset:
            return Fate(there, back, answered=False)
        if random.random() < weather.mute:
            return Fate(there, back, answered=False, told=False)
        return Fate(there, back, busy=random.random() < weather.busy)

    def _is_cut(self, who: str, what: str, now: float) -> bool:
        return max(self.cut.get((who, what), 0.0), self.cut.get(("", what), 0.0)) > now
