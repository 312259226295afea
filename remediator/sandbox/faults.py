"""Faults that a stand-in commits on demand: what a network and an overloaded peer do to a client.

A fault is planned for requests that a matcher picks out, once, a number of times or until taken back. Every
stand-in of this package commits the same kinds, each answering errors in its own words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from aiohttp import web

Request = TypeVar("Request")


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with this HTTP status and apply nothing; `retry_after` is in seconds."""

    code: int
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Hang:
    """Take the request and never answer, nor apply it."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Close the connection without a byte, and apply nothing."""


@dataclass(frozen=True, slots=True)
class DropReply:
    """Apply the request, then close the connection instead of answering."""


@dataclass(frozen=True, slots=True)
class Late:
    """Apply and answer after so many seconds, or once the event is set, even when the client has gone."""

    until: float | asyncio.Event


@dataclass(frozen=True, slots=True)
class LateReply:
    """Apply at once, and answer only after so many seconds, or once the event is set."""

    until: float | asyncio.Event


Fault = Answer | Hang | Refuse | DropReply | Late | LateReply


class PlannedFault(Generic[Request]):
    """A fault in waiting; `hits` counts how often it was committed, and `times` is how often it may be."""

    def __init__(self, matches: Callable[[Request], bool], fault: Fault, times: int | None) -> None:
        self.matches = matches
        self.fault = fault
        self.times = times
        self.hits = 0
        self._hit = asyncio.Event()

    @property
    def spent(self) -> bool:
        return self.times is not None and self.hits >= self.times

    def commit(self) -> Fault:
        self.hits += 1
        self._hit.set()
        return self.fault

    async def struck(self, deadline: float = 10.0) -> None:
        """Return once it was committed for the first time; TimeoutError after `deadline` seconds."""
        async with asyncio.timeout(deadline):
            await self._hit.wait()


class Faults(Generic[Request]):
    """The faults planned for one stand-in; the first that matches and isn't spent is committed."""

    def __init__(self) -> None:
        self._planned: list[PlannedFault[Request]] = []

    def add(
        self, matches: Callable[[Request], bool], fault: Fault, *, times: int | None = 1
    ) -> PlannedFault[Request]:
        """Plan `fault` for the next `times` requests that match; for all of them when `times` is None.

        An aiohttp client itself repeats a GET or DELETE once when its connection was cut: plan those twice.
        """
        planned = PlannedFault(matches, fault, times)
        self._planned.append(planned)
        return planned

    def remove(self, planned: PlannedFault[Request]) -> None:
        self._planned.remove(planned)

    def clear(self) -> None:
        self._planned.clear()

    def take(self, request: Request) -> Fault | None:
        """The fault to commit for this request, used up by one; None to serve it properly."""
        for planned in self._planned:
            if not planned.spent and planned.matches(request):
                return planned.commit()
        return None


@dataclass(frozen=True, slots=True)
class Service:
    """How a stand-in serves one request properly, and how it words an error that it was told to answer."""

    apply: Callable[[], web.Response]
    refuse: Callable[[Answer], web.Response]
    cut_off: Callable[[], None] = lambda: None


async def serve(
    request: web.BaseRequest, fault: Fault | None, service: Service, closing: asyncio.Event
) -> web.StreamResponse:
    """Serve a request, or commit the fault on it; `service.cut_off` hears of one applied but unanswered."""
    match fault:
        case None:
            return service.apply()
        case Answer():
            return service.refuse(fault)
        case Refuse():
            return _hang_up(request)
        case Hang():
            await closing.wait()
            return _hang_up(request)
        case DropReply():
            service.apply()
            service.cut_off()
            return _hang_up(request)
        case Late(until):
            await _arrive(until)
            return service.apply()
        case LateReply(until):
            answer = service.apply()
            await _arrive(until)
            return answer


def retry_after(answer: Answer) -> dict[str, str]:
    """The headers that go with the answer."""
    return {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}


async def _arrive(until: float | asyncio.Event) -> None:
    if isinstance(until, asyncio.Event):
        await until.wait()
    else:
        await asyncio.sleep(until)


def _hang_up(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
