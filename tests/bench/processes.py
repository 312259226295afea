"""Processes under measurement: started, awaited, weighed through /proc, ended by their own id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

TICKS = os.sysconf("SC_CLK_TCK")
DISTORTING = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONASYNCIODEBUG", "PYTHONDEVMODE")
"""Settings of a workplace that would slow a Python process down in a way that no installation has."""


class Gone(RuntimeError):
    """A process under measurement ended, or stayed silent past its deadline; says where its output is."""


@dataclass(slots=True)
class Running:
    """A process under measurement and where its output goes."""

    name: str
    process: asyncio.subprocess.Process
    output: Path
    spawned: float

    @property
    def pid(self) -> int:
        return self.process.pid

    def status(self, field: str) -> float:
        """A memory field of /proc/PID/status (`VmRSS`, `VmHWM`), in MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
        raise Gone(f"{self.name} is gone; its output is in {self.output}")

    def cpu(self) -> float:
        """CPU time so far, all threads, user and system, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def check(self) -> None:
        """Raise Gone if the process has ended by itself."""
        if self.process.returncode is not None:
            tail = "\n".join(self.output.read_text(errors="replace").splitlines()[-15:])
            raise Gone(f"{self.name} ended with {self.process.returncode}; the end of {self.output}:\n{tail}")

    async def answers(self, url: str, *, within: float = 60.0) -> float:
        """Wait for a 2xx from `url`; the seconds since the process was spawned. Raises Gone."""
        deadline = time.perf_counter() + within
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while time.perf_counter() < deadline:
                self.check()
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(url) as response:
                        if response.ok:
                            return time.perf_counter() - self.spawned
                await asyncio.sleep(0.005)
        raise Gone(f"{self.name} did not answer {url} within {within} s; its output is in {self.output}")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without REMEDIATOR_* and what distorts, plus `extra`."""
    kept = {k: v for k, v in os.environ.items() if k not in DISTORTING and not k.startswith("REMEDIATOR_")}
    return kept | dict(extra)


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Make `folder` if need be, and these files in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


@contextlib.asynccontextmanager
async def running(
    name: str,
    argv: Sequence[str | Path],
    *,
    folder: Path,
    env: Mapping[str, str] | None = None,
    stdout: int | None = None,
) -> AsyncIterator[Running]:
    """A process in `folder`, its output in `NAME.log` there, or `stdout` in a PIPE; SIGTERM at the end."""
    output = folder / f"{name}.log"
    with output.open("ab") as log:
        spawned = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *map(str, argv),
            cwd=folder,
            env=environment(env or {}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log if stdout is None else stdout,
            stderr=log,
            limit=2**22,
        )
    try:
        yield Running(name, process, output, spawned)
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process, *, grace: float = 10.0) -> None:
    """SIGTERM, and SIGKILL for what does not end within `grace` seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace)


async def output_of(*argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run to the end and return stdout; raises Gone with both outputs' tail when it fails."""
    process = await asyncio.create_subprocess_exec(
        *map(str, argv),
        cwd=cwd,
        env=environment(env or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise Gone(
            f"{' '.join(map(str, argv))} ended with {process.returncode}:\n{(out + err).decode()[-2000:]}"
        )
    return out.decode()
