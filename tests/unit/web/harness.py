"""The HTTP surface on a loopback port, over a real ledger."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import SecretStr

from remediator.core.alerts import AlertKey
from remediator.core.approvals import NOTHING_ASKED, Answer, Approval, Objection
from remediator.core.changes import DecisionRow, Proposal, RunChange
from remediator.core.explaining import Explanation
from remediator.core.guards import Pause, PauseScope
from remediator.core.ids import PageId, RunId
from remediator.core.manual import Request
from remediator.core.paging import Page, PageChange, PageView, acknowledge
from remediator.core.ports.channels import RulebookError
from remediator.core.ports.store import Store
from remediator.core.rules import Mode
from remediator.core.targets import Target, parse_target
from remediator.engine.explaining import Explainer
from remediator.engine.rulebooks import Rulebooks
from remediator.rulebook.source import FileRules
from remediator.settings import Address, Credentials, NamedToken, Operator, Role
from remediator.store.sqlite import SqliteStore
from remediator.telemetry import Metrics
from remediator.web import Limits, Probe, WebDeps, make_app
from remediator.web.ports import Clicks
from tests.store.asking import answering
from tests.support.metrics import samples

GOOD = b'{"version":"4","alerts":[]}'


def token(text: str, name: str = "") -> NamedToken:
    return NamedToken(name, SecretStr(text))


def person(
    name: str, text: str, *namespaces: str, role: Role = Role.OPERATOR, slack: str | None = None
) -> Operator:
    return Operator(
        name=name,
        token_hash=f"sha256:{sha256(text.encode()).hexdigest()}",
        roles=frozenset({role}),
        namespaces=frozenset(namespaces),
        slack=slack,
    )


CLOSED = Credentials(
    webhook=(token("hook"), token("hook-new"), token("west:token", "am-west")),
    viewer=(token("look"),),
    operator=(token("act"),),
    operators=(
        person("ada", "adas", slack="UADA"),
        person("sam", "sams", "shop", slack="USAM"),
        person("vic", "vics", role=Role.VIEWER, slack="UVIC"),
        person("kim", "kims"),
    ),
)


@dataclass(slots=True)
class Steering:
    """The engine's verbs, straight on the ledger; `refused` makes a reload fail."""

    store: Store
    refused: tuple[str, ...] = ()
    requests: list[tuple[str, Request]] = field(default_factory=list)

    async def pause(
        self, scope: PauseScope, value: str, why: str, who: str, length: timedelta | None, name: str = ""
    ) -> Pause:
        return await self.store.pause(scope, value, why, who, length, name)

    async def lift(self, pause: int, why: str, who: str) -> Pause | None:
        return await self.store.lift(pause, why, who)

    async def resume(self, scope: PauseScope, value: str, why: str, who: str) -> int:
        return await self.store.resume(scope, value, why, who)

    async def open_page(self, wanted: str) -> Page:
        return next(page for page in await self.store.open_pages() if wanted == str(page.id))

    async def acknowledge(self, page: PageId, why: str, who: str) -> Page | None:
        taken: list[Page] = []

        def attend(open_: Page, view: PageView) -> PageChange | None:
            change = acknowledge(open_, who, why, view.now)
            taken.extend([change.page] if change else [])
            return change

        await self.store.attend_page(page, attend)
        return taken[0] if taken else None

    async def clear(self, target: Target, why: str, who: str) -> bool:
        return await self.store.clear_quarantine(target, why, who)

    async def answer(self, run: RunId, given: Answer) -> Approval | Objection:
        found = await self.store.answer(run, answering(given))
        if isinstance(found, RunChange) and found.approval is not None:
            return found.approval
        return found if isinstance(found, Objection) else NOTHING_ASKED

    def requested(self, rule: str, labels: Mapping[str, str]) -> Target:
        return parse_target(f"deployment/{labels['namespace']}/{rule}")

    async def run(self, id_: str, request: Request) -> AlertKey:
        self.requests.append((id_, request))
        return AlertKey("manual", id_)

    async def decided(self, key: AlertKey, within: timedelta) -> DecisionRow | None:
        del key, within
        return None

    async def explain(self, of: str) -> Explanation:
        source = FileRules(Path("nowhere"))
        return await Explainer(self.store, Rulebooks(self.store, source), Mode.OBSERVE).explain(of)

    async def reload(self, who: str) -> Proposal:
        del who
        if self.refused:
            raise RulebookError(self.refused)
        return Proposal.UNCHANGED


