"""An Alertmanager stand-in: its v2 API over alerts that a scenario sets, and its v4 webhook payloads.

Contract: api/v2/openapi.yaml, template/template.go and notify/webhook/webhook.go of prometheus/alertmanager.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import re2
from aiohttp import web

from remediator.core.alerts import fingerprint
from remediator.sandbox.faults import Answer, Faults, Service, retry_after, serve
from remediator.sandbox.serving import Served

NEVER = "0001-01-01T00:00:00Z"
VERSION = "0.28.1"
# Prometheus tells a firing alert's end as four times its resend delay ahead
KEPT_FOR = timedelta(minutes=4)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; `ends_at` None means that it fires."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime = field(default_factory=_now)
    ends_at: datetime | None = None
    generator_url: str = ""
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.labels)

    @property
    def status(self) -> str:
        return "firing" if self.ends_at is None else "resolved"

    def resolved(self, at: datetime | None = None) -> Alert:
        """The same alert, ended `at` or now."""
        return replace(self, ends_at=at or _now())


def webhook(
    alerts: Sequence[Alert],
    receiver: str = "remediator",
    *,
    group_by: Sequence[str] = ("alertname",),
    external_url: str = "http://127.0.0.1:9093",
    max_alerts: int = 0,
) -> dict[str, Any]:
    """The v4 payload that Alertmanager posts for one group of alerts.

    All alerts have to agree on the `group_by` labels (`...` groups by every label), as in a group of
    Alertmanager's; ValueError when they don't, or when there are none. `max_alerts` truncates as the
    receiver's setting does, 0 never.
    """
    if not alerts:
        raise ValueError("a notification holds at least one alert")
    group_labels = _group_labels(alerts, group_by)
    sent = list(alerts[:max_alerts]) if max_alerts else list(alerts)
    return {
        "receiver": _quote_meta(receiver),
        "status": "firing" if any(alert.ends_at is None for alert in sent) else "resolved",
        "alerts": [_notified(alert) for alert in sent],
        "groupLabels": group_labels,
        "commonLabels": _common([alert.labels for alert in sent]),
        "commonAnnotations": _common([alert.annotations for alert in sent]),
        "externalURL": external_url,
        "version": "4",
        "groupKey": _group_key(group_labels),
        "truncatedAlerts": len(alerts) - len(sent),
    }


def _group_labels(alerts: Sequence[Alert], group_by: Sequence[str]) -> dict[str, str]:
    def of(alert: Alert) -> dict[str, str]:
        names = alert.labels if "..." in group_by else group_by
        return {name: alert.labels[name] for name in names if name in alert.labels}

    first = of(alerts[0])
    if any(of(alert) != first for alert in alerts):
        raise ValueError(f"these alerts are of different groups by {', '.join(group_by)}")
    return first


def _group_key(group_labels: Mapping[str, str]) -> str:
    pairs = (f"{key}={json.dumps(group_labels[key], ensure_ascii=False)}" for key in sorted(group_labels))
    return f"{{}}:{{{', '.join(pairs)}}}"


def _notified(alert: Alert) -> dict[str, Any]:
    return {
        "status": alert.status,
        "labels": dict(sorted(alert.labels.items())),
        "annotations": dict(sorted(alert.annotations.items())),
        "startsAt": _rfc3339(alert.starts_at),
        "endsAt": NEVER if alert.ends_at is None else _rfc3339(alert.ends_at),
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }


def _common(maps: Sequence[Mapping[str, str]]) -> dict[str, str]:
    shared = set(maps[0].items()).intersection(*(each.items() for each in maps[1:]))
    return dict(sorted(shared))


def _quote_meta(text: str) -> str:
    # Go's regexp.QuoteMeta escapes fewer characters than re.escape
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class AlertmanagerStandIn(Served):
    """An Alertmanager on loopback that knows the alerts which `fire` and `resolve` tell it of.

    `up_since` is what it claims as its start. `faults` are matched against a request's path. With `token` it
    answers only those who bear it, as behind a proxy; with `tls` it speaks HTTPS.
    """

    def __init__(
        self,
        *,
        receiver: str = "remediator",
        up_since: datetime | None = None,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls=tls)
        self.faults: Faults[str] = Faults()
        self.up_since = up_since or _now()
        self.polls = 0
        self._receiver = receiver
        self._token = token
        self._alerts: dict[str, Alert] = {}

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def alerts(self) -> list[Alert]:
        """Those that fire now, in order of fingerprint."""
        return [self._alerts[key] for key in sorted(self._alerts)]

    def fire(self, alerts: Iterable[Alert]) -> None:
        self._alerts.update((alert.fingerprint, alert) for alert in alerts)

    def resolve(self, alerts: Iterable[Alert]) -> None:
        """Forget these; one that doesn't fire is no matter."""
        for alert in alerts:
            self._alerts.pop(alert.fingerprint, None)

    def restart(self) -> None:
        """Begin anew as a process does: it keeps no alerts, and is told of them again by `fire`."""
        self._alerts.clear()
        self.up_since = _now()

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        if self._token is not None and http.headers.get("Authorization") != f"Bearer {self._token}":
            return web.Response(status=401, text="Unauthorized")
        route = _ROUTES.get(http.path)
        if route is None or http.method != "GET":
            return web.Response(status=404, text=f"path {http.path} was not found")
        service = Service(apply=lambda: route(self, http), refuse=_refused)
        return await serve(http, self.faults.take(http.path), service, self._server.closing)

    def _status(self, _: web.BaseRequest) -> web.Response:
        return web.json_response(
            {
                "cluster": {"status": "disabled", "peers": []},
                "config": {"original": f"route: {{receiver: {self._receiver}}}\n"},
                "uptime": _milliseconds(self.up_since),
                "versionInfo": {
                    "branch": "HEAD",
                    "buildDate": "",
                    "buildUser": "sandbox",
                    "goVersion": "",
                    "revision": "",
                    "version": VERSION,
                },
            }
        )

    def _list(self, http: web.BaseRequest) -> web.Response:
        self.polls += 1
        query = http.query
        try:
            matches = [_matcher(text) for text in query.getall("filter", [])]
        except ValueError as unreadable:
            return web.json_response(str(unreadable), status=400)
        shown = {
            "active": query.get("active", "true") == "true",
            "silenced": query.get("silenced", "true") == "true",
            "inhibited": query.get("inhibited", "true") == "true",
        }
        receiver = query.get("receiver")
        here = receiver is None or re2.fullmatch(receiver, self._receiver) is not None
        found = [
            self._gettable(alert) for alert in self.alerts if here and all(m(alert.labels) for m in matches)
        ]
        return web.json_response([alert for alert in found if all(shown[each] for each in _kinds(alert))])

    def _healthy(self, _: web.BaseRequest) -> web.Response:
        return web.Response(text="OK")

    def _gettable(self, alert: Alert) -> dict[str, Any]:
        now = _now()
        shown: dict[str, Any] = {
            "annotations": dict(alert.annotations),
            "endsAt": _milliseconds(alert.ends_at or now + KEPT_FOR),
            "fingerprint": alert.fingerprint,
            "receivers": [{"name": self._receiver}],
            "startsAt": _milliseconds(alert.starts_at),
            "status": {
                "inhibitedBy": list(alert.inhibited_by),
                "silencedBy": list(alert.silenced_by),
                "state": "suppressed" if alert.silenced_by or alert.inhibited_by else "active",
            },
            "updatedAt": _milliseconds(now),
            "labels": dict(alert.labels),
        }
        return shown | ({"generatorURL": alert.generator_url} if alert.generator_url else {})


