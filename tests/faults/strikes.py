"""Strikes: faults at boundaries, planned by the test for one service each, committed by whoever comes by.

A planned strike is a file named after its service. The replica that moves it away commits it, so that each
is committed once, however many replicas there are and however often they are started. A hold is one too: as
long as it is there, a run of its rule waits before its arrow is written.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.faults.boundaries import Boundary, Fault, Side

_SERVICE = re.compile(r"\bsvc-\d+\b")
SENDING, RECORDED = "sending", "recorded"
#: Seconds for which a notice is surely its sender's alone: a claim lasts for twice a lease's second.
_IN_TIME = 1.5
#: Seconds between two looks whether what is held may go on.
_LOOK = 0.02


class LostReply(Exception):
    """What was asked for may have been done, and the answer will not come."""


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault at a boundary, for the first replica that comes there with this service."""

    service: str
    boundary: Boundary
    fault: Fault

    def line(self) -> str:
        return f"{self.boundary.where}\t{self.boundary.side}\t{self.fault}"

    @classmethod
    def read(cls, file: Path) -> Strike:
        where, side, fault = file.read_text().split("\t")
        return cls(file.name, Boundary(where, Side(side)), Fault(fault))


class Strikes:
    """The strikes below a folder that test and replicas share."""

    def __init__(self, folder: Path) -> None:
        self._planned = folder / "planned"
        self._struck = folder / "struck"
        self._notes = folder / "notes"
        self._holds = folder / "holds"
        self._held = folder / "held"
        self._clock = folder / "clock"
        self._sending: dict[str | None, float] = {}
        for each in (self._planned, self._struck, self._notes, self._holds, self._held):
            each.mkdir(parents=True, exist_ok=True)

    def plan(self, strike: Strike) -> None:
        draft = self._notes / f"{strike.service}.draft"
        draft.write_text(strike.line())
        draft.rename(self._planned / strike.service)

    def withdraw(self, strike: Strike) -> None:
        """Let a strike be that nobody came by; later ones must not meet it."""
        (self._planned / strike.service).unlink(missing_ok=True)

    def committed(self) -> Iterator[Strike]:
        """Those that were committed so far."""
        return (Strike.read(file) for file in self._struck.iterdir())

    def hold(self, service: str, rule: str, where: str) -> None:
        """Let the rule's run on this service wait at this arrow."""
        draft = self._notes / f"{service}.hold"
        draft.write_text(f"{rule}\t{where}")
        draft.rename(self._holds / service)

    def is_held(self, service: str) -> bool:
        """Whether it came there and had to wait."""
        return (self._held / service).exists()

    def let_go(self, service: str) -> None:
        (self._holds / service).unlink(missing_ok=True)

    def shift_clock(self, by: timedelta) -> None:
        """Let the wall clock of all replicas jump."""
        draft = self._clock.with_suffix(".draft")
        draft.write_text(str(by.total_seconds()))
        draft.rename(self._clock)

    # In the replica.

    def wall(self) -> datetime:
        """What the wall clock says."""
        now = datetime.now(UTC)
        return now + timedelta(seconds=float(self._clock.read_text())) if self._clock.exists() else now

    def meet(self, where: str, side: Side, service: str | None) -> None:
        """Commit the strike that is planned here for this service, if any.

        Raises:
            LostReply: that is the fault.
        """
        fault = self.take(where, side, service)
        if fault is not None:
            commit(fault)

    def take(self, where: str, side: Side, service: str | None) -> Fault | None:
        """The fault to commit here, which then is this replica's."""
        if service is None:
            return None
        file = self._planned / service
        try:
            strike = Strike.read(file)
            if strike.boundary != Boundary(where, side):
                return None
            file.rename(self._struck / service)
        except FileNotFoundError:
            return None
        return strike.fault

    async def pass_by(self, where: str, rule: str, service: str | None) -> None:
        """Return once nothing holds the rule's run on this service here."""
        while service is not None and self._holds_at(where, rule, service):
            (self._held / service).touch()
            await asyncio.sleep(_LOOK)

    def _holds_at(self, where: str, rule: str, service: str) -> bool:
        try:
            return (self._holds / service).read_text() == f"{rule}\t{where}"
        except FileNotFoundError:
            return False

    def sends(self, service: str | None) -> None:
        """Note that a notice is about to be sent."""
        self._sending[service] = time.monotonic()
        self._note(SENDING)

    def recorded(self, service: str | None) -> None:
        """Note that the ledger knows of it, unless that took so long that another had it meanwhile."""
        if time.monotonic() - self._sending.get(service, 0.0) < _IN_TIME:
            self._note(RECORDED)

    def sends_unrecorded(self) -> int:
        """How many notices were on their way when their replica was struck, or soon after."""
        noted = Counter(
            line for file in self._notes.glob("*.notes") for line in file.read_text().splitlines()
        )
        return noted[SENDING] - noted[RECORDED]

    def _note(self, what: str) -> None:
        """Leave a line about this replica that outlives it."""
        with (self._notes / f"{os.getpid()}.notes").open("a") as notes:
            notes.write(f"{what}\n")


def commit(fault: Fault) -> None:
    """Do it to this process."""
    match fault:
        case Fault.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        case Fault.STOP:
            os.kill(os.getpid(), signal.SIGSTOP)
        case Fault.LOST:
            raise LostReply("the reply was lost on its way, as planned")


def service_in(text: str | bytes) -> str | None:
    """The service that a text is about."""
    found = _SERVICE.search(text if isinstance(text, str) else text.decode(errors="replace"))
    return found and found.group()
