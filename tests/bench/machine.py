"""What the numbers were taken on: processor, versions, load, and the disk's own pace of the same minute."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.findings import percentile
from tests.bench.processes import Gone

BLOCK = b"\0" * 4096
MEMORY = Path("/dev/shm")
"""The tmpfs of every Linux: a folder without a disk under it."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long appending 4 KiB and fdatasync takes at 50 a second, in milliseconds."""

    p50: float
    p99: float


def busy_share(*, seconds: float = 1.0) -> float:
    """The share of the CPUs, 0 to 1, that was busy over that long: between two rounds, with others' work."""

    def times() -> tuple[int, int]:
        fields = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(fields) - fields[3] - fields[4], sum(fields)

    busy, total = times()
    time.sleep(seconds)
    busy_then, total_then = times()
    return (busy_then - busy) / max(1, total_then - total)


def filesystem(folder: Path) -> str:
    """The type of the file system that `folder` is on, as /proc/mounts names it."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, type_of_mount, *_ = line.split()
        if folder.resolve().is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, type_of_mount
    return kind


def require_disk(folder: Path) -> None:
    """Raises Gone if `folder` is kept in memory, where FULL durability costs nothing."""
    if filesystem(folder) in {"tmpfs", "ramfs"}:
        raise Gone(f"{folder} is on a tmpfs, and durable rows need a disk: name another with --work")


def fsync_pace(folder: Path, *, seconds: float = 2.0, rate: int = 50) -> Pace:
    """Append and fdatasync at a calm `rate`, for that long, in `folder`."""
    took: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        begin = time.perf_counter()
        for turn in range(int(seconds * rate)):
            time.sleep(max(0.0, begin + turn / rate - time.perf_counter()))
            start = time.perf_counter()
            file.write(BLOCK)
            file.flush()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - start) * 1000)
    return Pace(percentile(took, 0.5), percentile(took, 0.99))


def processor() -> str:
    """The processor's model, as Linux knows it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def versions() -> dict[str, str]:
    """Versions of what takes part on our side and in the bare handler."""
    names = ("aiohttp", "uvloop", "msgspec", "kubernetes-asyncio")
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: importlib.metadata.version(name) for name in names},
    }


def describe(work: Path) -> dict[str, object]:
    """The environment of a run, for the report."""
    return {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "filesystem": filesystem(work),
        "versions": versions(),
    }
