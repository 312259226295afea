"""The Places port: where things are that the ledger can't know, asked when a lease is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from remediator.core.targets import Target


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Why it is not known on which node a pod runs; whoever depends on it does nothing (law 6)."""

    detail: str


class Places(Protocol):
    """Looks and changes nothing. Does not raise for what the world does."""

    async def node_of(self, pod: Target) -> Target | Unplaced:
        """The node that a pod runs on now. Once bound to one, a pod never moves; its name may come again."""
        ...
