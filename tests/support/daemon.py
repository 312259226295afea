"""A world on loopback for one test: cluster, Alertmanager and Slack as stand-ins, the daemon in their midst.

The daemon runs in this process or in one of its own, and is driven and watched through what its users have:
the webhook, the API, the command line, Slack, and the cluster's audit log.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import yaml
from pydantic import SecretStr

from remediator.app import running
from remediator.core.rules import Mode
from remediator.sandbox.alertmanager import Alert, AlertmanagerStandIn, webhook
from remediator.sandbox.clicks import SIGNING_SECRET, click, signed
from remediator.sandbox.faults import Fault, Late, PlannedFault
from remediator.sandbox.kubernetes import StandIn
from remediator.sandbox.kubernetes.api import ApiRequest
from remediator.sandbox.kubernetes.audit import AuditEntry
from remediator.sandbox.kubernetes.standin import ADMIN
from remediator.sandbox.pagerduty import ROUTING_KEY, Incident, PagerDutyReceiver
from remediator.sandbox.slack import Message, SlackReceiver
from remediator.settings import Address, NamedToken, Operator, Role, Settings
from tests.support.processes import ManagedProcess, eventually, free_port
from tests.support.rulebooks import NAMESPACE, SERVICE, alert, image

Story = dict[str, Any]

HOOK, OPERATOR, ADAS = "hook-token", "operator-token", "adas-token"
REMEDIATOR: Final = Path(sys.executable).parent / "remediator"
LEASE_TTL: Final = timedelta(seconds=1)


def _hashed(token: str) -> str:
    return f"sha256:{sha256(token.encode()).hexdigest()}"


#: One who may do everything, one who may only act elsewhere, and one who may only look.
PEOPLE: Final = (
    Operator(name="ada", token_hash=_hashed(ADAS), roles=frozenset({Role.OPERATOR}), slack="UADA"),
    Operator(
        name="pat",
        token_hash=_hashed("pats-token"),
        roles=frozenset({Role.OPERATOR}),
        namespaces=frozenset({"payments"}),
        slack="UPAT",
    ),
    Operator(name="vic", token_hash=_hashed("vics-token"), roles=frozenset({Role.VIEWER}), slack="UVIC"),
)


def changing(request: ApiRequest) -> bool:
    """Whether a request is the write that changes a Deployment's spec, not a token's stamp or a mark."""
    return request.verb == "patch" and request.resource.plural == "deployments" and b"/spec/" in request.body


def reading(request: ApiRequest) -> bool:
    """Whether a request reads one Deployment."""
    return request.verb == "get" and request.resource.plural == "deployments"


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the engine's patience, which is made for a cluster's pace, to what a test can wait for."""
    short = timedelta(seconds=1)
    monkeypatch.setattr("remediator.app._GRACE_FOR_RUNS", short)
    monkeypatch.setattr("remediator.engine.facts.GATHER_TIMEOUT", short)
    monkeypatch.setattr("remediator.engine.facts._BETWEEN_TRIES", 0.1)
    monkeypatch.setattr("remediator.engine.proof._SHORTEST_LOOK", 0.02)
    monkeypatch.setattr("remediator.engine.attempts.PROBE_FOR", short)
    monkeypatch.setattr("remediator.engine.driver.BLIND_FOR", short)
    monkeypatch.setattr("remediator.engine.attempts._LONGEST_PAUSE", 0.1)
    monkeypatch.setattr("remediator.engine.recovery._EVERY", 0.2)
    monkeypatch.setattr("remediator.engine.alarms._FLUSH_SECONDS", 0.1)
    monkeypatch.setattr("remediator.engine.pages.PagesLoop.idle", timedelta(seconds=0.1))
    monkeypatch.setattr("remediator.engine.watchdog.WatchdogLoop.idle", timedelta(seconds=0.1))
    monkeypatch.setattr("remediator.engine.watchdog._PACE", timedelta(seconds=0.3))
    monkeypatch.setattr("remediator.engine.brake.BrakeLoop.idle", timedelta(seconds=0.2))
    monkeypatch.setattr("remediator.core.decide.PARALLEL_RETRY", timedelta(seconds=0.3))
    monkeypatch.setattr(
        "remediator.engine.outbox._backoff", lambda tries: timedelta(seconds=min(0.05 * 2**tries, 0.4))
    )


