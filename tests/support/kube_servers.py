"""The command lines of etcd, kube-apiserver and kube-controller-manager for a control plane on loopback."""

from __future__ import annotations

import os
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.audit import POLICY
from tests.support.pki import Pki
from tests.support.processes import ManagedProcess, free_port, process

CONTROLLERS = (
    "deployment",
    "replicaset",
    "namespace",
    "serviceaccount",
    "serviceaccount-token",
    "root-ca-cert-publisher",
    "endpoint",
    "garbagecollector",
)

START_WITHIN = 45.0
"""Seconds for each of the three; about 6 for all of them on an idle machine."""


@contextmanager
def etcd(assets: Path, directory: Path) -> Iterator[str]:
    memory = Path("/dev/shm")
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    # in memory where there is some: etcd waits for the disk at every write
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else directory) as data:
        argv: list[str | Path] = [
            assets / "etcd", "--data-dir", data,
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}", "--log-level", "warn",
        ]  # fmt: skip
        with process("etcd", argv, directory) as server:
            server.wait_until(lambda: _answers(f"{client}/health"), "serving", within=START_WITHIN)
            yield client


@contextmanager
def api_server(
    assets: Path, directory: Path, pki: Pki, tokens: Path, etcd_url: str, port: int, tls: ssl.SSLContext
) -> Iterator[ManagedProcess]:
    policy = directory / "audit-policy.yaml"
    policy.write_text(POLICY)
    argv: list[str | Path] = [
        assets / "kube-apiserver", "--etcd-servers", etcd_url, "--bind-address", "127.0.0.1",
        "--advertise-address", "127.0.0.1", "--secure-port", str(port),
        "--tls-cert-file", pki.server_certificate, "--tls-private-key-file", pki.server_key,
        "--token-auth-file", tokens, "--authorization-mode", "RBAC",
        "--service-account-issuer", "https://kubernetes.default.svc",
        "--service-account-key-file", pki.token_public_key,
        "--service-account-signing-key-file", pki.token_key,
        "--service-cluster-ip-range", "10.96.0.0/16", "--endpoint-reconciler-type", "none",
        "--audit-policy-file", policy, "--audit-log-path", directory / "audit.jsonl",
        "--audit-log-mode", "blocking", "--audit-log-maxsize", "10000",
    ]  # fmt: skip
    with process("kube-apiserver", argv, directory) as server:
        ready = f"https://127.0.0.1:{port}/readyz"
        server.wait_until(lambda: _answers(ready, tls), "ready", within=START_WITHIN)
        yield server


@contextmanager
def controller_manager(assets: Path, directory: Path, pki: Pki, kubeconfig: Path) -> Iterator[ManagedProcess]:
    port = free_port()
    argv: list[str | Path] = [
        assets / "kube-controller-manager", "--kubeconfig", kubeconfig,
        "--controllers", ",".join(CONTROLLERS),
        "--use-service-account-credentials", "--service-account-private-key-file", pki.token_key,
        "--root-ca-file", pki.ca, "--leader-elect=false", "--bind-address", "127.0.0.1",
        "--secure-port", str(port), "--cert-dir", directory / "controller-manager",
        "--kube-api-qps", "300", "--kube-api-burst", "600",
        *_no_plain_port(assets / "kube-controller-manager"),
    ]  # fmt: skip
    # it signs its own certificate, and /healthz is all that is asked of it
    unverified = ssl._create_unverified_context()
    health = f"https://127.0.0.1:{port}/healthz"
    with process("kube-controller-manager", argv, directory) as manager:
        manager.wait_until(lambda: _answers(health, unverified), "healthy", within=START_WITHIN)
        yield manager


def _no_plain_port(binary: Path) -> list[str]:
    """Before 1.24 it also served a fixed port without TLS, on which two control planes would collide."""
    options = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True)
    return ["--port", "0"] if " --port int" in options.stdout else []


def _answers(url: str, tls: ssl.SSLContext | None = None) -> bool:
    try:
        with urllib.request.urlopen(url, context=tls, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
