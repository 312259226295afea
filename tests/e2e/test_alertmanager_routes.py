"""deploy/alertmanager with a real Alertmanager: who gets which alert, and what Remediator is sent."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.alertmanager import SHIPPED_CONFIG, running_alertmanager, shipped_config
from tests.support.processes import eventually

ROUTES = (
    ({"alertname": "Watchdog", "severity": "none"}, "remediator"),
    ({"alertname": "ServiceDown", "severity": "critical", "job": "auth-service"}, "remediator,pager"),
    ({"alertname": "HighErrorRate", "severity": "critical", "job": "auth-service"}, "remediator,pager"),
    ({"alertname": "DatabaseConnectionsFull", "severity": "warning"}, "remediator,chat"),
    ({"alertname": "RemediatorDown", "severity": "critical", "job": "remediator"}, "pager"),
    ({"alertname": "RemediatorRunFailed", "severity": "warning", "job": "remediator"}, "chat"),
    ({"alertname": "ServiceDownButNotOurs", "severity": "critical"}, "pager"),
    ({"alertname": "Anything"}, "chat"),
)


@pytest.mark.parametrize(("labels", "receivers"), ROUTES)
def test_each_alert_reaches_remediator_and_people_as_written(labels: dict[str, str], receivers: str) -> None:
    """No alert falls through, and Remediator's own alerts never depend on it."""
    pairs = [f"{name}={value}" for name, value in labels.items()]
    tool = ["amtool", "config", "routes", "test", "--config.file", str(SHIPPED_CONFIG)]
    done = subprocess.run([*tool, *pairs], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == receivers


class Door:
    """Takes posts as Remediator's webhook does, and keeps them."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Any]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.posts.append((request.headers["Authorization"], await request.json()))
        return web.Response()

    def alerts(self, status: str) -> list[Any]:
        """The alerts of that status in the last post."""
        last = self.posts[-1][1]["alerts"] if self.posts else []
        return [alert for alert in last if alert["status"] == status]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    app = web.Application()
    app.router.add_post("/alertmanager", door.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        door.url = f"http://127.0.0.1:{runner.addresses[0][1]}/alertmanager"
        yield door
    finally:
        await runner.cleanup()


async def test_an_alert_comes_with_the_token_and_its_end_comes_too(door: Door, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token\n")
    labels = {"alertname": "ServiceDown", "job": "auth-service", "namespace": "selfmonitor"}
    async with running_alertmanager(shipped_config(door.url, token), tmp_path) as alertmanager:
        await alertmanager.post(labels)
        await eventually(lambda: door.alerts("firing"), "the firing alert at the door", within=20)
        await alertmanager.resolve(labels)
        await eventually(lambda: door.alerts("resolved"), "its end at the door", within=20)
        assert await alertmanager.alerts() == []
    assert {authorization for authorization, _ in door.posts} == {"Bearer a-token"}
    assert [alert["labels"] for _, body in door.posts for alert in body["alerts"]] == [labels] * len(
        door.posts
    )
    assert {body["version"] for _, body in door.posts} == {"4"}
