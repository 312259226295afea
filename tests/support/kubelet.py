"""Pod status where there is no kubelet: unless somebody reports pods ready, no Deployment gets available."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.support.control_plane import ControlPlane


class PodStatusWriter:
    """While entered, reports each pod of a namespace Ready, or in CrashLoopBackOff if its image is `broken`.

    Whoever changes `broken` for pods that were reported already calls `reconsider`. Pods of no node are
    deleted by the API server at once, so that a rollout needs nothing more than this.
    """

    def __init__(self, control_plane: ControlPlane, namespace: str, *, broken: Iterable[str] = ()) -> None:
        self.broken = set(broken)
        self._control_plane = control_plane
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._session: aiohttp.ClientSession
        self._connector: aiohttp.TCPConnector
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._connector = aiohttp.TCPConnector(ssl=self._control_plane.tls)
        self._session = aiohttp.ClientSession(
            self._control_plane.url,
            headers={"Authorization": f"Bearer {self._control_plane.admin_token}"},
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        )
        self._task = asyncio.create_task(self._follow(), name="pod status writer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        # before the cancelled watch lets go of its connection: a TLS farewell would outlive the event loop
        await self._connector.close(abort_ssl=True)
        await self._session.close()
        with suppress(asyncio.CancelledError):
            await self._task  # a writer that died of an error fails the test here

    async def reconsider(self) -> None:
        """Judge every pod of the namespace again, now."""
        for pod in (await self._list())["items"]:
            await self._report(pod)

    async def _follow(self) -> None:
        while True:
            listed = await self._list()
            for pod in listed["items"]:
                await self._report(pod)
            async for event in self._watch(listed["metadata"]["resourceVersion"]):
                if event["type"] in {"ADDED", "MODIFIED"}:
                    await self._report(event["object"])
                elif event["type"] == "ERROR":
                    break

    async def _list(self) -> Any:
        async with self._session.get(self._pods) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def _watch(self, version: str) -> AsyncIterator[Any]:
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "300"}
        async with self._session.get(self._pods, params=query) as answer:
            async for line in answer.content:
                yield json.loads(line)

    async def _report(self, pod: Mapping[str, Any]) -> None:
        ready = not any(container["image"] in self.broken for container in pod["spec"]["containers"])
        if "deletionTimestamp" in pod["metadata"] or _reported_ready(pod) is ready:
            return
        async with self._session.patch(
            f"{self._pods}/{pod['metadata']['name']}/status",
            json={"status": _status(pod, ready=ready)},
            headers={"Content-Type": "application/merge-patch+json"},
        ) as answer:
            if answer.status != 404:  # deleted meanwhile
                answer.raise_for_status()


def _reported_ready(pod: Mapping[str, Any]) -> bool | None:
    """What was reported before, None if nothing was."""
    reported = [entry for entry in pod["status"].get("conditions", ()) if entry["type"] == "Ready"]
    return bool(reported[0]["status"] == "True") if reported else None


def _status(pod: Mapping[str, Any], *, ready: bool) -> dict[str, Any]:
    state = {"running": {}} if ready else {"waiting": {"reason": "CrashLoopBackOff"}}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    verdict = str(ready)
    conditions = {"Initialized": "True", "ContainersReady": verdict, "Ready": verdict, "PodScheduled": "True"}
    return {
        "phase": "Running",
        "startTime": now,
        "podIP": "10.244.0.1",
        "podIPs": [{"ip": "10.244.0.1"}],
        "conditions": [
            {"type": kind, "status": status, "lastTransitionTime": now} for kind, status in conditions.items()
        ],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": ready,
                "started": ready,
                "restartCount": 0 if ready else 4,
                "state": state,
            }
            for container in pod["spec"]["containers"]
        ],
    }
