"""Equal replicas on one ledger, tended as by a cluster: who dies is started again, who is stopped goes on."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from remediator.sandbox.alertmanager import Alert, webhook
from tests.faults.nursery import Forked
from tests.faults.replica import main
from tests.support.daemon import ADAS
from tests.support.processes import eventually, free_port

LEASE_TTL: Final = "1s"
STOPPED_FOR: Final = 2.2
"""Seconds until a stopped replica goes on: its lease is long over by then."""
_TICK = 0.05
_ANSWER = aiohttp.ClientTimeout(total=5)
HOOK, OPERATOR = "hook-token", "operator-token"
_BEARER = {"Authorization": f"Bearer {OPERATOR}"}

Story = dict[str, Any]


@dataclass(slots=True)
class Replica:
    """One place for a daemon, and the process that is there now."""

    name: str
    port: int
    process: Forked | None = None
    stopped_at: float | None = None
    died_at: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(slots=True)
class Fleet:
    """Replicas, and what Alertmanager and people ask of whichever of them answers.

    ``settings`` are REMEDIATOR_* without the prefix, besides those that all replicas need. One that ends by
    anything but SIGKILL is remembered in ``faults``, unless ``lenient``: then it may fail to start as well.
    """

    folder: Path
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    size: int = 3
    lenient: bool = False
    faults: list[str] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)
    replicas: list[Replica] = field(default_factory=list)
    _turns: Iterator[int] = field(default_factory=itertools.count)
    _tending: asyncio.Task[None] | None = None
    _http: aiohttp.ClientSession = field(init=False)

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=_ANSWER)
        self.replicas = [Replica(f"replica-{n}", free_port()) for n in range(self.size)]
        for replica in self.replicas:
            self._start(replica)
        self._tending = asyncio.create_task(self._tend())
        try:
            await eventually(self._all_answer, "every replica answers", within=60)
        except BaseException:
            await self.stop()
            await self._http.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        await self._http.close()
        if raised is not None:
            for replica in self.replicas:
                raised.add_note(f"{replica.name} ended its log so:\n{_tail(replica)}")

    async def stop(self) -> None:
        """End every replica as SIGTERM does."""
        if self._tending is not None:
            self._tending.cancel()
            with suppress(asyncio.CancelledError):
                await self._tending
        await asyncio.gather(
            *(asyncio.to_thread(each.process.stop) for each in self.replicas if each.process)
        )

    # Its processes.

    def _start(self, replica: Replica) -> None:
        given = {"LEASE_TTL": LEASE_TTL, "MODE": "live", "WEBHOOK_TOKEN": HOOK, "OPERATOR_TOKEN": OPERATOR}
        given |= {**self.settings, "LISTEN": f"127.0.0.1:{replica.port}"}
        env = {f"REMEDIATOR_{key}": value for key, value in given.items()} | dict(self.environment)
        replica.process = Forked.start(replica.name, main, self.folder, env)
        replica.stopped_at = None

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            for replica in self.replicas:
                self._look_after(replica)

    def _look_after(self, replica: Replica) -> None:
        process, now = replica.process, time.monotonic()
        if process is None:
            return
        if not process.running:
            self._note_death(replica, process.code)
            self._start(replica)
        elif _is_stopped(process.pid):
            replica.stopped_at = replica.stopped_at or now
            if now - replica.stopped_at >= STOPPED_FOR:
                self.deaths["stopped"] += 1
                process.send(signal.SIGCONT)
                replica.stopped_at = None

    def _note_death(self, replica: Replica, code: int | None) -> None:
        if code == -signal.SIGKILL:
            self.deaths["killed"] += 1
        elif not self.lenient:
            self.faults.append(f"{replica.name} ended with {code}: {_tail(replica)}")

    # What its users do.

    async def fire(self, *alerts: Alert, within: float = 60.0) -> None:
        """Post alerts as one group until somebody says 200, as Alertmanager does."""
        body = json.dumps(webhook(alerts)).encode()

        async def taken() -> bool:
            return await self.post(body) == 200

        await eventually(taken, "a webhook is taken", within=within)

    async def post(self, body: bytes) -> int:
        """Post a webhook to the next replica; gives the status, 0 when there was no answer."""
        headers = {"Authorization": f"Bearer {HOOK}", "Content-Type": "application/json"}
        url = f"{self._next().url}/alertmanager"
        try:
            async with self._http.post(url, data=body, headers=headers) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def get(self, path: str, *, within: float = 30.0) -> Any:
        """Ask the API, of whoever answers."""

        async def answer() -> list[Any]:
            found = await self._ask("GET", self._next(), f"/api/v1{path}")
            return [] if found is None else [found]

        return (await eventually(answer, f"GET {path} is answered", within=within))[0]

    async def answer(self, run: str, verb: str) -> None:
        """Answer a run's request in Ada's name, until somebody takes it or says that nothing is asked."""
        headers = {"Authorization": f"Bearer {ADAS}"}

        async def answered() -> bool:
            with suppress(aiohttp.ClientError, TimeoutError):
                url = f"{self._next().url}/api/v1/runs/{run}/{verb}"
                async with self._http.post(url, json={"why": "seen"}, headers=headers) as answer:
                    return answer.status in (HTTPStatus.OK, HTTPStatus.CONFLICT)
            return False

        await eventually(answered, f"{run} is answered", within=30)

    async def reload(self) -> str:
        """Put the rule files in force, in every replica; gives the rulebook's hash."""

        async def done() -> str:
            found = await self._ask("POST", self._next(), "/api/v1/rulebook/reload")
            return str(found["rulebook"]["hash"]) if found else ""

        wanted = await eventually(done, "the rulebook is in force", within=30)

        async def everywhere() -> bool:
            said = [await self._ask("GET", each, "/api/v1/status") for each in self.replicas]
            return all(each and each["rulebook"]["hash"] == wanted for each in said)

        await eventually(everywhere, "every replica has the rulebook", within=30)
        return wanted

    async def runs(self, rule: str) -> list[Story]:
        """The runs of a rule, newest first."""
        found: list[Story] = await self.get(f"/runs?limit=1000&rule={rule}")
        return found

    async def idle(self, *, within: float = 60.0) -> Story:
        """The status, once nothing waits to be taken apart, decided, run, delivered or proven."""

        async def nothing_waits() -> Story:
            status: Story = await self.get("/status")
            waiting = {key: status["backlog"][key] for key in _WAITING}
            assert not any(waiting.values()), waiting
            assert not status["quarantines"], status["quarantines"]
            return status

        return await eventually(nothing_waits, "nothing waits", within=within)

    def _next(self) -> Replica:
        return self.replicas[next(self._turns) % len(self.replicas)]

    async def _ask(self, method: str, replica: Replica, path: str) -> Any:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self._http.request(method, f"{replica.url}{path}", headers=_BEARER) as answer:
                if answer.status in (200, 201):
                    return await answer.json()
        return None

    async def _all_answer(self) -> bool:
        if self.faults:
            raise RuntimeError(self.faults[0])
        return all([await self._ask("GET", each, "/api/v1/status") for each in self.replicas])


_WAITING = ("webhooks", "episodes", "outbox", "unfinished_runs")


@asynccontextmanager
async def a_fleet(
    folder: Path, settings: Mapping[str, str], environment: Mapping[str, str], **given: Any
) -> AsyncIterator[Fleet]:
    async with Fleet(folder, settings, environment, **given) as fleet:
        yield fleet


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def _tail(replica: Replica) -> str:
    return replica.process.tail(40) if replica.process else "it never ran"
