"""The PagerDuty receiver: it takes and refuses what PagerDuty does, and keeps incidents as that does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from remediator.sandbox.faults import Answer
from remediator.sandbox.pagerduty import LARGEST_EVENT, ROUTING_KEY, PagerDutyReceiver, Status

PAYLOAD = {"summary": "cart: FAILED", "source": "deployment/shop/cart", "severity": "error"}


@pytest.fixture
async def pagerduty() -> AsyncIterator[PagerDutyReceiver]:
    async with PagerDutyReceiver() as running:
        yield running


def event(action: str = "trigger", key: str | None = "k", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"routing_key": ROUTING_KEY, "event_action": action, **more}
    if key is not None:
        made["dedup_key"] = key
    if action == "trigger":
        made.setdefault("payload", PAYLOAD)
    return made


async def post(pagerduty: PagerDutyReceiver, sent: Any) -> tuple[int, Any]:
    body = {"data": sent} if isinstance(sent, bytes) else {"json": sent}
    async with aiohttp.ClientSession() as session, session.post(pagerduty.url, **body) as answer:
        return answer.status, await answer.json(content_type=None) if answer.status != 413 else None


async def test_an_event_is_accepted_in_pagerdutys_words(pagerduty: PagerDutyReceiver) -> None:
    assert await post(pagerduty, event()) == (
        202,
        {"status": "success", "message": "Event processed", "dedup_key": "k"},
    )
    (incident,) = pagerduty.incidents
    assert (incident.summary, incident.status) == ("cart: FAILED", Status.TRIGGERED)


async def test_events_of_one_key_are_one_incident_until_it_is_resolved(pagerduty: PagerDutyReceiver) -> None:
    for action in ("trigger", "trigger", "acknowledge", "trigger", "resolve", "trigger"):
        assert (await post(pagerduty, event(action)))[0] == 202
    assert [one.status for one in pagerduty.incidents] == [Status.RESOLVED, Status.TRIGGERED]
    assert [len(one.events) for one in pagerduty.incidents] == [5, 1]


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
async def test_what_names_no_open_incident_is_taken_and_dropped(
    pagerduty: PagerDutyReceiver, action: str
) -> None:
    assert (await post(pagerduty, event(action)))[0] == 202
    assert pagerduty.incidents == []


async def test_an_event_without_a_key_is_an_incident_of_its_own(pagerduty: PagerDutyReceiver) -> None:
    for _ in range(2):
        assert (await post(pagerduty, event(key=None)))[0] == 202
    assert len(pagerduty.incidents) == 2


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"{", "JSON parse error"),
        ([], "JSON parse error"),
        (event(routing_key="short"), "Length of 'routing_key' is incorrect"),
        (event(routing_key="x" * 32), "Invalid routing key"),
        (event("page"), "'event_action'"),
        (event("resolve", None), "'dedup_key' is missing"),
        (event(key="k" * 256), "'dedup_key' is too long"),
        (event(payload=None), "'payload' is missing"),
        (event(payload={**PAYLOAD, "summary": ""}), "'payload.summary' is missing"),
        (event(payload={**PAYLOAD, "summary": "s" * 1025}), "'payload.summary' is too long"),
        (event(payload={"summary": "s", "severity": "error"}), "'payload.source' is missing"),
        (event(payload={**PAYLOAD, "severity": "P1"}), "'payload.severity' is invalid"),
        (event(payload={**PAYLOAD, "timestamp": "soon"}), "ISO 8601"),
        (event(payload={**PAYLOAD, "custom_details": "x"}), "'payload.custom_details'"),
        (event(payload={**PAYLOAD, "component": 5}), "'payload.component' is not a string"),
    ],
)
async def test_what_pagerduty_refuses_is_refused_with_its_reason(
    pagerduty: PagerDutyReceiver, sent: Any, said: str
) -> None:
    status, answer = await post(pagerduty, sent)
    assert status == 400
    assert (answer["status"], answer["message"]) == ("invalid event", "Event object is invalid")
    assert any(said in one for one in answer["errors"])
    assert pagerduty.events == []


async def test_an_event_over_512_kb_is_too_large(pagerduty: PagerDutyReceiver) -> None:
    details = {"custom_details": {"diff": "x" * LARGEST_EVENT}}
    assert (await post(pagerduty, event(payload={**PAYLOAD, **details})))[0] == 413


async def test_it_throttles_when_told_to(pagerduty: PagerDutyReceiver) -> None:
    pagerduty.faults.add(lambda sent: sent["event_action"] == "trigger", Answer(429, retry_after=9))
    async with (
        aiohttp.ClientSession() as session,
        session.post(pagerduty.url, json=event()) as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (429, "9")
    assert (await post(pagerduty, event()))[0] == 202
