"""What went wrong, to be put right: a release that crashes, and the alerts that it sets off."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from remediator.sandbox.alertmanager import Alert, AlertmanagerStandIn
from remediator.sandbox.kubernetes import StandIn

NAMESPACE = "selfmonitor"
SERVICE = "auth-service"
NEIGHBOUR = "user-profile-service"
GOOD, BETTER, BROKEN = (f"registry.example/{SERVICE}:{tag}" for tag in ("1.4.0", "1.4.1", "1.5.0"))
NEIGHBOUR_IMAGE = f"registry.example/{NEIGHBOUR}:2.0.3"
PORT = 80


class BrokenRollout:
    """auth-service, healthy at revision 2, was just rolled out to a release whose pods crash: revision 3.

    Entering the context brings the cluster there and fires ServiceDown for each crashing pod, as Prometheus
    does for `up == 0`; beside it user-profile-service stays healthy at revision 1. Once auth-service is
    healthy again its alerts end, `resolves_after` seconds later. They claim to have fired for `firing_for`.
    """

    def __init__(
        self,
        cluster: StandIn,
        alertmanager: AlertmanagerStandIn,
        *,
        resolves_after: float = 1.0,
        firing_for: timedelta = timedelta(0),
    ) -> None:
        self.alerts: tuple[Alert, ...] = ()
        self.over = asyncio.Event()
        self._cluster = cluster
        self._alertmanager = alertmanager
        self._resolves_after = resolves_after
        self._firing_for = firing_for
        self._watch: asyncio.Task[None] | None = None

    @property
    def alert(self) -> Alert:
        """The first of `alerts`."""
        return self.alerts[0]

    async def __aenter__(self) -> Self:
        cluster = self._cluster
        for name, image in ((SERVICE, GOOD), (NEIGHBOUR, NEIGHBOUR_IMAGE)):
            cluster.deploy(NAMESPACE, name, image, spec=_playbook_strategy())
            cluster.expose(NAMESPACE, name, PORT)
        await cluster.settled()
        cluster.set_image(NAMESPACE, SERVICE, BETTER)
        await cluster.settled()
        cluster.break_image(BROKEN)
        cluster.set_image(NAMESPACE, SERVICE, BROKEN)
        await cluster.settled()
        self.alerts = tuple(
            self._service_down(pod) for pod in cluster.list("pods", NAMESPACE) if _crashes(pod)
        )
        self._alertmanager.fire(self.alerts)
        self._watch = asyncio.create_task(self._resolve_when_healthy(), name="sandbox-scenario")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch

    async def _resolve_when_healthy(self) -> None:
        while not self.over.is_set():
            await self._cluster.until(lambda: self._cluster.healthy(NAMESPACE, SERVICE), deadline=None)
            await asyncio.sleep(self._resolves_after)
            if self._cluster.healthy(NAMESPACE, SERVICE):
                self._alertmanager.resolve(self.alerts)
                self.over.set()

    def _service_down(self, pod: dict[str, Any]) -> Alert:
        labels = {
            "alertname": "ServiceDown",
            "namespace": NAMESPACE,
            "service": SERVICE,
            "job": SERVICE,
            "instance": f"{pod['status']['podIP']}:{PORT}",
            "severity": "critical",
        }
        return Alert(
            labels=labels,
            annotations={"summary": f"{SERVICE} service is down"},
            starts_at=datetime.now(UTC) - self._firing_for,
            generator_url="http://127.0.0.1:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        )


def _playbook_strategy() -> dict[str, Any]:
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}}


def _crashes(pod: dict[str, Any]) -> bool:
    return any("waiting" in container["state"] for container in pod["status"].get("containerStatuses", ()))
