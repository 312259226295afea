"""Quiet: asks about open episodes that nobody has told of for long, and ends those that are gone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

from remediator.core.ids import EpisodeId
from remediator.core.ports.store import Topic
from remediator.core.quiet import Hearing, review
from remediator.core.rules import Patience
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts

#: From one look to the next, whichever replica's it is: a quarter of the silence, within these.
_SHORTEST, _LONGEST = timedelta(milliseconds=200), timedelta(minutes=1)
#: Episodes reviewed in one transaction: everybody else's call to the ledger waits for it.
_SLICE = 500


class QuietLoop(Loop):
    """From silence to knowledge: what still fires is refreshed, what is gone is closed."""

    name = "quiet"
    topic = Topic.EPISODES

    def __init__(self, parts: EngineParts) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts

    async def work(self) -> bool:
        patience = self._patience
        episodes = await self.store.quiet_episodes(patience.ask_after, EpisodeId(0), _SLICE)
        if not episodes or not await self.store.take_turn(self.name, self._pace):
            return False
        hearing = Hearing(await self._parts.alertmanagers.ask())
        while episodes:
            looks = [hearing.look(episode) for episode in episodes]
            sightings = await self.store.review(looks, partial(review, patience=patience))
            self.metrics.reviewed(sightings)
            episodes = await self.store.quiet_episodes(patience.ask_after, episodes[-1].id, _SLICE)
        return False

    async def rest(self) -> None:
        await asyncio.sleep(self._pace.total_seconds())

    @property
    def _patience(self) -> Patience:
        return self._parts.rulebooks.active.rulebook.patience

    @property
    def _pace(self) -> timedelta:
        return min(max(self._patience.ask_after / 4, _SHORTEST), _LONGEST)
