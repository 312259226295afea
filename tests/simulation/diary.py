"""What happened in one simulation, in order, and how often what must happen at all did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import Protocol

#: What a simulation is for: over many seeds each of these must have happened, or nothing was proven of it.
MUST_HAPPEN = (
    "crashes",
    "graceful stops",
    "pauses past a lease",
    "takeovers",
    "tokens refused by the target",
    "writes that outlived their sender",
    "answers of the cluster lost",
    "ledger errors before a write",
    "ledger answers lost after a write",
    "ledger writes made after their caller gave up",
    "transactions run twice",
    "posts repeated",
    "posts refused",
    "posts overtaken",
    "notices delivered twice",
    "runs",
    "joins",
    "waits for a place",
    "refused by a guard at the intent",
    "cooldowns",
    "waits for further alerts",
    "too few alerts",
    "rates",
    "targets",
    "freezes",
    "requests to people",
    "approved",
    "denied",
    "unanswered",
    "facts in error",
    "stale alerts",
    "probes: it happened",
    "probes: it did not happen",
    "fallbacks",
    "succeeded",
    "failed",
    "unknown",
    "cancelled",
    "observed",
    "refused",
    "quarantines lifted by proof",
    "quarantines lifted by a person",
    "stopped by a pause of a person",
    "brakes engaged for a share",
    "leases shared",
    "leases preempted",
    "runs that gave way",
    "pauses that waited for a critical section",
    "expired",
    "bodies dropped",
    "events dropped",
    "runs dropped",
    "episodes dropped",
    "pauses dropped",
)


class Clock(Protocol):
    """Whoever knows the time, in seconds since the simulation began."""

    now: float


class Diary:
    """Notes, each with its time and who did it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._notes: list[tuple[float, str, str]] = []
        self.counts: Counter[str] = Counter()

    def note(self, who: str, what: str) -> None:
        self._notes.append((self._clock.now, who, what))

    def count(self, what: str, times: int = 1) -> None:
        self.counts[what] += times

    def lines(self) -> Iterable[str]:
        """The schedule as people read it."""
        return (f"{at:9.3f} {who:<8} {what}" for at, who, what in self._notes)

    @property
    def digest(self) -> str:
        """Equal for equal histories."""
        hashed = sha256()
        for line in self.lines():
            hashed.update(line.encode() + b"\n")
        return hashed.hexdigest()
