"""One way to set up, disturb and count on both clusters of the suite: stand-in and control plane."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from remediator.sandbox.kubernetes import StandIn
from tests.support.audit import service_account_user
from tests.support.control_plane import ApiRefused, ControlPlane
from tests.support.kubelet import PodStatusWriter
from tests.support.processes import eventually
from tests.support.rbac import ACCOUNT, bind, shipped_role

Json = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

GOOD, ALSO_GOOD, BROKEN = "shop/cart:1.4.0", "shop/cart:1.4.1", "shop/cart:1.5.0"


@dataclass(frozen=True, slots=True)
class Write:
    """A write of ours that changed an object, as the API server's audit log tells it."""

    resource: str
    name: str
    operations: Sequence[Mapping[str, Any]]

    def sets(self, path: str) -> bool:
        return any(each["path"] == path and each["op"] != "test" for each in self.operations)


class Cluster(ABC):
    """A cluster, with one namespace of this test's own in which it is admin; pods of `BROKEN` crash."""

    def __init__(self, url: str, namespace: str, admin_token: str, tls: ssl.SSLContext | None) -> None:
        self.url = url
        self.namespace = namespace
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {admin_token}"},
            connector=aiohttp.TCPConnector(ssl=tls if tls is not None else True),
        )

    @abstractmethod
    def kubeconfig(self, *, url: str | None = None) -> Path:
        """A kubeconfig of Remediator's ServiceAccount; `url` sends it elsewhere, say through a proxy."""

    @abstractmethod
    def writes(self) -> list[Write]:
        """What Remediator's account changed in the namespace, oldest first."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.connector.close(abort_ssl=True) if self._session.connector else None
        await self._session.close()

    async def call(self, method: str, path: str, body: Any = None, content_type: str = "") -> Any:
        """One call as admin, below the namespace of its API group; raises `ApiRefused`."""
        root = "/api/v1" if path.startswith("pods") else "/apis/apps/v1"
        return await self.ask(method, f"{root}/namespaces/{self.namespace}/{path}", body, content_type)

    async def ask(self, method: str, path: str, body: Any = None, content_type: str = "") -> Any:
        """One call of any path as admin; raises `ApiRefused`."""
        headers = {"Content-Type": content_type or "application/json"}
        async with self._session.request(method, self.url + path, json=body, headers=headers) as answer:
            if answer.status >= 400:
                raise ApiRefused(answer.status, await answer.text())
            return await answer.json()

    async def get(self, name: str, plural: str = "deployments") -> Json:
        found: Json = await self.call("GET", f"{plural}/{name}")
        return found

    async def all(self, plural: str) -> list[Json]:
        found: list[Json] = (await self.call("GET", plural))["items"]
        return found

    async def patch(
        self, name: str, operations: Sequence[Mapping[str, Any]], plural: str = "deployments"
    ) -> Json:
        """Another hand's JSON Patch."""
        patched: Json = await self.call("PATCH", f"{plural}/{name}", list(operations), JSON_PATCH)
        return patched

    async def merge(self, name: str, change: Mapping[str, Any], plural: str = "deployments") -> Json:
        """Another hand's merge patch."""
        patched: Json = await self.call("PATCH", f"{plural}/{name}", change, MERGE_PATCH)
        return patched

    async def annotate(self, name: str, **values: str | None) -> None:
        """Set annotations of a Deployment below `remediator.dev/`, or remove those given as None."""
        noted = {f"remediator.dev/{key.replace('_', '-')}": value for key, value in values.items()}
        await self.merge(name, {"metadata": {"annotations": noted}})

    async def deploy(
        self, name: str, *images: str, replicas: int = 2, env: Mapping[str, str] | None = None
    ) -> Json:
        """Make a Deployment and roll it out once for each image, each having got its own revision."""
        labels = {"app": name}
        variables = [{"name": key, "value": value} for key, value in (env or {}).items()]
        container: Json = {"name": "main", "image": images[0]}
        if variables:
            container["env"] = variables
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }
        await self.call("POST", "deployments", manifest)
        found = await self.taken_up(name)
        for image in images[1:]:
            found = await self.roll_out(name, image)
        return found

    async def roll_out(self, name: str, image: str) -> Json:
        """Another hand's rollout of another image."""
        path = "/spec/template/spec/containers/0/image"
        await self.patch(name, [{"op": "replace", "path": path, "value": image}])
        return await self.taken_up(name)

    async def kubectl_restart(self, name: str, at: str) -> Json:
        """Another hand's `kubectl rollout restart`."""
        noted = {"kubectl.kubernetes.io/restartedAt": at}
        await self.merge(name, {"spec": {"template": {"metadata": {"annotations": noted}}}})
        return await self.taken_up(name)

    async def taken_up(self, name: str) -> Json:
        """Wait until the controller has made a revision of the Deployment as it is now, and return it."""

        async def seen() -> Json | None:
            found = await self.get(name)
            fresh = found.get("status", {}).get("observedGeneration", 0) >= found["metadata"]["generation"]
            numbered = "deployment.kubernetes.io/revision" in found["metadata"].get("annotations", {})
            running = image_of(found)
            made = [each for each in await self.all("replicasets") if image_of(each) == running]
            return found if fresh and numbered and made else None

        found = await eventually(seen, f"{name} taken up by its controller")
        assert found is not None
        return found

    async def complete(self, name: str) -> Json:
        """Wait until the rollout is over and every replica available, and return the Deployment."""

        async def done() -> Json | None:
            found = await self.get(name)
            status, wanted = found.get("status", {}), found["spec"]["replicas"]
            fresh = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            counts = ("replicas", "updatedReplicas", "availableReplicas")
            return found if fresh and all(status.get(key, 0) == wanted for key in counts) else None

        found = await eventually(done, f"{name} rolled out", within=20)
        assert found is not None
        return found

    async def marked(self) -> set[str]:
        """The images of the revisions marked as fled from."""
        mark = "remediator.dev/fled-from"
        return {
            image_of(each)
            for each in await self.all("replicasets")
            if mark in each["metadata"].get("annotations", {})
        }

    def template_writes(self) -> list[Write]:
        """Our writes that moved a Deployment's template."""
        return [
            each for each in self.writes() if each.resource == "deployments" and each.sets("/spec/template")
        ]


