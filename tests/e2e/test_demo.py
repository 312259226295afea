"""`remediator demo` as somebody sees it who types it into a terminal: a process on a pty."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.text import Text

from tests.e2e.daemon import PROGRAM
from tests.support.processes import wait_until

WITHIN = 20.0
"""Seconds that the demo may take."""

SIGNALS = pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)

SCENES = (
    "A release went wrong",
    "pods crash",
    "What Remediator does",
    "Alertmanager 1 of 2",
    "Alertmanager 2 of 2",
    "episode.opened",
    "decision.made",
    "run.joined",
    "guards.asked",
    "attempt.intended",
    "attempt.succeeded",
    "run.checked",
    "run.succeeded",
    "What people see in Slack",
    "auth-service: repaired and verified",
    "The cluster now",
    "Repaired and verified in",
)
"""What the demo tells, in this order."""


@dataclass(slots=True)
class Screen:
    """A program on a terminal of its own, and what it has printed there so far."""

    process: subprocess.Popen[bytes]
    terminal: int
    _bytes: bytearray = field(default_factory=bytearray)

    def text(self) -> str:
        """All that was printed, its colours taken away."""
        with suppress(BlockingIOError, OSError):  # nothing new; or, on Linux, nobody holds the other end
            while chunk := os.read(self.terminal, 65_536):
                self._bytes += chunk
        return Text.from_ansi(self._bytes.decode().replace("\r\n", "\n")).plain

    def ended(self) -> bool:
        self.text()  # a terminal that nobody reads stops its program
        return self.process.poll() is not None

    def shows(self, words: str) -> bool:
        return words in self.text()


@contextmanager
def demo(temporary: Path, columns: int, *options: str) -> Iterator[Screen]:
    """`remediator demo` on a terminal of so many columns, its temporary files below `temporary`."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    os.set_blocking(ours, False)
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "TMPDIR": str(temporary)}
    argv: list[str | Path] = [PROGRAM, "demo", *options]
    process = subprocess.Popen(argv, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield Screen(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_demo_tells_each_stage_and_nothing_else(tmp_path: Path, columns: int) -> None:
    """In time, exit 0, every scene in order, no line of a log in between, none broken by the terminal."""
    began = time.monotonic()
    with demo(tmp_path, columns) as screen:
        wait_until(screen.ended, "the demo's end", within=WITHIN)
        assert time.monotonic() - began < WITHIN
        shown = screen.text()
        assert screen.process.returncode == 0, shown
    at = 0
    for scene in SCENES:
        at = shown.find(scene, at)
        assert at >= 0, f"{scene!r} is missing, or not in its place, in:\n{shown}"
    logged = [line for line in shown.splitlines() if re.search(r"\[(info|warning|error) *\]|Traceback", line)]
    assert logged == []
    assert [line for line in shown.splitlines() if cell_len(line.rstrip()) > columns] == []
    assert list(tmp_path.iterdir()) == []


def test_details_wrap_below_themselves(tmp_path: Path) -> None:
    """On a narrow terminal the column of times and the column of events stay clear of details."""
    with demo(tmp_path, 80) as screen:
        wait_until(screen.ended, "the demo's end", within=WITHIN)
        lines = screen.text().splitlines()
    first = next(at for at, line in enumerate(lines) if "episode.opened" in line)
    last = next(at for at, line in enumerate(lines) if "What people see in Slack" in line)
    column = lines[first].index("ServiceDown")
    events = [line for line in lines[first:last] if line.strip()]
    assert any(not line[:column].strip() for line in events), "nothing wrapped: 80 columns prove nothing"
    for line in events:
        assert re.fullmatch(r" *\d+\.\d{3}s  [a-z_.]+ +| +", line[:column]), line
        assert line[column] != " ", line


@SIGNALS
def test_ended_in_the_middle_it_leaves_nothing_behind(tmp_path: Path, which: signal.Signals) -> None:
    with demo(tmp_path, 80) as screen:
        wait_until(lambda: screen.shows("episode.opened"), "it is under way", within=WITHIN)
        screen.process.send_signal(which)
        wait_until(screen.ended, "its end", within=10)
        assert screen.process.returncode == 1
        assert screen.text().rstrip().endswith("Aborted!")
    assert list(tmp_path.iterdir()) == []


@SIGNALS
def test_keep_serves_until_it_is_told_to_end(tmp_path: Path, which: signal.Signals) -> None:
    """It says how to look around, that works, and afterwards nothing is left: no file, no process."""
    with demo(tmp_path, 120, "--keep") as screen:
        wait_until(lambda: screen.shows("Ctrl-C ends it."), "it serves", within=WITHIN)
        url = re.findall(r"REMEDIATOR_URL=(\S+)", screen.text())[0]
        with urllib.request.urlopen(f"{url}/ready", timeout=5) as answer:
            assert answer.status == 200
        listed = subprocess.run(
            [PROGRAM, "history"], env={"REMEDIATOR_URL": url}, capture_output=True, text=True, check=True
        )
        assert "succeeded" in listed.stdout
        assert list(tmp_path.iterdir()) != []
        assert children_of(screen.process.pid) == []
        screen.process.send_signal(which)
        wait_until(screen.ended, "its end", within=10)
        assert screen.process.returncode == 0, screen.text()
        assert "Traceback" not in screen.text()
    assert list(tmp_path.iterdir()) == []


def children_of(pid: int) -> list[str]:
    """Processes that it started and that still run."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
