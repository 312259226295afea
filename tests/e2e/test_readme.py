"""The README, run as it is written: its blocks, in order, in a fresh clone, with what it says one needs.

`make test` of its first block is not run here, since it runs most of this project's tests: `.ci/run` runs it
as a step of its own, by that very command.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.terminal import Terminal, terminal
from tests.support.alertmanager import Alertmanager, running_alertmanager
from tests.support.clusters import ALSO_GOOD, BROKEN, GOOD, RealCluster
from tests.support.control_plane import ControlPlane
from tests.support.processes import eventually, listening

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NAMESPACE = "selfmonitor"
DAEMON, ALERTMANAGER = 9095, 9093
"""The ports that the README names."""

SETUP_WITHIN = 240.0
DEMO_WITHIN = 20.0
"""Seconds that the README's promises allow `make demo`, once everything is set up."""


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language, as they stand there."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `git clone` gives somebody now: HEAD, and nothing that was set up in this checkout."""
    fresh = tmp_path / "remediator"
    subprocess.run(["git", "clone", "--quiet", ROOT, fresh], check=True, capture_output=True)
    return fresh


@pytest.fixture
def shell(clone: Path, control_plane: ControlPlane, tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in the clone: an environment of PATH, HOME and KUBECONFIG, kubectl and curl in the PATH."""
    taken = [port for port in (DAEMON, ALERTMANAGER) if listening(port)]
    assert not taken, f"the README's ports must be free on this machine, and something listens on {taken}"
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        "PATH": f"{control_plane.kubectl_binary.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "KUBECONFIG": str(control_plane.admin_kubeconfig),
        **_way_to_the_package_index(),
    }
    with terminal(clone, environment, tmp_path / "terminal.log") as opened:
        yield opened


def _way_to_the_package_index() -> dict[str, str]:
    """How this machine reaches it: proxies, certificates, pip's settings, and what pip fetched before."""
    told = re.compile(r"(?i)PIP_.*|SSL_CERT_(?:FILE|DIR)|(?:https?|no)_proxy")
    fetched = {"PIP_CACHE_DIR": str(Path.home() / ".cache/pip")}
    return fetched | {name: value for name, value in os.environ.items() if told.fullmatch(name)}


@pytest.fixture
async def service(control_plane: ControlPlane) -> AsyncIterator[RealCluster]:
    """The namespace that the README speaks of, with a service in it that its last rollout broke."""
    control_plane.create_namespace(NAMESPACE)
    async with RealCluster(control_plane, NAMESPACE) as cluster:
        await cluster.deploy("auth-service", GOOD, ALSO_GOOD, BROKEN)
        yield cluster
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
async def alertmanager(tmp_path: Path) -> AsyncIterator[Alertmanager]:
    """An Alertmanager that somebody has, with the README's route and receiver added to its configuration."""
    (added,) = map(yaml.safe_load, blocks("yaml"))
    theirs: dict[str, Any] = {"route": {"receiver": "people"}, "receivers": [{"name": "people"}]}
    theirs["route"] |= added["route"]
    theirs["receivers"] += added["receivers"]
    async with running_alertmanager(yaml.safe_dump(theirs), tmp_path, port=ALERTMANAGER) as running:
        yield running


@pytest.mark.timeout(SETUP_WITHIN + 120)
async def test_the_readme_works_as_it_is_written(
    shell: Terminal, service: RealCluster, alertmanager: Alertmanager
) -> None:
    """From `make demo` in a fresh clone to an observed alert, and to the manifests in a cluster."""
    opening, install, start, ask, apply = blocks("sh")  # a new block has to find its place here

    demo, test = opening.splitlines()
    assert "Repaired and verified" in shell.run(demo, within=SETUP_WITHIN)
    assert test.startswith("make test ")
    began = time.monotonic()
    shell.run(demo, within=DEMO_WITHIN)
    assert time.monotonic() - began < DEMO_WITHIN

    assert "0 errors, 0 warnings" in shell.run(install, within=60)
    shell.run(start, within=30)
    labels = {"alertname": "ServiceDown", "job": "auth-service", "severity": "critical"}
    await alertmanager.post(labels, {"summary": "auth-service is down"})
    (run,) = await eventually(_observed_runs, "the run that would have been", within=30)
    printed = shell.run(ask, within=20)
    assert "observe" in printed
    assert run["id"] in printed
    assert f"deployment/{NAMESPACE}/auth-service" in printed
    told = shell.run(f".venv/bin/remediator explain {run['id']}", within=20)
    for promised in ("fact", "guard", f"-  - image: {BROKEN}", f"+  - image: {ALSO_GOOD}"):
        assert promised in told
    assert shell.end_background_job() == 0
    assert service.writes() == []

    assert "deployment.apps/remediator created" in shell.run(apply, within=30)
    service.control_plane.kubectl("delete", "namespace", "remediator", "--wait=false")


def _observed_runs() -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{DAEMON}/api/v1/runs", timeout=10) as answer:
        return [run for run in json.load(answer) if run["outcome"] == "observed"]
