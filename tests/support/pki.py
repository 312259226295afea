"""Throw-away certificates and keys for a loopback control plane, made by the openssl command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

DAYS = "2"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Pki:
    """The files of one control plane: an authority, the API server's certificate, the token signing key."""

    ca: Path
    server_certificate: Path
    server_key: Path
    token_key: Path
    """Signs ServiceAccount tokens; `token_public_key` verifies them."""
    token_public_key: Path


def create_pki(directory: Path) -> Pki:
    """Make all of it below `directory`; the server's certificate is valid for loopback only."""
    directory.mkdir(parents=True, exist_ok=True)
    ca, ca_key = directory / "ca.crt", directory / "ca.key"
    certificate, key, request = (directory / f"apiserver.{kind}" for kind in ("crt", "key", "csr"))
    token_key, token_public_key = directory / "tokens.key", directory / "tokens.pub"
    extensions = directory / "apiserver.ext"
    extensions.write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc\n"
        "extendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\nbasicConstraints=CA:FALSE\n"
    )
    _openssl("req", "-x509", *NEW_KEY, "-keyout", ca_key, "-out", ca, "-days", DAYS, "-subj", "/CN=test-ca",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    _openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", "/CN=kube-apiserver")
    _openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial",
             "-out", certificate, "-days", DAYS, "-extfile", extensions)  # fmt: skip
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", token_key)
    _openssl("pkey", "-in", token_key, "-pubout", "-out", token_public_key)
    return Pki(ca, certificate, key, token_key, token_public_key)


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
