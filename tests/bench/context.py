"""What every row is given: how many rounds, a folder on a disk, and the fsync paces taken along the way."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from tests.bench import machine
from tests.bench.findings import Finding
from tests.bench.machine import Pace

T = TypeVar("T")
CALM = 0.2
"""The share of the CPUs that others may take without being waited for."""


@dataclass(slots=True)
class Bench:
    """One run of the bench."""

    rounds: int
    work: Path
    console: Console
    patience: float = 0.0
    busy: list[float] = field(default_factory=list)
    paces: dict[str, list[Pace]] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def folder(self, name: str, *, under: Path | None = None) -> Path:
        """A new, empty folder in the work folder, or under another one."""
        path = (under or self.work) / f"{next(self._numbers):03d}-{name}"
        path.mkdir(parents=True)
        return path

    def calm(self) -> None:
        """Wait, `patience` seconds at most, until others leave the CPUs alone; note how busy they are."""
        until = time.monotonic() + self.patience
        while (share := machine.busy_share()) > CALM and time.monotonic() < until:
            pass
        self.busy.append(share)

    def pace(self, row: str) -> None:
        """Take the disk's own pace now, beside a row that waits for it."""
        self.paces.setdefault(row, []).append(machine.fsync_pace(self.work))

    async def interleaved(
        self, sides: Mapping[str, Callable[[Path], Awaitable[T]]], *, times: int = 1
    ) -> dict[str, list[T]]:
        """Measure every side once a round, beginning each round with another one; a fresh folder each time.

        The machine's mood changes within minutes: what is compared is taken side by side. `times` multiplies
        the rounds for what varies much and takes little.
        """
        results: dict[str, list[T]] = {name: [] for name in sides}
        names = list(sides)
        for turn in range(self.rounds * times):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                folder = self.folder(name)
                self.calm()
                results[name].append(await sides[name](folder))
                self.console.log(f"round {turn + 1}: {name}: {results[name][-1]}")
                shutil.rmtree(folder)
        return results


Row = Callable[[Bench], Awaitable[Sequence[Finding]]]