_ROUTES: dict[str, Callable[[AlertmanagerStandIn, web.BaseRequest], web.Response]] = {
    "/api/v2/status": AlertmanagerStandIn._status,  # noqa: SLF001 - its own routes
    "/api/v2/alerts": AlertmanagerStandIn._list,  # noqa: SLF001 - as above
    "/-/healthy": AlertmanagerStandIn._healthy,  # noqa: SLF001 - as above
    "/-/ready": AlertmanagerStandIn._healthy,  # noqa: SLF001 - as above
}


def _kinds(alert: Mapping[str, Any]) -> list[str]:
    """Which of the query's switches have to be on for it to be listed."""
    status = alert["status"]
    suppressed = [kind for kind in ("silenced", "inhibited") if status[f"{kind}By"]]
    return suppressed or ["active"]


def _milliseconds(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refused(answer: Answer) -> web.Response:
    return web.json_response(f"answered {answer.code}", status=answer.code, headers=retry_after(answer))


_MATCHER = re.compile(
    r'^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^"]*?)\s*$', re.DOTALL
)


def _matcher(text: str) -> Callable[[Mapping[str, str]], bool]:
    found = _MATCHER.match(text)
    if found is None:
        raise ValueError(f"bad matcher format: {text}")
    name, operator, value = found.groups()
    if value.startswith('"'):
        value = json.loads(value)
    if operator in ("=", "!="):
        return lambda labels: (labels.get(name, "") == value) == (operator == "=")
    try:
        pattern = re2.compile(value)
    except re2.error as unreadable:
        raise ValueError(f"bad matcher format: {text}: {unreadable}") from unreadable
    return lambda labels: (pattern.fullmatch(labels.get(name, "")) is not None) == (operator == "=~")
