"""The control loop: every change wakes whoever is responsible for it, until nothing is left to do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from remediator.sandbox.kubernetes.deployments import DeploymentController
from remediator.sandbox.kubernetes.kubelet import Kubelet
from remediator.sandbox.kubernetes.replicasets import ReplicaSetController, owners
from remediator.sandbox.kubernetes.resources import ALL, DEPLOYMENTS, NAMESPACES, PODS, REPLICA_SETS
from remediator.sandbox.kubernetes.store import Change, Object, Store


class Work(NamedTuple):
    """Something to look at: `kind` is a resource's plural, or a duty of its own."""

    kind: str
    namespace: str
    name: str


_START_POD = "start-pod"
_BY_KIND = {"Deployment": DEPLOYMENTS, "ReplicaSet": REPLICA_SETS}


class Controllers:
    """Deployment and ReplicaSet controllers, kubelet and garbage collector, in one task and in a fixed order.

    With `kubelet=False` pods stay as their creator left them, for tests that write pod status themselves.
    """

    def __init__(self, store: Store, *, ready_after: float, kubelet: bool) -> None:
        self._store = store
        self._queue: dict[Work, None] = {}
        self._timers: dict[Work, asyncio.TimerHandle] = {}
        self._expected: set[Work] = set()
        self._woken = asyncio.Event()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.kubelet = Kubelet(store, partial(self._call_later, _START_POD, expected=True), ready_after)
        deployments = DeploymentController(store, partial(self._call_later, "deployments", expected=False))
        replica_sets = ReplicaSetController(store, partial(self._call_later, "replicasets", expected=True))
        self._duties: dict[str, Callable[[str, str], None]] = {
            "deployments": deployments.reconcile,
            "replicasets": replica_sets.reconcile,
        }
        if kubelet:
            self._duties |= {"pods": self.kubelet.reconcile, _START_POD: self.kubelet.start}
        store.subscribe(self._on_change)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="sandbox-controllers")

    async def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def settled(self, deadline: float) -> None:
        """Return when nothing is left to do and no pod is starting; TimeoutError after `deadline` seconds."""
        await self.until(lambda: not self._queue and not self._expected, deadline)

    async def until(self, holds: Callable[[], bool], deadline: float | None) -> None:
        """Return when `holds()`, asked after every change; TimeoutError after `deadline` seconds."""
        async with asyncio.timeout(deadline):
            while not holds():
                self._changed.clear()
                await self._next_change()

    async def _next_change(self) -> None:
        changed = asyncio.create_task(self._changed.wait())
        watched = {changed} if self._task is None else {changed, self._task}
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        if self._task is not None and self._task.done():
            self._task.result()

    async def _run(self) -> None:
        while True:
            while self._queue:
                work = next(iter(self._queue))
                del self._queue[work]
                if (duty := self._duties.get(work.kind)) is not None:
                    duty(work.namespace, work.name)
                self._changed.set()
                await asyncio.sleep(0)  # requests are served between any two steps, as on a real cluster
            self._woken.clear()
            await self._woken.wait()

    def look_again(self) -> None:
        """Look at every pod anew: what counts as broken has changed."""
        for pod in self._store.list(PODS):
            self._enqueue(Work("pods", pod["metadata"]["namespace"], pod["metadata"]["name"]))

    def _enqueue(self, work: Work) -> None:
        self._queue.setdefault(work)
        self._woken.set()

    def _call_later(self, kind: str, namespace: str, name: str, seconds: float, *, expected: bool) -> None:
        work = Work(kind, namespace, name)
        if (held := self._timers.pop(work, None)) is not None:
            held.cancel()
        if expected:
            self._expected.add(work)
        self._timers[work] = asyncio.get_running_loop().call_later(seconds, self._due, work)

    def _due(self, work: Work) -> None:
        self._timers.pop(work, None)
        self._expected.discard(work)
        self._enqueue(work)

    def _on_change(self, change: Change) -> None:
        metadata = change.object["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        self._changed.set()
        self._enqueue(Work(change.resource.plural, namespace, name))
        for owner in metadata.get("ownerReferences", ()):
            if (kind := _BY_KIND.get(owner["kind"])) is not None:
                self._enqueue(Work(kind.plural, namespace, owner["name"]))
        if change.type == "DELETED":
            asyncio.get_running_loop().call_soon(self._collect, change)

    def _collect(self, change: Change) -> None:
        """Remove what the deleted object owned, or held as a namespace."""
        removed = change.object["metadata"]
        self.kubelet.forget(removed["uid"])
        for resource in ALL:
            for each in self._store.list(resource, wanted=partial(_depends, change)):
                namespace, name = each["metadata"].get("namespace", ""), each["metadata"]["name"]
                if self._store.find(resource, namespace, name) is not None:
                    self._store.delete(resource, namespace, name)


def _depends(change: Change, found: Object) -> bool:
    removed = change.object["metadata"]
    if change.resource is NAMESPACES:
        return bool(found["metadata"].get("namespace") == removed["name"])
    return removed["uid"] in owners(found)
