"""Several daemons on one ledger, as replicas behind Alertmanager: each post goes to one of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import daemon
from tests.bench.daemon import POLL, Daemon
from tests.bench.processes import Gone


@dataclass(frozen=True, slots=True)
class Fleet:
    """Daemons that serve the same ledger."""

    replicas: Sequence[Daemon]

    @property
    def first(self) -> Daemon:
        """The one to ask for what the ledger holds."""
        return self.replicas[0]

    @property
    def alertmanagers(self) -> list[str]:
        """Where alerts are posted."""
        return [replica.alertmanager for replica in self.replicas]

    async def decided(self, count: int, *, within: float) -> int:
        """Wait until they have decided so many episodes between them, and give how many. Raises Gone."""
        deadline, seen = time.monotonic() + within, 0
        while time.monotonic() < deadline:
            counted = Counter[tuple[str, str]]()
            for replica in self.replicas:
                replica.process.check()
                counted.update(await replica.decisions())
            seen = daemon.settled(counted)
            if seen >= count:
                return seen
            await asyncio.sleep(POLL)
        raise Gone(f"{seen} of {count} alerts decided within {within} s; see {self.first.process.output}")


@contextlib.asynccontextmanager
async def fleet(
    folder: Path,
    rules: str,
    ledger: str,
    *,
    replicas: int = 1,
    mode: str = "observe",
    kubeconfig: Path | None = None,
) -> AsyncIterator[Fleet]:
    """So many daemons on the ledger of that URL, ready to take posts."""
    async with contextlib.AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(
                daemon.daemon(folder / f"replica-{n}", rules, mode=mode, ledger=ledger, kubeconfig=kubeconfig)
            )
            for n in range(replicas)
        ]
        yield Fleet(started)
