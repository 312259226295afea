"""What people and the brake hold, and the rules in force."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from remediator.core.changes import (
    BrakeRow,
    Brakes,
    Proposal,
    Restoration,
    RulebookRow,
)
from remediator.core.guards import (
    Pause,
    PauseScope,
    Quarantine,
)
from remediator.core.ids import RulebookHash
from remediator.core.notices import Envelope
from remediator.core.ports.channels import RuleFiles
from remediator.core.ports.store.basics import (
    Reckon,
)
from remediator.core.targets import Target


class Controls(Protocol):
    """What people and rule files steer."""

    async def pause(
        self, scope: PauseScope, value: str, why: str, who: str, length: timedelta | None, name: str = ""
    ) -> Pause: ...

    async def resume(self, scope: PauseScope, value: str, why: str, who: str) -> int:
        """Lift the pauses of exactly this scope and value, the brake's too; gives how many were lifted."""
        ...

    async def lift(self, pause: int, why: str, who: str) -> Pause | None:
        """Lift one pause, the brake's too; gives it as it was, ``None`` if it was not in force."""
        ...

    async def pauses(self) -> tuple[Pause, ...]:
        """The pauses in force now."""
        ...

    async def remind(self, pause: Pause, reminded: int, envelopes: Sequence[Envelope]) -> bool:
        """Put a reminder of a pause into the outbox, and note how many people have had by then.

        ``False``, with nothing written, if it is not in force any more, or they were reminded since it was
        read.
        """
        ...

    async def engage_brake(self, reckon: Reckon, lookback: timedelta) -> tuple[Pause, ...]:
        """Engage what ``reckon`` finds overspent; gives the pauses that were made.

        Decisions and first intents engage it by themselves: this is for what is known before. The view is of
        no rule and no target.
        """
        ...

    async def brakes(self, window: timedelta) -> Brakes:
        """The brakes that are engaged or whose end was not told; what was demanded within the window."""
        ...

    async def tell_brake(self, brake: BrakeRow, envelopes: Sequence[Envelope]) -> bool:
        """Put what people are told of a brake into the outbox, and note that they were told so much.

        That it let go by itself becomes an event here, since nobody else sees it happen.
        ``False``, with nothing written, if they have been told something since ``brake`` was read.
        """
        ...

    async def restorations(self) -> list[Restoration]:
        """The times that the ledger was found to be an older one, of which people have not heard all yet."""
        ...

    async def tell_restoration(self, restoration: Restoration, envelopes: Sequence[Envelope]) -> bool:
        """Put what people are told of it into the outbox; ``False`` if they have been told meanwhile."""
        ...

    async def quarantines(self) -> tuple[Quarantine, ...]: ...

    async def clear_quarantine(self, target: Target, why: str, who: str) -> bool:
        """Lift a target's quarantine, with an event that names who and why; ``False`` if there was none."""
        ...

    async def propose_rulebook(
        self, files: RuleFiles, expected: RulebookHash | None, *, forced: bool
    ) -> Proposal:
        """Make these files the active rulebook by compare-and-swap.

        ``expected`` is what they are to replace, ``None`` if there is none; if another is active, they are
        ``OVERTAKEN`` and only known from then on. Unforced (at boot), files whose hash the ledger knows but
        that are not active are ``DRIFTED`` and change nothing; forced (a person asked), they are put back.
        Activation, and not being activated, each leave their event.
        """
        ...

    async def active_hash(self) -> RulebookHash | None:
        """Which rulebook is in force; cheap however many rules it has."""
        ...

    async def active_rulebook(self) -> RulebookRow | None: ...

    async def rulebook(self, hash_: RulebookHash) -> RulebookRow | None: ...