@dataclass(slots=True)
class Hold:
    """Requests kept on their way until released, then served."""

    planned: PlannedFault[ApiRequest]
    gate: asyncio.Event

    async def struck(self, deadline: float = 10.0) -> None:
        """Return once a request is being held; TimeoutError after so many seconds."""
        await self.planned.struck(deadline)

    def release(self) -> None:
        self.gate.set()


@dataclass(slots=True)
class World:
    """What surrounds the daemon, and the daemon itself once :meth:`start` or :meth:`spawn` was called."""

    folder: Path
    cluster: StandIn
    alertmanager: AlertmanagerStandIn
    slack: SlackReceiver
    pagerduty: PagerDutyReceiver
    http: aiohttp.ClientSession
    url: str = ""
    process: ManagedProcess | None = None
    _inside: AsyncExitStack | None = None
    _port: int = field(default_factory=free_port)

    # The daemon.

    @property
    def rules_file(self) -> Path:
        return self.folder / "rules.yaml"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def kubeconfig(self) -> str:
        return str(self.cluster.kubeconfig(self.folder / "kubeconfig"))

    def write_rules(self, text: str) -> None:
        self.rules_file.write_text(text)

    async def start(self, text: str | None = None, **settings: Any) -> None:
        """Run the daemon in this process, on the rules given or those written before."""
        if text is not None:
            self.write_rules(text)
        self._inside = AsyncExitStack()
        daemon = running(self._settings(settings), kubeconfig=self.kubeconfig)
        self.url = (await self._inside.enter_async_context(daemon)).url

    async def stop(self) -> None:
        """Stop the daemon as SIGTERM does, wherever it runs."""
        inside, self._inside = self._inside, None
        if inside is not None:
            await inside.aclose()
        if self.process is not None:
            await asyncio.to_thread(self.process.stop)

    async def spawn(self, text: str | None = None, **settings: str) -> ManagedProcess:
        """Run the daemon in a process of its own and wait until it serves; `settings` are REMEDIATOR_*."""
        if text is not None:
            self.write_rules(text)
        process = self.process = self.launch(**settings)
        self.url = f"http://127.0.0.1:{self._port}"
        await eventually(lambda: self._answers(process), "the daemon answers", within=30)
        return process

    def launch(self, name: str = "remediator", **settings: str) -> ManagedProcess:
        """Start a daemon's process without waiting for anything."""
        env = {f"REMEDIATOR_{key}": value for key, value in {**self._environment(), **settings}.items()}
        env["KUBECONFIG"] = self.kubeconfig
        return ManagedProcess.start(name, [REMEDIATOR, "serve"], self.folder, env=env)

    async def _answers(self, process: ManagedProcess) -> bool:
        process.require_running()
        try:
            return (await self.ask("GET", "/health"))[0] == 200
        except aiohttp.ClientError:
            return False

    @property
    def pager(self) -> dict[str, Any]:
        """The settings by which :meth:`start` makes a daemon page PagerDuty."""
        return {
            "pagerduty_routing_key": (NamedToken("", SecretStr(ROUTING_KEY)),),
            "pagerduty_url": self.pagerduty.url,
        }

    @property
    def pager_environment(self) -> dict[str, str]:
        """The same for :meth:`spawn`."""
        return {"PAGERDUTY_ROUTING_KEY": ROUTING_KEY, "PAGERDUTY_URL": self.pagerduty.url}

    def _settings(self, given: Mapping[str, Any]) -> Settings:
        usual: dict[str, Any] = {
            "listen": Address("127.0.0.1", 0),
            "store": f"sqlite:///{self.ledger}",
            "rules": self.rules_file,
            "mode": Mode.LIVE,
            "lease_ttl": LEASE_TTL,
            "webhook_token": (NamedToken("", SecretStr(HOOK)),),
            "operator_token": (NamedToken("", SecretStr(OPERATOR)),),
            "operators_file": PEOPLE,
            "slack_bot_token": SecretStr(self.slack.token),
            "slack_signing_secret": SecretStr(SIGNING_SECRET),
            "slack_api_url": self.slack.api_url,
            "alertmanager_url": (self.alertmanager.url,),
        }
        return Settings(**{**usual, **given})

    def _environment(self) -> dict[str, str]:
        return {
            "LISTEN": f"127.0.0.1:{self._port}",
            "STORE": f"sqlite:///{self.ledger}",
            "RULES": str(self.rules_file),
            "MODE": "live",
            "LEASE_TTL": "1s",
            "WEBHOOK_TOKEN": HOOK,
            "OPERATOR_TOKEN": OPERATOR,
            "OPERATORS_FILE": str(self._people_file()),
            "SLACK_BOT_TOKEN": self.slack.token,
            "SLACK_SIGNING_SECRET": SIGNING_SECRET,
            "SLACK_API_URL": self.slack.api_url,
            "ALERTMANAGER_URL": self.alertmanager.url,
        }

    def _people_file(self) -> Path:
        file = self.folder / "people.yaml"
        people = [each.model_dump(mode="json", exclude_none=True) for each in PEOPLE]
        file.write_text(yaml.safe_dump(people))
        return file

    # What goes wrong, and what is heard of it.

    async def break_service(self, name: str = SERVICE, *, namespace: str = NAMESPACE) -> Alert:
        """Roll a service out to releases 1, 2 and 3, the last of which crashes; gives its alert, unfired."""
        self.cluster.deploy(namespace, name, image(name, 1), replicas=2)
        await self.cluster.settled()
        self.cluster.set_image(namespace, name, image(name, 2))
        await self.cluster.settled()
        self.cluster.break_image(image(name, 3))
        self.cluster.set_image(namespace, name, image(name, 3))
        await self.cluster.settled()
        return alert(name, labels={"namespace": namespace})

    def fault(self, matches: Callable[[ApiRequest], bool], fault: Fault, times: int | None = 1) -> None:
        self.cluster.faults.add(matches, fault, times=times)

    def hold(self, matches: Callable[[ApiRequest], bool], times: int | None = 1) -> Hold:
        """Keep requests on their way until they are released."""
        gate = asyncio.Event()
        return Hold(self.cluster.faults.add(matches, Late(gate), times=times), gate)

    async def fire(self, *alerts: Alert, expected: int = 200, token: str = HOOK, max_alerts: int = 0) -> None:
        """Post the alerts as Alertmanager would, as one group, of which it may leave some out."""
        told = webhook(alerts, max_alerts=max_alerts)
        status, said = await self.post(json.dumps(told).encode(), token)
        assert status == expected, said

    async def resolve(self, *alerts: Alert) -> None:
        """Tell the end of alerts, by webhook and to whoever asks Alertmanager."""
        self.alertmanager.resolve(alerts)
        await self.fire(*(each.resolved() for each in alerts))

    async def post(self, body: bytes, token: str = HOOK) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with self.http.post(f"{self.url}/alertmanager", data=body, headers=headers) as answer:
            return answer.status, await answer.text()

    async def press(self, message: Message, action: str, user: str) -> int:
        """Press a button of a Slack message, as Slack tells of it; gives the daemon's status."""
        now = datetime.now(UTC).timestamp()
        payload = click(message, action, user, response_url=self.slack.response_url(user), at=now)
        request = signed(payload, at=now)
        url = f"{self.url}/slack/interactivity"
        async with self.http.post(url, data=request.body, headers=request.headers) as answer:
            return answer.status

    # What the daemon says.

    async def ask(
        self, method: str, path: str, body: object = None, *, token: str = OPERATOR
    ) -> tuple[int, Any]:
        """Ask the daemon; gives the status and the decoded answer."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.request(method, f"{self.url}{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str) -> Any:
        status, found = await self.ask("GET", f"/api/v1{path}")
        assert status == 200, found
        return found

    async def cli(self, *arguments: str, token: str = OPERATOR) -> tuple[int, str, str]:
        """Run a command of the command line; gives exit code, output and errors."""
        env = {**os.environ, "REMEDIATOR_URL": self.url, "REMEDIATOR_OPERATOR_TOKEN": token}
        child = await asyncio.create_subprocess_exec(
            REMEDIATOR, *arguments, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, errors = await child.communicate()
        assert child.returncode is not None
        return child.returncode, output.decode(), errors.decode()

    async def runs(self) -> list[Story]:
        """All runs, oldest first."""
        found: list[Story] = await self.get("/runs?limit=100")
        return found[::-1]

    async def story(self, run: Story) -> Story:
        found: Story = await self.get(f"/runs/{run['id']}")
        return found

    async def run_in(self, *states: str) -> Story:
        """The newest run, once it is in one of these states."""

        async def there() -> Story:
            found = await self.runs()
            assert found, "there is no run"
            assert found[-1]["state"] in states, found[-1]
            return found[-1]

        return await eventually(there, f"a run is {' or '.join(states)}", within=15)

    async def run_ended(self, number: int = 1, *, within: float = 15) -> Story:
        """The story of the newest run, once so many have ended."""

        async def there() -> Story:
            found = await self.runs()
            done = [run for run in found if run["ended"] is not None]
            assert len(done) >= number, found
            return done[-1]

        return await self.story(await eventually(there, f"{number} runs have ended", within=within))

    async def decided(self, reason: str, *, within: float = 15) -> Story:
        """The newest decision with this reason, once there is one."""

        async def there() -> Story:
            found: list[Story] = await self.get("/decisions?limit=100")
            named = [each for each in found if each["reason"] == reason]
            assert named, [(each["kind"], each["reason"], each["detail"]) for each in found]
            return named[0]

        return await eventually(there, f"a decision is {reason}", within=within)

    async def events(self, *kinds: str) -> list[Story]:
        """The ledger's events, oldest first; of these kinds, if any are named."""
        found: list[Story] = await self.get("/events?limit=1000")
        return [each for each in found if not kinds or each["kind"] in kinds]

    async def idle(self) -> Story:
        """The status, once nothing waits to be taken apart, decided, run or delivered."""
        waiting = ("webhooks", "episodes", "outbox", "unfinished_runs")

        async def nothing_waits() -> Story:
            status: Story = await self.get("/status")
            assert not any(status["backlog"][name] for name in waiting), status["backlog"]
            return status

        return await eventually(nothing_waits, "nothing waits", within=15)

    # What came of it.

    def applied(self, name: str = SERVICE) -> list[AuditEntry]:
        """The changes of a Deployment's spec that others than its admin made, oldest first."""
        found = self.cluster.audit.changes(resource="deployments", name=name)
        return [each for each in found if each.user != ADMIN and _of_spec(each)]

    async def past(self, at: datetime) -> None:
        """Return once this moment is over."""
        await eventually(lambda: datetime.now(UTC) > at, f"it is past {at}")

    def image_of(self, name: str = SERVICE) -> str:
        deployment = self.cluster.get("deployments", NAMESPACE, name)
        found: str = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        return found

    async def told(self, *texts: str) -> Message:
        """The first Slack message that says all of these, in its text or anywhere in its blocks."""
        message: list[Message] = []

        def there(messages: list[Message]) -> bool:
            message[:] = [each for each in messages if all(text in written(each) for text in texts)]
            return bool(message)

        try:
            await self.slack.until(there, 10)
        except TimeoutError:
            seen = "\n".join(each.text for each in self.slack.messages)
            raise AssertionError(f"nobody was told {texts}, but only:\n{seen}") from None
        return message[0]

    async def paged(self, *texts: str) -> Message:
        """The page that says all of these."""
        return await self.told("PAGE", *texts)

    async def incident(self, status: str, *, number: int = 1, within: float = 15) -> Incident:
        """PagerDuty's n-th incident, once it has this status."""

        def there() -> Incident:
            incidents = self.pagerduty.incidents
            assert len(incidents) >= number, (incidents, self.pagerduty.refused)
            assert incidents[number - 1].status == status, incidents
            return incidents[number - 1]

        return await eventually(there, f"incident {number} is {status}", within=within)

    @property
    def pages(self) -> list[Message]:
        return [each for each in self.slack.messages if "PAGE" in each.text]


def written(message: Message) -> str:
    """Everything that a message shows, as it was sent to Slack."""
    return json.dumps(message.payload, ensure_ascii=False)


def reasons(decisions: Collection[Story]) -> list[tuple[str, str]]:
    return [(each["kind"], each["reason"]) for each in decisions]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _of_spec(entry: AuditEntry) -> bool:
    """Annotations alone are tokens and marks: they change nothing that runs."""
    return any(each["op"] != "test" and each["path"].startswith("/spec/") for each in entry.body)


@asynccontextmanager
async def a_world(folder: Path) -> AsyncIterator[World]:
    """A world without a daemon; whatever is started in it is stopped at the end."""
    async with (
        StandIn(ready_after=0.005) as cluster,
        AlertmanagerStandIn() as alertmanager,
        SlackReceiver() as slack,
        PagerDutyReceiver() as pagerduty,
        aiohttp.ClientSession() as http,
    ):
        world = World(folder, cluster, alertmanager, slack, pagerduty, http)
        try:
            yield world
        finally:
            await world.stop()
