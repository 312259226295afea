"""The programs that the bench needs beside the checkout, in a cache folder that can be thrown away.

`REMEDIATOR_BENCH_CACHE` names the folder; else it is `remediator-bench` in the user's cache directory.
Nothing is installed into the system: Debian packages are unpacked there, and the Python peer has a virtual
environment there.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Gone, output_of

RULEBOOK_PEER = ("ansible-rulebook==1.3.2", "ansible-core==2.19.14", "drools-jpy==0.4.1")
DEBIAN = {
    "wrk": ("wrk", "libluajit-5.1-2", "libluajit-5.1-common"),
    "prometheus-alertmanager": ("prometheus-alertmanager",),
}


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the environment that it needs to run from where it was unpacked."""

    path: Path
    env: dict[str, str]


def cache_folder() -> Path:
    """Where downloaded tools stay between runs."""
    named = os.environ.get("REMEDIATOR_BENCH_CACHE")
    if named:
        return Path(named).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "remediator-bench"


async def debian_program(name: str) -> Program:
    """A program of Debian: the system's if it is installed, else unpacked into the cache. Raises Gone."""
    if found := shutil.which(name):
        return Program(Path(found), {})
    root = cache_folder() / "debian" / name
    program = Program(
        root / "usr/bin" / name, {"LD_LIBRARY_PATH": ":".join(map(str, _library_folders(root)))}
    )
    if program.path.exists():
        return program
    if not shutil.which("apt-get"):
        raise Gone(
            f"{name} is not installed, and there is no apt-get to download it with: put {name} on PATH"
        )
    downloads = root / "packages"
    downloads.mkdir(parents=True, exist_ok=True)
    await output_of("apt-get", "download", *DEBIAN[name], cwd=downloads)
    for package in sorted(downloads.glob("*.deb")):
        await output_of("dpkg", "-x", package, root)
    return Program(program.path, {"LD_LIBRARY_PATH": ":".join(map(str, _library_folders(root)))})


def _library_folders(root: Path) -> Sequence[Path]:
    return sorted((root / "usr/lib").glob("*-linux-gnu"))


async def rulebook_peer() -> Path:
    """The `bin` folder of a virtual environment with ansible-rulebook; made on first use. Raises Gone."""
    if not shutil.which("java"):
        raise Gone("ansible-rulebook needs a Java runtime, 17 or newer: put java on PATH")
    home = cache_folder() / RULEBOOK_PEER[0].replace("==", "-")
    program = home / "bin/ansible-rulebook"
    if not program.exists():
        await output_of(sys.executable, "-m", "venv", "--clear", home)
        await output_of(home / "bin/pip", "install", "--quiet", *RULEBOOK_PEER)
    return program.parent
