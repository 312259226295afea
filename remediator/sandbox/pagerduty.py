"""A PagerDuty stand-in: the enqueue URL of its Events API v2, as strict as that, and what comes of incidents.

Contract: https://developer.pagerduty.com/docs/send-alert-event and, for answers and limits,
https://developer.pagerduty.com/docs/events-api-v2-overview.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from aiohttp import web

from remediator.sandbox.faults import Answer, Faults, Service, retry_after, serve
from remediator.sandbox.serving import Served

ENQUEUE_PATH = "/v2/enqueue"
ROUTING_KEY = "5a4db0x5a4db0x5a4db0x5a4db0x5a4d"
LARGEST_EVENT = 512_000
_KEY_LENGTH = 32
_ACTIONS = ("trigger", "acknowledge", "resolve")
_SEVERITIES = ("critical", "error", "warning", "info")
_LONGEST = {"summary": 1_024}
_LONGEST_DEDUP_KEY = 255
_TEXTS = ("summary", "source", "severity", "component", "group", "class", "timestamp")


class Status(StrEnum):
    """Where an incident stands."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it was accepted."""

    action: str
    dedup_key: str
    routing_key: str
    payload: Mapping[str, Any] = field(default_factory=dict)

    @property
    def details(self) -> Mapping[str, Any]:
        """Its custom details."""
        found: Mapping[str, Any] = self.payload.get("custom_details", {})
        return found


@dataclass(frozen=True, slots=True)
class Incident:
    """What a person would see: one for each key that is open, a new one for a trigger after its end."""

    dedup_key: str
    routing_key: str
    status: Status
    events: tuple[Event, ...]

    @property
    def summary(self) -> str:
        """What it is called: as the first event said."""
        return str(self.events[0].payload["summary"])

    @property
    def is_open(self) -> bool:
        return self.status is not Status.RESOLVED


class PagerDutyReceiver(Served):
    """PagerDuty on loopback. `events` are those that were accepted, in order; `incidents` what came of them.

    Only `keys` are known to it. `faults` are matched against the decoded event, `{}` if it can't be decoded.
    """

    def __init__(self, *, keys: Collection[str] = (ROUTING_KEY,)) -> None:
        super().__init__()
        self.faults: Faults[Mapping[str, Any]] = Faults()
        self.events: list[Event] = []
        self.refused: list[str] = []
        self._keys = frozenset(keys)
        self._incidents: list[Incident] = []
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        """The whole enqueue URL."""
        return self._server.url + ENQUEUE_PATH

    @property
    def incidents(self) -> list[Incident]:
        """In the order in which they were opened, each as it stands."""
        return list(self._incidents)

    async def until(self, holds: Callable[[list[Incident]], bool], deadline: float = 10.0) -> list[Incident]:
        """The incidents, once they meet a condition; TimeoutError after `deadline` seconds."""
        async with asyncio.timeout(deadline):
            while not holds(self.incidents):
                self._changed.clear()
                await self._changed.wait()
        return self.incidents

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        if http.path != ENQUEUE_PATH:
            return web.Response(status=404, text="Not Found")
        if http.method != "POST":
            return web.Response(status=405, text="Method Not Allowed")
        body = await http.read()
        service = Service(apply=lambda: self._enqueue(body), refuse=_refusal)
        return await serve(http, self.faults.take(_decoded(body)), service, self._server.closing)

    def _enqueue(self, body: bytes) -> web.Response:
        if len(body) > LARGEST_EVENT:
            return web.Response(status=413, text="Payload Too Large")
        sent = _decoded(body)
        wrong = list(_complaints(sent)) if sent else ["JSON parse error"]
        if not wrong and sent["routing_key"] not in self._keys:
            wrong = ["Invalid routing key"]
        if wrong:
            self.refused += wrong
            answer = {"status": "invalid event", "message": "Event object is invalid", "errors": wrong}
            return web.json_response(answer, status=400)
        event = self._accept(sent)
        answered = {"status": "success", "message": "Event processed", "dedup_key": event.dedup_key}
        return web.json_response(answered, status=202)

    def _accept(self, sent: Mapping[str, Any]) -> Event:
        key = sent.get("dedup_key") or f"made-up-{len(self.events)}"
        event = Event(sent["event_action"], key, sent["routing_key"], sent.get("payload") or {})
        self.events.append(event)
        self._apply(event)
        self._changed.set()
        return event

    def _apply(self, event: Event) -> None:
        """An event reaches the open incident of its key, through the same routing key, or is dropped."""
        for at, held in enumerate(self._incidents):
            if held.is_open and (held.dedup_key, held.routing_key) == (event.dedup_key, event.routing_key):
                status = held.status if event.action == "trigger" else _AFTER[event.action]
                self._incidents[at] = replace(held, status=status, events=(*held.events, event))
                return
        if event.action == "trigger":
            incident = Incident(event.dedup_key, event.routing_key, Status.TRIGGERED, (event,))
            self._incidents.append(incident)


_AFTER = {"acknowledge": Status.ACKNOWLEDGED, "resolve": Status.RESOLVED}


def _decoded(body: bytes) -> Mapping[str, Any]:
    try:
        decoded = json.loads(body)
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _complaints(sent: Mapping[str, Any]) -> Iterator[str]:
    key, action, dedup_key = sent.get("routing_key"), sent.get("event_action"), sent.get("dedup_key")
    if not isinstance(key, str) or len(key) != _KEY_LENGTH:
        yield f"Length of 'routing_key' is incorrect (should be {_KEY_LENGTH} characters)"
    if action not in _ACTIONS:
        yield "'event_action' is missing or invalid"
    if dedup_key is not None and (not isinstance(dedup_key, str) or len(dedup_key) > _LONGEST_DEDUP_KEY):
        yield f"'dedup_key' is too long (maximum is {_LONGEST_DEDUP_KEY} characters)"
    if action == "trigger":
        yield from _payload_complaints(sent.get("payload"))
    elif not dedup_key:
        yield "'dedup_key' is missing"


def _payload_complaints(payload: object) -> Iterator[str]:
    if not isinstance(payload, dict):
        yield "'payload' is missing or blank"
        return
    for name in ("summary", "source", "severity"):
        if not payload.get(name):
            yield f"'payload.{name}' is missing or blank"
    for name in _TEXTS:
        if not isinstance(payload.get(name, ""), str):
            yield f"'payload.{name}' is not a string"
        elif len(payload.get(name, "")) > _LONGEST.get(name, LARGEST_EVENT):
            yield f"'payload.{name}' is too long (maximum is {_LONGEST[name]} characters)"
    if payload.get("severity") not in _SEVERITIES:
        yield "'payload.severity' is invalid (must be one of critical, error, warning, info)"
    if "timestamp" in payload and not _is_time(payload["timestamp"]):
        yield "'payload.timestamp' is not a valid ISO 8601 timestamp"
    if not isinstance(payload.get("custom_details", {}), dict):
        yield "'payload.custom_details' is not an object"


def _is_time(value: object) -> bool:
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return True


def _refusal(answer: Answer) -> web.Response:
    words = {429: "throttle exceeded", 400: "invalid event"}
    body = {"status": words.get(answer.code, "error"), "message": words.get(answer.code, "Internal error")}
    return web.json_response(body, status=answer.code, headers=retry_after(answer))
