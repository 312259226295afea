"""`remediator serve` as people run it: a process, told everything by its environment."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import ManagedProcess

PROGRAM = Path(sys.prefix) / "bin/remediator"
PATIENCE = 10.0
"""Seconds from SIGTERM within which the daemon has to be gone."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon in a process of its own; its methods block for milliseconds, `cli` for some hundred."""

    url: str
    process: ManagedProcess

    def get(self, path: str) -> Any:
        """A JSON document, such as `/api/v1/events`."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def ready(self) -> bool:
        """Whether `/ready` says 200."""
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """The ledger's events of these kinds, oldest first."""
        return [event for event in self.get("/api/v1/events?limit=500") if event["kind"] in kinds]

    def webhooks(self, result: str) -> int:
        """How many posts of Alertmanagers had that result, by the daemon's own metrics."""
        return int(self.metric("remediator_webhooks_total", result=result))

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            return sum(
                sample.value
                for family in families
                for sample in family.samples
                if sample.name == name and labels.items() <= sample.labels.items()
            )

    def cli(self, *arguments: str) -> str:
        """What a command printed that speaks to this daemon; CalledProcessError unless it exits with 0."""
        done = subprocess.run(
            [PROGRAM, *arguments],
            env={"REMEDIATOR_URL": self.url, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def runs(self) -> list[dict[str, Any]]:
        """`remediator history --json`, newest first."""
        listed: list[dict[str, Any]] = json.loads(self.cli("history", "--json"))
        return listed


@contextmanager
def serving(directory: Path, port: int, settings: Mapping[str, str]) -> Iterator[Daemon]:
    """A daemon that is ready; at the end SIGTERM must end it in time and with 0, unless the test ended it."""
    environment = {f"REMEDIATOR_{name}": value for name, value in settings.items() if name != "KUBECONFIG"}
    environment |= {"KUBECONFIG": settings["KUBECONFIG"], "REMEDIATOR_LISTEN": f"127.0.0.1:{port}"}
    child = ManagedProcess.start("remediator", [PROGRAM, "serve"], directory, env=environment)
    daemon = Daemon(f"http://127.0.0.1:{port}", child)
    try:
        child.wait_until(daemon.ready, "ready")
        yield daemon
        if child.running:
            exit_code = child.stop(grace=PATIENCE)
            assert exit_code == 0, f"SIGTERM ended it with {exit_code}"
    except BaseException as failed:
        failed.add_note(f"the daemon's log ends:\n{child.tail()}")
        raise
    finally:
        child.kill()
