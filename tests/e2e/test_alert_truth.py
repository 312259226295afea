"""What a real Alertmanager knows and does not tell by itself: the daemon asks it, and is not misled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.sandbox.slack import SlackReceiver
from tests.e2e.daemon import Daemon, serving
from tests.support.alertmanager import Alertmanager, running_alertmanager, shipped_config
from tests.support.heartbeats import HeartbeatReceiver
from tests.support.processes import eventually, free_port
from tests.support.rulebooks import page_only, rules

TOKEN = "a-token-of-this-test"
LABELS = {"alertname": "ServiceDown", "namespace": "shop", "job": "cart"}
#: `p@ss word` by bcrypt, at the least cost that it takes.
HASH = "$2b$04$abcdefghijklmnopqrstuuvw/ifNsWQhqQWZ91Qp73GgCj3VF2XGi"


def instance(name: str) -> dict[str, str]:
    return {**LABELS, "instance": name}


@dataclass(slots=True)
class Place:
    """Where a daemon and its Alertmanager are, on ports that outlive them."""

    folder: Path
    port: int = field(default_factory=free_port)
    alertmanager_port: int = field(default_factory=free_port)

    @asynccontextmanager
    async def alertmanager(
        self, *, max_alerts: int = 0, send_resolved: bool = True, **given: Any
    ) -> AsyncIterator[Alertmanager]:
        """One that posts to the daemon, and that forgets every alert with its process."""
        webhook = {
            "url": f"http://127.0.0.1:{self.port}/alertmanager",
            "max_alerts": max_alerts,
            "send_resolved": send_resolved,
        }
        route = {
            "receiver": "web.hook",
            "group_by": ["alertname"],
            "group_wait": "100ms",
            "group_interval": "1s",
        }
        config = {"route": route, "receivers": [{"name": "web.hook", "webhook_configs": [webhook]}]}
        text = yaml.safe_dump(config)
        async with running_alertmanager(text, self.folder, port=self.alertmanager_port, **given) as running:
            yield running

    @contextmanager
    def daemon(
        self, alertmanager: str = "", policy: Mapping[str, Any] | None = None, **given: str
    ) -> Iterator[Daemon]:
        """One on a ledger and on rules that it had before."""
        (self.folder / "rules.yaml").write_text(rules(page_only(), **(policy or {})))
        settings = {
            "RULES": str(self.folder / "rules.yaml"),
            "STORE": f"sqlite:///{self.folder / 'ledger.db'}",
            "ALERTMANAGER_URL": alertmanager,
            "KUBECONFIG": str(self.folder / "none"),
            **given,
        }
        with serving(self.folder, self.port, settings) as daemon:
            yield daemon


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def opened(daemon: Daemon, count: int) -> list[dict[str, Any]]:
    """The events of the episodes that opened, once there are so many."""

    def there() -> list[dict[str, Any]]:
        found = daemon.events("episode.opened")
        assert len(found) >= count, found
        return found

    return await eventually(there, f"{count} episodes", within=20)


async def test_what_max_alerts_cuts_off_is_taken_in_once(place: Place) -> None:
    """Through a receiver whose name is quoted in the webhook, from an Alertmanager that wants a password."""
    web_config = {"basic_auth_users": {"am": HASH}}
    async with place.alertmanager(
        max_alerts=1, user="am:p%40ss%20word", web_config=web_config
    ) as alertmanager:
        with place.daemon(alertmanager.url) as daemon:
            names = [f"10.0.0.{n}:80" for n in range(4)]
            for name in names:
                await alertmanager.post(instance(name), {"summary": name})
            await alertmanager.post({"alertname": "Another", "instance": "10.0.0.9:80"})
            events = await opened(daemon, 5)
            await eventually(lambda: daemon.events("inquiry.answered"), "the answer", within=20)
            listed = {alert["fingerprint"] for alert in await alertmanager.alerts()}
            assert {event["data"]["fingerprint"] for event in events} == listed
            for name in names:
                await alertmanager.resolve(instance(name))
            await eventually(lambda: daemon.events("episode.resolved"), "an end", within=20)
            assert len(daemon.events("episode.opened")) == 5
        assert "p@ss word" not in daemon.process.log.read_text()
        assert "p%40ss" not in daemon.process.log.read_text()


async def test_what_is_silenced_is_not_taken_in(place: Place) -> None:
    async with place.alertmanager(max_alerts=1) as alertmanager:
        with place.daemon(alertmanager.url) as daemon:
            await alertmanager.silence("instance", "muted")
            for name in ("muted", "a", "b"):
                await alertmanager.post(instance(name))
            events = await opened(daemon, 2)
            await eventually(lambda: daemon.events("inquiry.answered"), "the answer", within=20)
            shown = {
                alert["fingerprint"]
                for alert in await alertmanager.alerts()
                if alert["labels"]["instance"] != "muted"
            }
            assert {event["data"]["fingerprint"] for event in events} == shown


SOON = {"episodes": {"ask_after": "1s", "vanish_after": "2s", "lapse_after": "1h"}}


async def test_a_silenced_alert_stays_open_and_vanishes_once_it_is_over(place: Place) -> None:
    """Of what is silenced Alertmanager never sends the end."""
    async with place.alertmanager() as alertmanager:
        since = datetime.now(UTC)
        with place.daemon(alertmanager.url, SOON) as daemon:
            await alertmanager.post(instance("a"), starts_at=since)
            await opened(daemon, 1)
            await alertmanager.silence("instance", "a")
            await looked(daemon, "quiet", 3)
            assert not daemon.events("episode.vanished", "episode.lapsed", "episode.resolved")
            await alertmanager.resolve(instance("a"), starts_at=since)
            await eventually(lambda: daemon.events("episode.vanished"), "its end", within=20)


async def test_an_alertmanager_that_forgot_proves_nothing(place: Place) -> None:
    """Alerts live in its memory alone: after a restart it has none, though nothing was resolved."""
    with place.daemon(f"http://127.0.0.1:{place.alertmanager_port}", SOON) as daemon:
        async with place.alertmanager() as alertmanager:
            await alertmanager.post(instance("a"))
            await opened(daemon, 1)
        async with place.alertmanager() as alertmanager:
            assert await alertmanager.alerts() == []
            before = daemon.metric("remediator_quiet_episodes_total", sighting="quiet")
            await looked(daemon, "quiet", before + 5)
            await alertmanager.post(instance("b"))
            await opened(daemon, 2)
            assert not daemon.events("episode.vanished", "episode.lapsed", "episode.resolved")


async def test_an_alert_whose_end_is_never_sent_vanishes(place: Place) -> None:
    async with place.alertmanager(send_resolved=False) as alertmanager:
        since = datetime.now(UTC)
        with place.daemon(alertmanager.url, SOON) as daemon:
            await alertmanager.post(instance("a"), starts_at=since)
            await opened(daemon, 1)
            await looked(daemon, "repeated", 1)
            await alertmanager.resolve(instance("a"), starts_at=since)
            await eventually(lambda: daemon.events("episode.vanished"), "its end", within=20)


async def looked(daemon: Daemon, sighting: str, times: float) -> None:
    """Wait until so many looks at quiet episodes turned out so."""
    await eventually(
        lambda: daemon.metric("remediator_quiet_episodes_total", sighting=sighting) >= times,
        f"{times} looks that are {sighting}",
        within=20,
    )


async def test_the_shipped_watchdog_is_a_heartbeat_outside_and_missed_when_alertmanager_is_gone(
    place: Place,
) -> None:
    """Its route as deploy/ has it, but for the minute between two."""
    token = place.folder / "token"
    token.write_text(TOKEN)
    config = yaml.safe_load(shipped_config(f"http://127.0.0.1:{place.port}/alertmanager", token))
    (route,) = [each for each in config["route"]["routes"] if "Watchdog" in str(each)]
    assert (route["repeat_interval"], route["receiver"]) == ("1m", "remediator")
    route["repeat_interval"] = "1s"
    settings = {"WEBHOOK_TOKEN_FILE": str(token)}
    async with HeartbeatReceiver() as outside, SlackReceiver() as slack:
        settings |= {"HEARTBEAT_URL": outside.url}
        settings |= {"SLACK_BOT_TOKEN": slack.token, "SLACK_API_URL": slack.api_url}
        with place.daemon(policy={"watchdog": {"within": "4s"}}, **settings) as daemon:
            async with running_alertmanager(yaml.safe_dump(config), place.folder) as alertmanager:
                await alertmanager.post({"alertname": "Watchdog", "severity": "none"})
                await eventually(lambda: outside.beats, "the heartbeat", within=20)
                before = daemon.webhooks("stored")
                await eventually(lambda: daemon.webhooks("stored") >= before + 3, "repeats", within=20)
                assert not daemon.events("watchdog.missed", "episode.opened", "decision.made")
            await eventually(lambda: daemon.events("watchdog.missed"), "it is missed", within=20)
            await slack.until(lambda told: any("PAGE" in each.text for each in told), 20)
