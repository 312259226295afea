"""The main job's scene on real servers: a release that broke, the alert about it, and who hears of it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from remediator.sandbox.slack import Message, SlackReceiver
from tests.e2e.daemon import Daemon, serving
from tests.support.alertmanager import Alertmanager, running_alertmanager, shipped_config
from tests.support.clusters import ALSO_GOOD, BROKEN, GOOD, RealCluster, image_of
from tests.support.processes import eventually, free_port

RULES = Path(__file__).parents[2] / "rules"
SERVICE = "auth-service"
TOKEN = "a-token-of-this-test"
PAGE = "🚨 PAGE"
LEASE_TTL = "2s"
"""How long a killed daemon's lease keeps its successor waiting."""


@dataclass(slots=True)
class Outage:
    """One alert, as each Alertmanager of a cluster is told of it by Prometheus."""

    labels: dict[str, str]
    alertmanagers: Sequence[Alertmanager]
    since: datetime

    async def over(self) -> None:
        for each in self.alertmanagers:
            await each.resolve(self.labels, starts_at=self.since)


class Scene:
    """Entered: the service is at a release that crashes, the third of three, and Slack listens.

    The daemon's port and files stay the same however often it is started.
    """

    def __init__(self, cluster: RealCluster, directory: Path) -> None:
        self.cluster = cluster
        self.slack = SlackReceiver()
        self._directory = directory
        self._port = free_port()
        self._token_file = directory / "webhook-token"
        self._rules = directory / "rules"
        self._alertmanagers: list[Alertmanager] = []

    async def __aenter__(self) -> Self:
        self._token_file.write_text(f"prometheus:{TOKEN}\n")
        self._arm_rules()
        await self.slack.__aenter__()
        await self.cluster.deploy(SERVICE, GOOD, ALSO_GOOD, BROKEN)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.slack.__aexit__(kind, raised, trace)

    def _arm_rules(self) -> None:
        """The shipped rules, live, for this test's namespace, their minute of stability shortened."""
        shutil.copytree(RULES, self._rules)
        for file in self._rules.glob("*.yaml"):
            text = file.read_text().replace("mode: observe", "mode: live")
            text = text.replace("stable_for: 1m", "stable_for: 2s")
            file.write_text(text.replace("[selfmonitor]", f"[{self.cluster.namespace}]"))

    @asynccontextmanager
    async def alertmanager(self) -> AsyncIterator[Alertmanager]:
        """One more Alertmanager with the shipped routes, posting to the daemon; no peer knows of another."""
        place = self._directory / f"alertmanager-{len(self._alertmanagers)}"
        place.mkdir()
        token = place / "token"
        token.write_text(TOKEN)
        config = shipped_config(f"http://127.0.0.1:{self._port}/alertmanager", token)
        async with running_alertmanager(config, place) as running:
            self._alertmanagers.append(running)
            yield running

    @contextmanager
    def daemon(self, mode: str = "live") -> Iterator[Daemon]:
        """The daemon, under the ServiceAccount of deploy/, on the ledger that it had before."""
        settings = {
            "MODE": mode,
            "RULES": str(self._rules),
            "STORE": f"sqlite:///{self._directory / 'ledger.db'}",
            "WEBHOOK_TOKEN_FILE": str(self._token_file),
            "SLACK_BOT_TOKEN": self.slack.token,
            "SLACK_API_URL": self.slack.api_url,
            "ALERTMANAGER_URL": ",".join(each.url for each in self._alertmanagers),
            "LEASE_TTL": LEASE_TTL,
            "KUBECONFIG": str(self.cluster.kubeconfig()),
        }
        with serving(self._directory, self._port, settings) as daemon:
            yield daemon

    async def outage(self) -> Outage:
        """ServiceDown fires from now on, at every Alertmanager."""
        labels = {
            "alertname": "ServiceDown",
            "namespace": self.cluster.namespace,
            "job": SERVICE,
            "instance": "10.244.0.1:80",
            "severity": "critical",
        }
        outage = Outage(labels, tuple(self._alertmanagers), datetime.now(UTC))
        for each in self._alertmanagers:
            await each.post(labels, {"summary": f"{SERVICE} is down"}, starts_at=outage.since)
        return outage

    async def image(self) -> str:
        """What the service is to run now."""
        return image_of(await self.cluster.get(SERVICE))

    async def repaired(self) -> None:
        """Wait until the last good release has taken over, every replica of it available."""

        async def back() -> bool:
            return await self.image() == ALSO_GOOD

        await eventually(back, "the Deployment rolled back", within=30)
        await self.cluster.complete(SERVICE)

    async def told(self, *words: str) -> Message:
        """Wait for a message in Slack that says all of this, and return it."""

        def found() -> list[Message]:
            return [each for each in self.slack.messages if all(word in _shown(each) for word in words)]

        return (await eventually(found, f"{words} in Slack", within=30))[0]

    def pages(self) -> list[Message]:
        """The messages that page somebody."""
        return [each for each in self.slack.messages if PAGE in each.text]


def _shown(message: Message) -> str:
    return f"{message.text}\n{message.payload.get('blocks', '')}"
