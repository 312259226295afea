"""Messages to everything but the ledger: there and back, late, lost, or without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from remediator.rehearse.clockwork import Node
from tests.simulation.diary import Diary
from tests.simulation.weather import LinkWeather, Sky

T = TypeVar("T")


class RefusedError(Exception):
    """The message never arrived, and its sender knows."""


class ResetError(Exception):
    """The answer was lost: whether the message was served is not known."""


class Awaited(NamedTuple):
    """What serves a message is told: whether somebody waits for its answer, and whether to refuse."""

    waits: bool
    busy: bool


class Network:
    """Carries messages; what serves one runs outside of any replica, so that it always does."""

    def __init__(self, outside: Node, sky: Sky, diary: Diary) -> None:
        self._outside = outside
        self._sky = sky
        self._diary = diary

    def send(
        self, sender: Node, what: str, weather: LinkWeather, serve: Callable[[Awaited], T]
    ) -> asyncio.Future[T]:
        """Send to `what`, which serves it when it arrives.

        The future fails with `RefusedError` or `ResetError`, or is never done: its owner has to give up.
        """
        answer: asyncio.Future[T] = sender.create_future()
        if not sender.alive:
            return answer
        fate = self._sky.fate(weather, sender.name, what, sender.time())
        outside = self._outside
        if not fate.arrives:
            if fate.told:
                outside.call_later(
                    fate.there, _fail, answer, sender, RefusedError(f"{what} can't be reached")
                )
            return answer

        def arrive() -> None:
            # Who gave up, was killed or lost its connection meanwhile waits no more; the message is there.
            waits = fate.answered and sender.alive and not answer.done()
            result = serve(Awaited(waits, fate.busy))
            if fate.answered:
                outside.call_later(fate.back, _answer, answer, sender, result)
            elif fate.told:
                outside.call_later(fate.back, _fail, answer, sender, ResetError(f"{what}: connection reset"))

        outside.call_later(fate.there, arrive)
        return answer


def _answer(answer: asyncio.Future[T], sender: Node, result: T) -> None:
    if sender.alive and not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[T], sender: Node, error: Exception) -> None:
    if sender.alive and not answer.done():
        answer.set_exception(error)
