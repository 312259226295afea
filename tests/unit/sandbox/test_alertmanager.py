"""The Alertmanager stand-in against what a real one (0.25) sent and answered for the same alerts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.alerts import fingerprint
from remediator.sandbox.alertmanager import Alert, AlertmanagerStandIn, webhook
from remediator.sandbox.faults import Answer, DropReply

LABELS = {
    "alertname": "ServiceDown",
    "namespace": "selfmonitor",
    "service": "auth-service",
    "job": "auth-service",
    "instance": "10.244.0.5:80",
    "severity": "critical",
}
OTHER = {"alertname": "ServiceDown", "job": "auth-service", "instance": "zürich ☃"}
STARTED = datetime(2026, 11, 23, 6, 32, 35, 972399, UTC)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (LABELS, "1e4ece468a7c2653"),  # as Alertmanager 0.25 computed it
        (OTHER, "1c1e1f66d126bc61"),  # likewise
        ({}, "cbf29ce484222325"),  # FNV-1a of nothing is its offset basis
    ],
)
def test_fingerprints_are_alertmanagers_own(labels: dict[str, str], expected: str) -> None:
    assert fingerprint(labels) == expected


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=4), min_size=2, max_size=5))
def test_a_fingerprint_goes_by_content_and_not_by_order(labels: dict[str, str]) -> None:
    turned = dict(reversed(labels.items()))
    assert fingerprint(turned) == fingerprint(labels)
    assert len(fingerprint(labels)) == 16


def test_a_webhook_is_what_a_real_alertmanager_posted() -> None:
    first = Alert(
        LABELS, {"summary": "auth-service service is down"}, STARTED, generator_url="http://p/graph?x=1"
    )
    payload = webhook(
        [first, Alert(OTHER, starts_at=STARTED)],
        "web.hook+x",
        group_by=["alertname", "job"],
        external_url="http://vm:29093",
        max_alerts=1,
    )
    assert payload == {
        "receiver": "web\\.hook\\+x",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": LABELS,
                "annotations": {"summary": "auth-service service is down"},
                "startsAt": "2026-11-23T06:32:35.972399Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://p/graph?x=1",
                "fingerprint": "1e4ece468a7c2653",
            }
        ],
        "groupLabels": {"alertname": "ServiceDown", "job": "auth-service"},
        "commonLabels": LABELS,
        "commonAnnotations": {"summary": "auth-service service is down"},
        "externalURL": "http://vm:29093",
        "version": "4",
        "groupKey": '{}:{alertname="ServiceDown", job="auth-service"}',
        "truncatedAlerts": 1,
    }


def test_a_group_fires_while_any_of_its_alerts_does() -> None:
    firing, ended = Alert(LABELS), Alert(OTHER, starts_at=STARTED).resolved(STARTED + timedelta(minutes=1))
    mixed, over = webhook([firing, ended]), webhook([ended])
    assert (mixed["status"], over["status"]) == ("firing", "resolved")
    assert mixed["commonLabels"] == {"alertname": "ServiceDown", "job": "auth-service"}
    assert over["alerts"][0]["endsAt"] == "2026-11-23T06:33:35.972399Z"


def test_alerts_of_different_groups_make_no_webhook() -> None:
    with pytest.raises(ValueError, match="different groups by instance"):
        webhook([Alert(LABELS), Alert(OTHER)], group_by=["instance"])
    with pytest.raises(ValueError, match="at least one"):
        webhook([])


async def get(url: str, query: Any = None) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url, params=query) as reply:
        return reply.status, await reply.json()


async def test_status_tells_since_when_it_is_up() -> None:
    async with AlertmanagerStandIn(up_since=STARTED) as alertmanager:
        _, status = await get(f"{alertmanager.url}/api/v2/status")
    assert status["uptime"] == "2026-11-23T06:32:35.972Z"
    assert status["cluster"] == {"status": "disabled", "peers": []}
    assert status["versionInfo"]["version"]


async def test_alerts_are_listed_until_they_resolve() -> None:
    alert = Alert(LABELS, {"summary": "down"}, STARTED)
    async with AlertmanagerStandIn() as alertmanager:
        url = f"{alertmanager.url}/api/v2/alerts"
        assert await get(url) == (200, [])
        alertmanager.fire([alert])
        _, (listed,) = await get(url)
        assert listed["labels"] == LABELS
        assert listed["fingerprint"] == "1e4ece468a7c2653"
        assert listed["startsAt"] == "2026-11-23T06:32:35.972Z"
        assert listed["status"] == {"state": "active", "silencedBy": [], "inhibitedBy": []}
        assert listed["receivers"] == [{"name": "remediator"}]
        alertmanager.resolve([alert])
        assert await get(url) == (200, [])


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ([("filter", 'job="auth-service"')], 3),
        ([("filter", 'job=~"auth"')], 0),
        ([("filter", 'job=~"auth.*"'), ("filter", "severity!=critical")], 2),
        ([("filter", 'severity!~"crit.*|"')], 1),
        ([("filter", 'instance="zürich ☃"')], 1),
        ([("filter", 'absent=""')], 3),
        ([("active", "false")], 1),
        ([("silenced", "false")], 2),
        ([("receiver", "remed.*")], 3),
        ([("receiver", "pager")], 0),
    ],
)
async def test_filters(query: list[tuple[str, str]], count: int) -> None:
    silenced = Alert(LABELS | {"severity": "warning"}, silenced_by=("a-silence",))
    async with AlertmanagerStandIn() as alertmanager:
        alertmanager.fire([Alert(LABELS), Alert(OTHER), silenced])
        _, found = await get(f"{alertmanager.url}/api/v2/alerts", query)
    assert len(found) == count


@pytest.mark.parametrize("wrong", ["bad x", 'job=~"("'])
async def test_a_bad_matcher_is_a_bad_request(wrong: str) -> None:
    async with AlertmanagerStandIn() as alertmanager:
        code, said = await get(f"{alertmanager.url}/api/v2/alerts", [("filter", wrong)])
    assert code == 400
    assert said.startswith(f"bad matcher format: {wrong}")


async def test_it_can_fail_and_be_away() -> None:
    async with AlertmanagerStandIn() as alertmanager:
        url = f"{alertmanager.url}/api/v2/alerts"
        alertmanager.faults.add(lambda path: path == "/api/v2/alerts", Answer(503))
        assert (await get(url))[0] == 503
        # twice, for aiohttp's client itself repeats a GET whose connection was cut
        cut = alertmanager.faults.add(lambda _: True, DropReply(), times=2)
        with pytest.raises(aiohttp.ClientConnectionError):
            await get(url)
        assert cut.spent
        await alertmanager.down()
        with pytest.raises(aiohttp.ClientConnectionError):
            await get(url)
        await alertmanager.up()
        assert (await get(url))[0] == 200
