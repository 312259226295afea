"""Asking Alertmanagers: what is sent, what is understood, and that no secret is told to anybody."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from remediator.clients.alertmanager import AlertmanagerClient
from remediator.core.answers import AlertState, Answer, Heard, Listed, Silent
from remediator.core.matchers import Matcher, Operator
from remediator.sandbox.alertmanager import Alert, AlertmanagerStandIn
from remediator.sandbox.serving import LoopbackServer
from tests.support.pki import create_pki

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TOKEN = "s3cr3t-value"


def alert(name: str = "Down", **given: Any) -> Alert:
    return Alert({"alertname": name}, {"summary": "s"}, NOW, **given)


async def ask(
    *urls: str, receiver: str = "", matchers: tuple[Matcher, ...] = (), **given: Any
) -> list[Heard]:
    client = AlertmanagerClient(urls, **given)
    try:
        return await client.ask(matchers, receiver)
    finally:
        await client.close()


async def test_each_tells_of_its_alerts_and_of_its_age() -> None:
    silenced = alert("Silenced", silenced_by=("s",))
    inhibited = alert("Inhibited", inhibited_by=("f",))
    async with AlertmanagerStandIn(up_since=NOW) as one, AlertmanagerStandIn(up_since=NOW) as other:
        one.fire([alert(), silenced, inhibited])
        first, second = await ask(one.url, other.url)
    assert isinstance(first, Answer)
    assert {each.labels["alertname"]: each.state for each in first.alerts} == {
        "Down": AlertState.ACTIVE,
        "Silenced": AlertState.SUPPRESSED,
        "Inhibited": AlertState.SUPPRESSED,
    }
    down = alert()
    assert Listed(down.fingerprint, AlertState.ACTIVE, down.labels, down.annotations, NOW) in first.alerts
    assert second == Answer(other.url, NOW, ())


@pytest.mark.parametrize("value", ["Down", 'a"b', "a\\b", "a\nb", "ünïcode", "a=~b", ""])
async def test_matchers_and_receiver_narrow_what_is_asked_for(value: str) -> None:
    labels = {"alertname": value, "job": "x"} if value else {"job": "x"}
    async with AlertmanagerStandIn(receiver="web.hook") as server:
        server.fire([Alert(labels), alert("Other")])
        matchers = (Matcher("alertname", Operator.EQUAL, value),)
        (found,) = await ask(server.url, matchers=matchers, receiver=r"web\.hook")
        (elsewhere,) = await ask(server.url, matchers=matchers, receiver="web")
    assert isinstance(found, Answer)
    assert [each.labels for each in found.alerts] == [labels]
    assert isinstance(elsewhere, Answer)
    assert elsewhere.alerts == ()


async def test_a_token_is_sent_to_all_whose_url_has_no_user() -> None:
    async with AlertmanagerStandIn(token=TOKEN) as server, basic("me", "p@ss") as (url, seen):
        right = await ask(server.url, url, token=TOKEN)
        (wrong,) = await ask(server.url, token="another")
        (without,) = await ask(server.url)
    assert [type(each) for each in right] == [Answer, Answer]
    assert seen == ["Basic bWU6cEBzcw=="] * 2
    assert isinstance(wrong, Silent)
    assert isinstance(without, Silent)
    assert wrong.why.startswith("401")
    assert TOKEN not in f"{right} {wrong}"
    assert "p@ss" not in f"{right}"
    assert "p%40ss" not in f"{right}"


@asynccontextmanager
async def basic(user: str, password: str) -> AsyncIterator[tuple[str, list[str | None]]]:
    """An Alertmanager of which the URL tells the user; gives what it is sent as authorization."""
    seen: list[str | None] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        status = {"uptime": "2026-01-01T12:00:00.000Z"}
        return web.json_response(status if request.path.endswith("status") else [])

    async with LoopbackServer(handle) as server:
        yield server.url.replace("//", f"//{user}:{password.replace('@', '%40')}@"), seen


async def test_certificates_are_checked_against_those_that_are_given(tmp_path: Path) -> None:
    pki = create_pki(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pki.server_certificate, pki.server_key)
    async with AlertmanagerStandIn(tls=tls) as server:
        server.fire([alert()])
        (trusted,) = await ask(server.url, ca=pki.ca)
        (untrusted,) = await ask(server.url)
    assert isinstance(trusted, Answer)
    assert len(trusted.alerts) == 1
    assert isinstance(untrusted, Silent)
    assert "certificate" in untrusted.why


@pytest.mark.parametrize(
    ("listed", "state"),
    [
        ({"fingerprint": "f"}, AlertState.ACTIVE),
        ({"fingerprint": "f", "status": {"state": "suppressed", "mutedBy": []}}, AlertState.SUPPRESSED),
        ({"fingerprint": "f", "status": {"state": "of tomorrow"}}, AlertState.UNPROCESSED),
    ],
)
async def test_fields_come_and_go(listed: dict[str, Any], state: AlertState) -> None:
    async with answering([listed]) as url:
        (found,) = await ask(url)
    assert isinstance(found, Answer)
    assert [each.state for each in found.alerts] == [state]


@pytest.mark.parametrize(
    "listed", [{}, [{}], [1], None, [{"fingerprint": "f", "startsAt": "2026-01-01T12:00:00"}], "text"]
)
async def test_what_is_no_answer_is_silence(listed: Any) -> None:
    async with answering(listed) as url:
        (found,) = await ask(url)
    assert isinstance(found, Silent)
    assert "not Alertmanager's" in found.why


@asynccontextmanager
async def answering(listed: Any) -> AsyncIterator[str]:
    """One that lists this, whatever it is."""

    async def handle(request: web.BaseRequest) -> web.Response:
        status = {"uptime": "2026-01-01T12:00:00.000Z"}
        return web.json_response(status if request.path.endswith("status") else listed)

    async with LoopbackServer(handle) as server:
        yield server.url
