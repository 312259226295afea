"""Room for looking: facts take time, and alerts that need them must fill neither the memory nor the way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from remediator.core.ids import EpisodeId


class Lookers:
    """Tasks that gather facts, each for one episode, ``most`` at once.

    ``behind`` says that episodes were put off for want of room: those that come later queue up behind them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: set[EpisodeId] = set()
        self._some_room = asyncio.Event()
        self._some_room.set()
        self.behind = False

    @property
    def room(self) -> int:
        """How many more may be looked at now."""
        return self._most - len(self._tasks)

    async def some_room(self) -> int:
        """Wait until at least one more may be looked at; gives how many."""
        await self._some_room.wait()
        return self.room

    def looks_at(self, episode: EpisodeId) -> bool:
        """Whether the facts of this episode are being gathered."""
        return episode in self._looking

    def start(self, episode: EpisodeId, work: Coroutine[object, object, None]) -> None:
        """Begin to look; ``work`` says by :meth:`looked` when it has its facts."""
        self._looking.add(episode)
        task = asyncio.create_task(work, name=f"facts of episode {episode}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if not self.room:
            self._some_room.clear()

    def looked(self, episode: EpisodeId) -> None:
        """Note that the facts are there: from now on the episode may be handed out and looked at again."""
        self._looking.discard(episode)

    async def close(self) -> None:
        """Stop looking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._some_room.set()