@dataclass(slots=True)
class Heard:
    """The alarms that were raised."""

    alarms: list[tuple[str, str]] = field(default_factory=list)

    def alarm(self, kind: str, detail: str) -> None:
        self.alarms.append((kind, detail))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.alarms]


@dataclass(frozen=True, slots=True)
class Web:
    """A served application, a client of it, and what stands behind it."""

    address: Address
    client: aiohttp.ClientSession
    store: Store
    heard: Heard
    steering: Steering

    def url(self, path: str) -> str:
        return f"http://{self.address}{path}"

    async def ask(
        self, method: str, path: str, *, bearer: str | None = None, **rest: Any
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, decoded JSON and headers."""
        headers = {**({"Authorization": f"Bearer {bearer}"} if bearer else {}), **rest.pop("headers", {})}
        async with self.client.request(method, self.url(path), headers=headers, **rest) as response:
            return response.status, await response.json(content_type=None), response.headers

    async def download(self, path: str, *, bearer: str) -> bytes:
        """How a file begins that is sent as it is."""
        async with self.client.get(self.url(path), headers={"Authorization": f"Bearer {bearer}"}) as response:
            assert response.status == 200
            assert response.content_type == "application/octet-stream"
            return (await response.read())[:15]

    async def post(self, body: Any, *, bearer: str | None = None, **rest: Any) -> tuple[int, Any]:
        status, answer, _ = await self.ask("POST", "/alertmanager", bearer=bearer, data=body, **rest)
        return status, answer

    async def stored(self) -> list[tuple[str, bytes]]:
        """Source and body of every webhook in the ledger that was not taken apart."""
        return [(each.source, each.body) for each in await self.store.untaken_webhooks(1 << 30)]

    async def metric(self, name: str, **labels: str) -> float:
        return sum(each.value for each in await samples(self.client, self.url("/metrics"), name, **labels))

    async def raw(self, request: bytes, *, within: float = 20.0) -> bytes:
        """Send bytes as they are; gives the head of the answer."""
        reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
        try:
            writer.write(request)
            async with asyncio.timeout(within):
                return await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def _listening(app: web.Application) -> AsyncIterator[Address]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=3.0, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Address("127.0.0.1", int(runner.addresses[0][1]))
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def served(
    folder: Path,
    *,
    credentials: Credentials = Credentials(),  # noqa: B008 - frozen
    limits: Limits = Limits(),  # noqa: B008 - frozen
    probes: Mapping[str, Probe] | None = None,
    make_store: Callable[[Path], SqliteStore] = SqliteStore,
    clicks: Clicks | None = None,
) -> AsyncIterator[Web]:
    """Serve over a fresh ledger in `folder`."""
    store = make_store(folder / "ledger.db")
    await store.open()
    heard, steering = Heard(), Steering(store)
    deps = WebDeps(
        store=store,
        commands=steering,
        alarms=heard,
        metrics=Metrics("1.2.3"),
        credentials=credentials,
        version="1.2.3",
        mode=Mode.OBSERVE,
        probes=lambda: probes or {},
        limits=limits,
        clicks=clicks,
    )
    try:
        async with (
            _listening(make_app(deps)) as address,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as client,
        ):
            yield Web(address, client, store, heard, steering)
    finally:
        await store.close()
