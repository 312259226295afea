"""A real Kubernetes control plane on loopback: etcd, kube-apiserver and kube-controller-manager.

The folder of their binaries is named by `KUBEBUILDER_ASSETS`, as controller-runtime's envtest does it.
RBAC is on, every request is audited. `kubelet.PodStatusWriter` stands in for the kubelet that isn't there.
"""

from __future__ import annotations

import json
import os
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.audit import AuditEntry, AuditLog, applied_changes
from tests.support.kube_servers import api_server, controller_manager, etcd
from tests.support.pki import Pki, create_pki
from tests.support.processes import ManagedProcess, free_port, wait_until


class ApiRefused(AssertionError):
    """The API server answered with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def assets_from_environment() -> Path | None:
    """The folder that `KUBEBUILDER_ASSETS` names, or None when the cluster suite isn't asked for."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    return Path(named) if named else None


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running control plane. Its methods block, for milliseconds; `kubectl` for a tenth of a second."""

    url: str
    directory: Path
    kubectl_binary: Path
    pki: Pki
    admin_token: str
    admin_kubeconfig: Path
    api_server: ManagedProcess
    controller_manager: ManagedProcess
    audit_log: AuditLog
    tls: ssl.SSLContext = field(repr=False)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        token: str = "",
    ) -> Any:
        """One call of the API, as admin unless `token` is given; raises `ApiRefused` on an error status."""
        call = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token or self.admin_token}", "Content-Type": content_type},
        )
        try:
            with urllib.request.urlopen(call, context=self.tls, timeout=30) as answer:
                return _decode(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                raise ApiRefused(refused.code, refused.read().decode()) from None

    def create(self, path: str, manifest: Mapping[str, Any]) -> Any:
        """POST a manifest to a collection; an object of that name already there is fine."""
        try:
            return self.request("POST", path, manifest)
        except ApiRefused as refused:
            if refused.status != 409:
                raise
            return self.request("GET", f"{path}/{manifest['metadata']['name']}")

    def kubectl(
        self, *arguments: str | Path, kubeconfig: Path | None = None, stdin: str | None = None
    ) -> str:
        """Run kubectl, as admin unless told otherwise, and return what it printed.

        Raises CalledProcessError, its stderr in a note, when kubectl exits with anything but 0.
        """
        done = subprocess.run(
            [self.kubectl_binary, "--kubeconfig", kubeconfig or self.admin_kubeconfig, *arguments],
            input=stdin,
            env={**os.environ, "HOME": str(self.directory)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            failed = subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
            failed.add_note(done.stderr)
            raise failed
        return done.stdout

    def kubeconfig(self, name: str, token: str, *, url: str | None = None) -> Path:
        """Write a kubeconfig that authenticates by `token`; `url` sends it elsewhere, say through a proxy."""
        return _write_kubeconfig(self.directory / f"{name}.kubeconfig", url or self.url, self.pki.ca, token)

    def service_account_token(self, namespace: str, name: str) -> str:
        """Make the ServiceAccount if need be and have the server issue a token for it, good for an hour."""
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.create(accounts, {"metadata": {"name": name}})
        issued = self.request("POST", f"{accounts}/{name}/token", {"spec": {"expirationSeconds": 3600}})
        return str(issued["status"]["token"])

    def service_account_kubeconfig(self, namespace: str, name: str, *, url: str | None = None) -> Path:
        """A kubeconfig of that ServiceAccount, which has only the rights that RBAC gives it."""
        token = self.service_account_token(namespace, name)
        return self.kubeconfig(f"{namespace}.{name}", token, url=url)

    @contextmanager
    def namespace(self, prefix: str = "test") -> Iterator[str]:
        """A new namespace in which pods can start; deleted, without waiting for it, at the end."""
        name = self.create_namespace(f"{prefix}-{secrets.token_hex(4)}")
        try:
            yield name
        finally:
            with suppress(ApiRefused):
                self.request("DELETE", f"/api/v1/namespaces/{name}")

    def create_namespace(self, name: str) -> str:
        """Make a namespace, if need be, and wait until it admits pods, which need an account's token."""
        self.create("/api/v1/namespaces", {"metadata": {"name": name}})
        pod = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "probe", "image": "probe"}]}}

        def pods_are_admitted() -> bool:
            try:
                return bool(self.request("POST", f"/api/v1/namespaces/{name}/pods?dryRun=All", pod))
            except ApiRefused:
                return False

        self.controller_manager.wait_until(pods_are_admitted, f"pods admitted to {name}")
        return name

    def audit(self) -> tuple[AuditEntry, ...]:
        """Every request whose answer somebody had before this call, oldest first.

        A marker request is sent and awaited in the log, since an answer may overtake its own log line.
        """
        marker = f"/version?marker={secrets.token_hex(8)}"
        self.request("GET", marker)
        wait_until(lambda: any(entry.uri == marker for entry in self.audit_log.read()[-500:]), "audit marker")
        return self.audit_log.read()

    def applied_changes(self, **narrowed_by: str) -> list[AuditEntry]:
        """Writes that took effect, narrowed by namespace, resource, name, verb or user."""
        return applied_changes(self.audit(), **narrowed_by)

    def can(
        self, token: str, verb: str, group: str, resource: str, namespace: str, subresource: str = ""
    ) -> bool:
        """The server's own answer, by SelfSubjectAccessReview, to whether the token's owner may do this."""
        asked = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        review = self.request(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {"spec": {"resourceAttributes": {**asked, "subresource": subresource}}},
            token=token,
        )
        return bool(review["status"]["allowed"])


@contextmanager
def running_control_plane(assets: Path, directory: Path) -> Iterator[ControlPlane]:
    """Start the three servers of `assets`, logs and credentials below `directory`, and stop them at the end.

    Start it from the main thread: the processes die with the thread that started them.
    """
    pki = create_pki(directory / "pki")
    admin, manager = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    tokens = directory / "tokens.csv"
    tokens.write_text(
        f'{admin},admin,admin,"system:masters"\n'
        f"{manager},system:kube-controller-manager,system:kube-controller-manager\n"
    )
    tls = ssl.create_default_context(cafile=str(pki.ca))
    with ExitStack() as stack:
        etcd_url = stack.enter_context(etcd(assets, directory))
        port = free_port()
        url = f"https://127.0.0.1:{port}"
        server = stack.enter_context(api_server(assets, directory, pki, tokens, etcd_url, port, tls))
        manager_kubeconfig = _write_kubeconfig(directory / "manager.kubeconfig", url, pki.ca, manager)
        controllers = stack.enter_context(controller_manager(assets, directory, pki, manager_kubeconfig))
        yield ControlPlane(
            url=url,
            directory=directory,
            kubectl_binary=assets / "kubectl",
            pki=pki,
            admin_token=admin,
            admin_kubeconfig=_write_kubeconfig(directory / "admin.kubeconfig", url, pki.ca, admin),
            api_server=server,
            controller_manager=controllers,
            audit_log=AuditLog(directory / "audit.jsonl"),
            tls=tls,
        )


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        return body.decode()


def _write_kubeconfig(path: Path, url: str, ca: Path, token: str) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path
