"""The one moment at which a write is on its way and not yet made, as the API server itself tells it.

A validating admission webhook is asked after the request was read, authorized and applied to the object in
memory, and before anything is stored. What kills the daemon there leaves an intent without an outcome.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.support.audit import service_account_user
from tests.support.clusters import RealCluster
from tests.support.control_plane import ApiRefused
from tests.support.processes import eventually
from tests.support.rbac import ACCOUNT

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


@dataclass(frozen=True, slots=True)
class Write:
    """An update of a Deployment that Remediator's account asks for."""

    old: Any
    new: Any

    @property
    def changes_template(self) -> bool:
        return bool(self.old["spec"]["template"] != self.new["spec"]["template"])


Judge = Callable[[Write], Awaitable[bool]]
"""Whether the write may be made."""


class AdmissionGate:
    """While entered, Remediator's updates of the Deployments in the cluster's namespace go by `judge`."""

    def __init__(self, cluster: RealCluster, judge: Judge) -> None:
        self._cluster = cluster
        self._judge = judge
        self._user = service_account_user(cluster.namespace, ACCOUNT)
        self._name = f"gate.{cluster.namespace}.example"
        self._asked = False
        app = web.Application()
        app.router.add_post("/", self._review)
        self._runner = web.AppRunner(app)

    async def __aenter__(self) -> Self:
        pki = self._cluster.control_plane.pki
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pki.server_certificate, pki.server_key)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        url = f"https://127.0.0.1:{self._runner.addresses[0][1]}/"
        self._cluster.control_plane.request("POST", CONFIGURATIONS, self._configuration(url))
        await eventually(self._in_force, "the API server asks the gate")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ApiRefused):
            self._cluster.control_plane.request("DELETE", f"{CONFIGURATIONS}/{self._name}")
        await self._runner.cleanup()

    async def _in_force(self) -> bool:
        """The API server takes a webhook up a little later: change something until it asks."""
        name = (await self._cluster.all("deployments"))[0]["metadata"]["name"]
        await self._cluster.annotate(name, gate="asked")
        await self._cluster.annotate(name, gate=None)
        return self._asked

    def _configuration(self, url: str) -> dict[str, Any]:
        authority = base64.b64encode(self._cluster.control_plane.pki.ca.read_bytes()).decode()
        rule = {
            "operations": ["UPDATE"],
            "apiGroups": ["apps"],
            "apiVersions": ["v1"],
            "resources": ["deployments"],
        }
        webhook = {
            "name": self._name,
            "clientConfig": {"url": url, "caBundle": authority},
            "rules": [rule],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 20,
        }
        return {"metadata": {"name": self._name}, "webhooks": [webhook]}

    async def _review(self, http: web.Request) -> web.Response:
        asked = (await http.json())["request"]
        self._asked = True
        ours = asked["userInfo"]["username"] == self._user
        allowed = await self._judge(Write(asked["oldObject"], asked["object"])) if ours else True
        answer = {"uid": asked["uid"], "allowed": allowed}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}
        return web.json_response(review)
