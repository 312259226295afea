"""The port towards whoever outside waits for a sign of life, and calls somebody when there is none."""

from __future__ import annotations

from typing import Protocol


class Heartbeat(Protocol):
    """A sign of life. Raises nothing but cancellation."""

    async def beat(self) -> str:
        """Give it; answers why it did not arrive, or with nothing."""
        ...