class StandInCluster(Cluster):
    """The embedded stand-in; `standin.faults` makes it misbehave."""

    USER = service_account_user("remediator", ACCOUNT)

    def __init__(self, standin: StandIn, directory: Path) -> None:
        super().__init__(standin.url, "shop", "admin", None)
        self.standin = standin
        self._directory = directory

    @classmethod
    def make(cls) -> StandIn:
        return StandIn(users={"account": cls.USER, "admin": "admin"}, broken=[BROKEN], ready_after=0.02)

    async def __aenter__(self) -> Self:
        body = {"metadata": {"name": self.namespace}}
        async with self._session.post(f"{self.url}/api/v1/namespaces", json=body) as answer:
            answer.raise_for_status()
        return self

    def kubeconfig(self, *, url: str | None = None) -> Path:
        way = "direct" if url is None else "proxied"
        path = self.standin.kubeconfig(self._directory / f"{way}.kubeconfig", token="account")
        if url is not None:
            path.write_text(path.read_text().replace(self.standin.url, url))
        return path

    def writes(self) -> list[Write]:
        changes = self.standin.audit.changes(user=self.USER)
        return [Write(each.resource, each.name, each.body) for each in changes]


class RealCluster(Cluster):
    """A namespace of a real control plane, with the Role of deploy/ for Remediator's ServiceAccount."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        super().__init__(control_plane.url, namespace, control_plane.admin_token, control_plane.tls)
        self.control_plane = control_plane
        self._kubelet = PodStatusWriter(control_plane, namespace, broken=[BROKEN])
        self._kubeconfig = bind(control_plane, namespace, shipped_role())

    async def __aenter__(self) -> Self:
        await self._kubelet.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._kubelet.__aexit__(kind, raised, trace)
        await super().__aexit__(kind, raised, trace)

    def kubeconfig(self, *, url: str | None = None) -> Path:
        if url is None:
            return self._kubeconfig
        token = self.control_plane.service_account_token(self.namespace, ACCOUNT)
        return self.control_plane.kubeconfig(f"{self.namespace}.proxied", token, url=url)

    def bind(self, role: Json) -> None:
        """Give the account this Role instead."""
        bind(self.control_plane, self.namespace, role)

    def writes(self) -> list[Write]:
        user = service_account_user(self.namespace, ACCOUNT)
        done = self.control_plane.applied_changes(namespace=self.namespace, user=user)
        return [Write(each.resource, each.name, each.request) for each in done]


def image_of(found: Mapping[str, Any]) -> str:
    """The image of a Deployment's or ReplicaSet's one container."""
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])
