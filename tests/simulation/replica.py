"""One replica: the real engine and webhook handler in a process of its own, which may end at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any, cast

from aiohttp import web

from remediator.actions.registry import build_actions, build_checks, build_places
from remediator.core.checks import CheckAnswer, CheckContext
from remediator.core.ids import Owner
from remediator.core.notices import Envelope
from remediator.core.ports.actions import Action, Check, CheckSpec
from remediator.core.ports.channels import Delivered, Delivery, Notifier, RulebookSource, TryAgain
from remediator.core.ports.store import StoreError
from remediator.core.rules import Mode
from remediator.engine.alarms import Alarms
from remediator.engine.answers import Answers
from remediator.engine.commands import CommandError, Commands
from remediator.engine.engine import Engine
from remediator.engine.lifeline import Lifeline
from remediator.engine.parts import EngineParts
from remediator.engine.rulebooks import Rulebooks
from remediator.rehearse.clockwork import Node
from remediator.settings import Credentials
from remediator.store.sqlite import SqliteStore
from remediator.telemetry import Metrics
from remediator.web.ports import WebDeps
from remediator.web.webhook import webhook_handler
from tests.simulation.network import Awaited, Network, RefusedError, ResetError
from tests.simulation.weather import LinkWeather

_GRACE = timedelta(seconds=6)


@cache
def metrics_of(replica: int) -> Metrics:
    """A replica's counters: they steer nothing, and making them takes a while."""
    return Metrics(f"replica {replica}")


@dataclass(frozen=True, slots=True)
class Post:
    """What the webhook handler reads of a request."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    remote: str = "10.0.0.9"

    @property
    def content(self) -> Post:
        return self

    def is_eof(self) -> bool:
        return True

    async def read(self) -> bytes:
        return self.body


class WitnessedCheck:
    """A check whose every answer is witnessed, whatever the engine makes of it."""

    def __init__(self, check: Check, node: Node, witness: Callable[[str, str, str, str], None]) -> None:
        self._check = check
        self._node = node
        self._witness = witness

    @property
    def spec(self) -> CheckSpec:
        return self._check.spec

    async def look(self, context: CheckContext) -> CheckAnswer:
        said = "never"
        try:
            answer = await self._check.look(context)
            said = answer.said.value
        finally:
            if self._node.alive:
                self._witness(self._node.name, self.spec.name, str(context.target), said)
        return answer


class SimulatedChannel(Notifier):
    """Delivers through the network: what arrives may be answered late, or never, and is then sent again."""

    def __init__(
        self,
        scheme: str,
        network: Network,
        node: Node,
        weather: LinkWeather,
        receive: Callable[[Envelope], str],
    ) -> None:
        self._scheme = scheme
        self._network = network
        self._node = node
        self._weather = weather
        self._receive = receive

    @property
    def scheme(self) -> str:
        return self._scheme

    async def deliver(self, envelope: Envelope, *, head: str, sent: str) -> Delivery:
        del head, sent

        def serve(awaited: Awaited) -> str:
            return "" if awaited.busy else self._receive(envelope)

        try:
            async with asyncio.timeout(10):
                ref = await self._network.send(self._node, self._scheme, self._weather, serve)
        except (RefusedError, ResetError, TimeoutError) as error:
            return TryAgain(str(error) or "no answer")
        return Delivered(ref) if ref else TryAgain("429", timedelta(seconds=3))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a replica finds around it when it starts; everything bound to its node is made for it."""

    store: Callable[[Node], SqliteStore]
    client: Callable[[Node], Any]
    alertmanagers: Callable[[Node], Any]
    actions: Callable[[Node, Any], Mapping[str, Action]]
    channels: Callable[[Node], Mapping[str, Notifier]]
    rules: RulebookSource
    witness: Callable[[str, str, str, str], None]
    answered: Callable[[str, bytes], None]
    lease_ttl: float


class Replica:
    """A place for one process after the other. ``name`` counts its lives: ``r1.2`` is the second of r1."""

    def __init__(self, number: int, around: Surroundings, new_node: Callable[[str], Node]) -> None:
        self.number = number
        self._around = around
        self._new_node = new_node
        self._lives = 0
        self.node: Node | None = None
        self._engine: Engine | None = None
        self._commands: Commands | None = None
        self._take: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None

    @property
    def name(self) -> str:
        return f"r{self.number}.{self._lives}"

    @property
    def alive(self) -> bool:
        return self.node is not None and self.node.alive

    @property
    def serves(self) -> bool:
        """Whether somebody listens on its port."""
        return self.alive and self._take is not None

    def start(self) -> None:
        """Begin a new life."""
        self._lives += 1
        self.node = self._new_node(self.name)
        self.node.begin(self._main(self.node))

    def kill(self) -> None:
        """End at once, in the middle of everything."""
        if self.node is not None:
            self.node.kill()
        self._take = self._engine = self._commands = None

    def stop(self) -> None:
        """Ask it to end in order, as SIGTERM does."""
        if self.node is None or self._engine is None:
            self.kill()
            return
        self._take = None
        self.node.begin(self._end(self.node, self._engine))

    def post(self, body: bytes, answer: Callable[[int], None]) -> bool:
        """Take a post that has arrived at its port, if anybody listens there."""
        if self.node is None or self._take is None:
            return False
        self.node.begin(self._answer(body, self._take, answer))
        return True

    def command(self, verb: Callable[[Commands], Awaitable[object]]) -> None:
        """A person uses its API."""
        if self.node is not None and self._commands is not None:
            self.node.begin(_obey(verb, self._commands))

    async def _main(self, node: Node) -> None:
        around = self._around
        store, metrics = around.store(node), metrics_of(self.number)
        rulebooks = Rulebooks(store, around.rules)
        while True:
            try:
                await rulebooks.boot()
                break
            except StoreError:
                await asyncio.sleep(1)  # it is started again
        client = around.client(node)
        alertmanagers = around.alertmanagers(node)
        checks = build_checks(client, alertmanagers)
        alarms = Alarms(store, metrics, rulebooks.active.rulebook.default_report)
        parts = EngineParts(
            store=store,
            rulebooks=rulebooks,
            actions={**build_actions(client), **around.actions(node, client)},
            checks={name: WitnessedCheck(check, node, around.witness) for name, check in checks.items()},
            places=build_places(client),
            alertmanagers=alertmanagers,
            metrics=metrics,
            owner=Owner(node.name),
            mode=Mode.LIVE,
            lease_ttl=timedelta(seconds=around.lease_ttl),
        )
        commands = Commands(store, rulebooks, Answers(store, rulebooks, parts.audience))
        self._commands = commands
        # What goes round the ledger is not seen by the laws, which read it.
        lifeline = Lifeline({}, rulebooks.default_report, "ledger", pager=False)
        self._engine = Engine(parts, around.channels(node), alarms, lifeline)
        self._engine.start()
        deps = WebDeps(store, commands, alarms, metrics, Credentials(), "simulated", Mode.LIVE)
        self._take = webhook_handler(deps)

    async def _end(self, node: Node, engine: Engine) -> None:
        await engine.stop(_GRACE)
        node.kill()

    async def _answer(
        self,
        body: bytes,
        take: Callable[[web.Request], Awaitable[web.StreamResponse]],
        answer: Callable[[int], None],
    ) -> None:
        response = await take(cast("web.Request", Post(body)))
        if response.status == 200:
            self._around.answered(self.name, body)
        answer(response.status)


async def _obey(verb: Callable[[Commands], Awaitable[object]], commands: Commands) -> None:
    try:
        await verb(commands)
    except (StoreError, CommandError):
        return  # the person is told, and tries again or not
