"""Replicas that start at once: each is forked from a process that has imported the whole daemon before.

A replica is killed at every other boundary, and what imports would cost then is most of what a start costs.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.faults.replica"])
_PR_SET_PDEATHSIG = 1

Main = Callable[[], int]


@dataclass(slots=True)
class Forked:
    """A process that runs ``main`` with variables added to its environment, and its output in a file."""

    name: str
    log: Path
    process: ForkServerProcess

    @classmethod
    def start(cls, name: str, main: Main, folder: Path, env: Mapping[str, str]) -> Forked:
        log = folder / f"{name}.log"
        process = _FORKS.Process(target=_be, args=(main, str(log), dict(env)), name=name)
        process.start()
        return cls(name, log, process)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.is_alive()

    @property
    def code(self) -> int | None:
        """Its exit code once it has ended; negative: the signal that ended it."""
        return self.process.exitcode

    def tail(self, lines: int = 25) -> str:
        """The last lines of what it wrote."""
        written = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(written.splitlines()[-lines:])

    def send(self, which: signal.Signals) -> None:
        """Send a signal, by the process's own id, if it still runs."""
        if self.running:
            os.kill(self.pid, which)

    def stop(self, *, grace: float = 10.0) -> None:
        """Ask it to end, and end it after `grace` seconds."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        self.process.join(grace)
        self.send(signal.SIGKILL)
        self.process.join()


def _be(main: Main, log: str, env: dict[str, str]) -> None:
    if sys.platform == "linux":
        # Nothing is left behind by a test run that is killed.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(env)
    sys.exit(main())
