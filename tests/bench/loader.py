"""Our own client: posts at a steady pace or as fast as they are taken, noting when each began and ended."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Sent:
    """One post: wall-clock seconds just before its first byte and after its answer, and the HTTP status."""

    began: float
    ended: float
    status: int

    @property
    def milliseconds(self) -> float:
        return (self.ended - self.began) * 1000


async def send(session: aiohttp.ClientSession, url: str, body: bytes) -> Sent:
    """Post one body."""
    began = time.time()
    async with session.post(url, data=body, headers=JSON) as response:
        await response.read()
        return Sent(began, time.time(), response.status)


async def paced(urls: str | Sequence[str], bodies: Sequence[bytes], *, rate: float) -> list[Sent]:
    """Start `rate` posts a second, whether or not earlier ones are answered; in the order of `bodies`.

    Several URLs take turns.
    """
    url_of = _taking_turns(urls)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        begin = time.perf_counter()
        tasks: list[asyncio.Task[Sent]] = []
        for turn, body in enumerate(bodies):
            await asyncio.sleep(max(0.0, begin + turn / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(send(session, url_of(turn), body)))
        return await asyncio.gather(*tasks)


async def burst(urls: str | Sequence[str], bodies: Sequence[bytes], *, connections: int = 8) -> list[Sent]:
    """Post all bodies over so many connections, each sending the next as soon as it is answered.

    Several URLs take turns.
    """
    url_of = _taking_turns(urls)
    waiting = deque(enumerate(bodies))
    sent: dict[int, Sent] = {}

    async def connection(session: aiohttp.ClientSession) -> None:
        while waiting:
            turn, body = waiting.popleft()
            sent[turn] = await send(session, url_of(turn), body)

    limits = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=limits, timeout=aiohttp.ClientTimeout(total=300)) as session:
        await asyncio.gather(*(connection(session) for _ in range(connections)))
    return [sent[turn] for turn in range(len(bodies))]


def _taking_turns(urls: str | Sequence[str]) -> Callable[[int], str]:
    each = [urls] if isinstance(urls, str) else urls
    return lambda turn: each[turn % len(each)]


def refused(sent: Sequence[Sent]) -> int:
    """How many posts were not answered 2xx."""
    return sum(not 200 <= each.status < 300 for each in sent)
