"""wrk as the load of the ingest rows: one thread pinned to the last CPU, 32 connections, bodies of a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Gone, output_of
from tests.bench.tools import Program

SCRIPT = Path(__file__).with_name("bodies.lua")
CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk counted: 2xx a second, their p99 in milliseconds, and posts refused or never answered."""

    rate: float
    p99: float
    refused: int


def write_bodies(path: Path, bodies: Iterable[bytes]) -> Path:
    """One body a line, as `bodies.lua` reads them; the bodies hold no line break."""
    with path.open("wb") as file:
        file.writelines(body + b"\n" for body in bodies)
    return path


async def load(
    wrk: Program,
    url: str,
    bodies: Path,
    *,
    seconds: int,
    offset: float = 0.0,
    connections: int = CONNECTIONS,
) -> Load:
    """Post the bodies in turn, from `offset` (0 to 1) into the file on. Raises Gone when wrk itself fails."""
    text = await output_of(
        *("taskset", "--cpu-list", str((os.cpu_count() or 1) - 1), wrk.path),
        *(f"--threads=1 --connections={connections} --timeout=10s --duration={seconds}s".split()),
        *("--script", SCRIPT, url, "--", bodies, str(offset)),
        env=wrk.env,
    )
    for line in text.splitlines():
        if line.startswith("RESULT "):
            answered, microseconds, refused, p99 = map(float, line.split()[1:])
            return Load(answered * 1e6 / microseconds, p99 / 1000, int(refused))
    raise Gone(f"wrk printed no result:\n{text}")
