"""A real Alertmanager on loopback (the Debian package `prometheus-alertmanager`), fed by its API."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import ManagedProcess, eventually, free_port, process

SHIPPED_CONFIG = Path(__file__).parents[2] / "deploy/alertmanager/alertmanager.yml"


def find_binary() -> Path | None:
    """Where Alertmanager is installed, None where it isn't."""
    found = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    return Path(found) if found else None


def shipped_config(
    webhook_url: str, token_file: Path, *, group_wait: str = "100ms", group_interval: str = "1s"
) -> str:
    """The routes and the webhook of deploy/alertmanager, as YAML, posting to `webhook_url`.

    The receivers of people lead nowhere. Remediator's routes wait `group_wait` before a group's first post
    and `group_interval` before each further one, so that tests needn't wait as long as production does.
    """
    config: dict[str, Any] = yaml.safe_load(SHIPPED_CONFIG.read_text())
    config["global"].pop("slack_api_url_file")
    for receiver in config["receivers"]:
        for webhook in receiver.get("webhook_configs", ()):
            webhook["url"] = webhook_url
            webhook["http_config"]["authorization"]["credentials_file"] = str(token_file)
        for of_people in ("pagerduty_configs", "slack_configs"):
            receiver.pop(of_people, None)
    for route in config["route"]["routes"]:
        if route["receiver"] == "remediator":
            route |= {"group_wait": group_wait, "group_interval": group_interval}
    return yaml.safe_dump(config, sort_keys=False)


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """A running Alertmanager; `url` is what `REMEDIATOR_ALERTMANAGER_URL` takes."""

    url: str
    process: ManagedProcess
    session: aiohttp.ClientSession

    async def post(
        self,
        labels: Mapping[str, str],
        annotations: Mapping[str, str] | None = None,
        *,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
    ) -> None:
        """Tell it of a firing alert as Prometheus does: still firing for an hour unless told otherwise."""
        now = datetime.now(UTC)
        alert = {
            "labels": dict(labels),
            "annotations": dict(annotations or {}),
            "startsAt": (starts_at or now).isoformat(),
            "endsAt": (ends_at or now + timedelta(hours=1)).isoformat(),
        }
        async with self.session.post(f"{self.url}/api/v2/alerts", json=[alert]) as answer:
            assert answer.status == 200, await answer.text()

    async def resolve(self, labels: Mapping[str, str], *, starts_at: datetime | None = None) -> None:
        """Tell it that the alert is over, as of now."""
        now = datetime.now(UTC)
        await self.post(labels, starts_at=starts_at or now - timedelta(seconds=1), ends_at=now)

    async def silence(self, name: str, value: str) -> str:
        """Silence what has this label, for an hour; gives the silence's id."""
        now = datetime.now(UTC)
        wanted = {
            "matchers": [{"name": name, "value": value, "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "a test",
            "comment": "not now",
        }
        async with self.session.post(f"{self.url}/api/v2/silences", json=wanted) as answer:
            assert answer.status == 200, await answer.text()
            made: str = (await answer.json())["silenceID"]
            return made

    async def unsilence(self, silence: str) -> None:
        """End a silence."""
        async with self.session.delete(f"{self.url}/api/v2/silence/{silence}") as answer:
            assert answer.status == 200, await answer.text()

    async def alerts(self) -> Sequence[Mapping[str, Any]]:
        """What it takes to be firing now."""
        async with self.session.get(f"{self.url}/api/v2/alerts") as answer:
            firing: Sequence[Mapping[str, Any]] = await answer.json()
            return firing

    async def webhooks_failed(self) -> int:
        """How many of its posts to webhooks were refused or found nobody, by its own count."""
        async with self.session.get(f"{self.url}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
            return sum(
                int(sample.value)
                for family in families
                for sample in family.samples
                if sample.name == "alertmanager_notification_requests_failed_total"
                and sample.labels["integration"] == "webhook"
            )

    async def ready(self) -> bool:
        """Whether it answers; raises `ProcessDied`, with its log, if it has ended."""
        self.process.require_running()
        try:
            async with self.session.get(f"{self.url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def running_alertmanager(
    config: str,
    directory: Path,
    *,
    port: int | None = None,
    user: str = "",
    web_config: Mapping[str, Any] | None = None,
) -> AsyncIterator[Alertmanager]:
    """Run one with this configuration, alone (no cluster), its state and log below `directory`.

    It listens on `port` of loopback, on a free one unless told which. `user` is the `name:password`, as in a
    URL, of those that `web_config` lets in.
    """
    binary = find_binary()
    assert binary, "no prometheus-alertmanager here: apt-get install prometheus-alertmanager"
    configuration = directory / "alertmanager.yml"
    configuration.write_text(config)
    address = f"127.0.0.1:{port or free_port()}"
    argv: list[str | Path] = [
        binary, "--config.file", configuration, "--storage.path", directory / "alertmanager",
        "--web.listen-address", address, "--cluster.listen-address=",
    ]  # fmt: skip
    if web_config is not None:
        (directory / "web.yml").write_text(yaml.safe_dump(dict(web_config)))
        argv += ["--web.config.file", directory / "web.yml"]
    timeout = aiohttp.ClientTimeout(total=10)
    with process("alertmanager", argv, directory) as child:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            url = f"http://{user}@{address}" if user else f"http://{address}"
            alertmanager = Alertmanager(url, child, session)
            await eventually(alertmanager.ready, "Alertmanager ready", within=20)
            yield alertmanager
