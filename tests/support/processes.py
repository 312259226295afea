"""Real servers as child processes of a test: start one, wait until it serves, stop it, say why it died."""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, overload

T = TypeVar("T")

POLL = 0.02
"""Seconds between two looks at a condition."""


class DeadlinePassed(AssertionError):
    """A condition did not come true in time; the message says which, and what was seen last."""


class ProcessDied(RuntimeError):
    """A server ended although the test needs it; the message ends with its log. No wait outlasts it."""


@overload
async def eventually(condition: Callable[[], Awaitable[T]], what: str, *, within: float = 10.0) -> T: ...
@overload
async def eventually(condition: Callable[[], T], what: str, *, within: float = 10.0) -> T: ...
async def eventually(condition: Callable[[], Any], what: str, *, within: float = 10.0) -> Any:
    """Wait until `condition`, plain or async, answers something truthy, and hand that back.

    An AssertionError inside it counts as "not yet". After `within` seconds: `DeadlinePassed`.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            seen = condition()
            if inspect.isawaitable(seen):
                seen = await seen
            if seen:
                return seen
        except AssertionError as not_yet:
            seen = not_yet
        _still_time(deadline, what, within, seen)
        await asyncio.sleep(POLL)


def wait_until(condition: Callable[[], T], what: str, *, within: float = 10.0) -> T:
    """`eventually` for code outside an event loop, such as fixtures of a whole session."""
    deadline = time.monotonic() + within
    while True:
        seen: object
        try:
            seen = value = condition()
            if value:
                return value
        except AssertionError as not_yet:
            seen = not_yet
        _still_time(deadline, what, within, seen)
        time.sleep(POLL)


def _still_time(deadline: float, what: str, within: float, seen: object) -> None:
    if time.monotonic() >= deadline:
        raise DeadlinePassed(f"not within {within:g} s: {what}; last seen: {seen!r}")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast("int", probe.getsockname()[1])


def listening(port: int) -> bool:
    """Whether a server accepts connections on 127.0.0.1:`port`."""
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex(("127.0.0.1", port)) == 0


@dataclass(slots=True)
class ManagedProcess:
    """A child process with its output in a file. Use `process()` unless the test itself kills it."""

    name: str
    log: Path
    popen: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls,
        name: str,
        argv: Sequence[str | Path],
        directory: Path,
        *,
        env: Mapping[str, str] | None = None,
    ) -> ManagedProcess:
        """Start `argv` in `directory`, its output appended to `<directory>/<name>.log`.

        `env` is added to this process's own environment. Where util-linux is there, the kernel ends the child
        with the thread that started it, so that even a killed test run leaves nothing behind.
        """
        log = directory / f"{name}.log"
        with log.open("ab") as output:
            popen = subprocess.Popen(
                [*_dies_with_parent(), *map(str, argv)],
                cwd=directory,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return cls(name, log, popen)

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def tail(self, lines: int = 25) -> str:
        """The last lines of what the process wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def require_running(self) -> None:
        """Raise `ProcessDied`, with the log's end, if the process has ended."""
        if not self.running:
            raise ProcessDied(f"{self.name} ended with {self.popen.returncode}; its log ends:\n{self.tail()}")

    def wait_until(self, condition: Callable[[], T], what: str, *, within: float = 30.0) -> T:
        """Wait like `wait_until`, but give up at once, showing the log, when the process dies."""

        def holds() -> T:
            self.require_running()
            return condition()

        try:
            return wait_until(holds, f"{self.name}: {what}", within=within)
        except DeadlinePassed as late:
            raise DeadlinePassed(f"{late}; the log of {self.name} ends:\n{self.tail()}") from None

    def send(self, which: signal.Signals) -> None:
        """Send a signal, by the process's own id, if it still runs."""
        if self.running:
            self.popen.send_signal(which)

    def stop(self, *, grace: float = 10.0) -> int:
        """Ask it to end, end it after `grace` seconds, and return its exit code (negative: the signal)."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            return self.popen.wait(grace)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it without asking, and return its exit code."""
        self.send(signal.SIGKILL)
        return self.popen.wait()


@contextmanager
def process(
    name: str, argv: Sequence[str | Path], directory: Path, *, env: Mapping[str, str] | None = None
) -> Iterator[ManagedProcess]:
    """A process that runs as long as the `with` block."""
    child = ManagedProcess.start(name, argv, directory, env=env)
    try:
        yield child
    finally:
        child.stop()


def _dies_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
