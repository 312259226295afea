"""What people look at."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from remediator.core.alerts import AlertKey
from remediator.core.changes import (
    EVERY_DECISION,
    Backlog,
    DecisionFilter,
    DecisionRow,
    EpisodeFilter,
    Past,
    ReasonCount,
    RunFilter,
    RunRow,
    Unreadable,
)
from remediator.core.episodes import Episode
from remediator.core.events import Event
from remediator.core.ids import EpisodeId
from remediator.core.runs import Run


class Views(Protocol):
    """Reading, for people."""

    async def history(self, wanted: RunFilter) -> list[Run]: ...

    async def run_row(self, prefix: str) -> list[RunRow]:
        """The run of that id, or those whose ids begin with ``prefix`` (at most 5), each with its story."""
        ...

    async def decisions(
        self, limit: int, before: int | None = None, wanted: DecisionFilter = EVERY_DECISION
    ) -> list[DecisionRow]:
        """The latest decisions, newest first."""
        ...

    async def decision_counts(self, rules: frozenset[str]) -> list[ReasonCount]:
        """What a rule, by any of its names, decided how often: the most frequent first.

        Of its latest :data:`~remediator.core.changes.MOST_SEARCHED` decisions.
        """
        ...

    async def episodes(self, wanted: EpisodeFilter) -> list[Episode]:
        """Episodes, newest first."""
        ...

    async def past_episodes(self, since: datetime | None, before: EpisodeId | None, limit: int) -> Past:
        """Episodes with the final decisions on them, newest first, at most ``limit`` a page.

        None that was first seen before ``since``, nor with an id of ``before`` or greater. One that can't be
        read is passed over.
        """
        ...

    async def decisions_on(self, key: AlertKey) -> list[DecisionRow]:
        """The decisions on an alert's latest episode, oldest first."""
        ...

    async def events(self, after: int, limit: int) -> list[Event]:
        """Events with ids greater than ``after``, oldest first."""
        ...

    async def backlog(self) -> Backlog: ...

    async def unreadable(self) -> tuple[Unreadable, ...]:
        """Rows that this process met of late and can't read. Each was passed over, and no other for it."""
        ...
