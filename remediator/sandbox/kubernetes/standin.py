"""The stand-in as a whole: start it, reach it over HTTP, act on it as its users would, watch it settle."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from remediator.sandbox.faults import Faults
from remediator.sandbox.kubernetes.api import ApiReply, ApiRequest, ApiServer
from remediator.sandbox.kubernetes.audit import AuditLog
from remediator.sandbox.kubernetes.controllers import Controllers
from remediator.sandbox.kubernetes.http import HttpFront
from remediator.sandbox.kubernetes.resources import BY_PLURAL, DEPLOYMENTS, NAMESPACES
from remediator.sandbox.kubernetes.status import StatusError
from remediator.sandbox.kubernetes.store import Clock, Object, Store

ADMIN = "kubernetes-admin"
KUBECTL = "kubectl/sandbox"
FIRST_NAMESPACES = ("default", "kube-public", "kube-system")


def _now() -> datetime:
    return datetime.now(UTC)


class StandIn:
    """A cluster in this process, served on loopback while the context is entered.

    - `ready_after`: seconds until a new pod is ready, or known to be broken.
    - `broken`: images whose pods crash; `break_image` and `mend_image` change that later.
    - `users`: bearer tokens and whose they are; with none, everybody may do everything.
    - `kubelet=False`: pods get no status, for tests that write it themselves.
    - `clock`: what stamps objects, in UTC.

    `audit` holds every request served, these helpers' included (as user `kubernetes-admin`), and `faults`
    those to commit on requests that come over HTTP.
    """

    def __init__(
        self,
        *,
        ready_after: float = 0.05,
        broken: Collection[str] = (),
        users: Mapping[str, str] | None = None,
        kubelet: bool = True,
        clock: Clock = _now,
    ) -> None:
        self.audit = AuditLog()
        self.faults: Faults[ApiRequest] = Faults()
        self._users = dict(users or {})
        self._store = Store(clock)
        self._api = ApiServer(self._store, self.audit)
        self._controllers = Controllers(self._store, ready_after=ready_after, kubelet=kubelet)
        self._controllers.kubelet.broken.update(broken)
        self._front = HttpFront(self._api, self.faults, self._users)
        for name in FIRST_NAMESPACES:
            self._store.create(NAMESPACES, "", {"metadata": {"name": name}})

    async def __aenter__(self) -> Self:
        self.start_controllers()
        await self._front.server.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._front.server.down()
        await self._controllers.stop()

    def start_controllers(self) -> None:
        """Bring the cluster to life without a server, for those who reach it by :meth:`handle` alone."""
        self._controllers.start()

    def handle(self, request: ApiRequest) -> ApiReply:
        """Answer a request that did not come over HTTP."""
        return self._api.handle(request)

    @property
    def url(self) -> str:
        return self._front.server.url

    async def down(self) -> None:
        """Refuse connections until `up`; the controllers go on."""
        await self._front.server.down()

    async def up(self) -> None:
        await self._front.server.up()

    def kubeconfig(self, path: Path, *, token: str | None = None) -> Path:
        """Write a kubeconfig for this cluster to `path`, with the first user's token or the one given."""
        credential = token if token is not None else next(iter(self._users), None)
        user: dict[str, Any] = {} if credential is None else {"token": credential}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "sandbox",
            "clusters": [{"name": "sandbox", "cluster": {"server": self.url}}],
            "users": [{"name": "sandbox", "user": user}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox"}}],
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        return path

    async def settled(self, deadline: float = 10.0) -> None:
        """Return once the controllers have nothing left to do and every pod is ready or crashing.

        A rollout that is stuck is settled too. TimeoutError after `deadline` seconds.
        """
        await self._controllers.settled(deadline)

    async def until(self, holds: Callable[[], bool], deadline: float | None = 10.0) -> None:
        """Return once `holds()`, asked after every change; TimeoutError after `deadline` seconds, if any."""
        await self._controllers.until(holds, deadline)

    def get(self, plural: str, namespace: str, name: str) -> Object:
        """A copy of an object; StatusError when there is none. Not in the audit log."""
        return self._store.get(BY_PLURAL[plural], namespace, name)

    def list(self, plural: str, namespace: str = "") -> list[Object]:
        """Copies of all of a kind, in one namespace or in every one. Not in the audit log."""
        return self._store.list(BY_PLURAL[plural], namespace)

    def deploy(
        self,
        namespace: str,
        name: str,
        image: str,
        *,
        replicas: int = 3,
        annotations: Mapping[str, str] | None = None,
        spec: Mapping[str, Any] | None = None,
    ) -> Object:
        """Create a Deployment with one container of its name, labelled `app`, and its namespace if need be.

        `spec` adds to or replaces fields of the Deployment's spec.
        """
        if self._store.find(NAMESPACES, "", namespace) is None:
            self._as_admin("create", "namespaces", body={"metadata": {"name": namespace}})
        labels = {"app": name}
        pod = {"containers": [{"name": name, "image": image, "ports": [{"containerPort": 80}]}]}
        body = {
            "metadata": {"name": name, "labels": labels, "annotations": dict(annotations or {})},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
                **(spec or {}),
            },
        }
        return self._as_admin("create", "deployments", namespace, body=body)

    def expose(self, namespace: str, name: str, port: int = 80) -> Object:
        """Create a Service before the Deployment of the same name."""
        body = {
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]},
        }
        return self._as_admin("create", "services", namespace, body=body)

    def set_image(self, namespace: str, name: str, image: str) -> Object:
        """Roll a Deployment out to another image, by the patch that `kubectl set image` sends."""
        current = self._store.get(DEPLOYMENTS, namespace, name)
        container = current["spec"]["template"]["spec"]["containers"][0]["name"]
        containers = [{"name": container, "image": image}]
        order = {"$setElementOrder/containers": [{"name": container}]}
        body = {"spec": {"template": {"spec": {**order, "containers": containers}}}}
        return self._as_admin("patch", "deployments", namespace, name, body)

    def annotate(self, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Object:
        """Set annotations of a Deployment, or remove those given as None."""
        return self._as_admin(
            "patch", "deployments", namespace, name, {"metadata": {"annotations": dict(annotations)}}
        )

    def label(self, namespace: str, name: str, labels: Mapping[str, str | None]) -> Object:
        """Set labels of a Deployment, or remove those given as None."""
        return self._as_admin("patch", "deployments", namespace, name, {"metadata": {"labels": dict(labels)}})

    def delete(self, plural: str, namespace: str, name: str) -> None:
        self._as_admin("delete", plural, namespace, name)

    def break_image(self, image: str) -> None:
        """From now on pods of this image crash, running ones included."""
        self._controllers.kubelet.broken.add(image)
        self._controllers.look_again()

    def mend_image(self, image: str) -> None:
        """Pods of this image become ready again."""
        self._controllers.kubelet.broken.discard(image)
        self._controllers.look_again()

    def healthy(self, namespace: str, name: str) -> bool:
        """Whether a Deployment's rollout is complete: every replica of the newest template, and available."""
        found = self._store.find(DEPLOYMENTS, namespace, name)
        if found is None:
            return False
        status, goal = found.get("status", {}), found["spec"]["replicas"]
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        counts = ("replicas", "updatedReplicas", "availableReplicas")
        return seen and all(status.get(field, 0) == goal for field in counts)

    def _as_admin(
        self,
        verb: str,
        plural: str,
        namespace: str = "",
        name: str = "",
        body: Mapping[str, Any] | None = None,
    ) -> Object:
        patched = verb == "patch"
        reply: ApiReply = self._api.handle(
            ApiRequest(
                verb=verb,
                resource=BY_PLURAL[plural],
                namespace=namespace,
                name=name,
                content_type="application/strategic-merge-patch+json" if patched else "application/json",
                body=b"" if body is None else json.dumps(body).encode(),
                user=ADMIN,
                user_agent=KUBECTL,
            )
        )
        if reply.body.get("status") == "Failure":
            raise StatusError(
                reply.code, reply.body["reason"], reply.body["message"], reply.body.get("details")
            )
        return reply.body
