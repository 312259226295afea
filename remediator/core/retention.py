"""Retention: how long the ledger keeps what nothing needs any more, and what counts as an audit's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from remediator.core.events import EventKind


class Shelf(StrEnum):
    """What is kept for its own time; in the order in which it is pruned: what refers comes before what is
    referred to.
    """

    BODIES = "bodies"
    EVENTS = "events"
    MESSAGES = "messages"
    AUDIT = "audit"
    PAGES = "pages"
    RUNS = "runs"
    DECISIONS = "decisions"
    EPISODES = "episodes"
    PAUSES = "pauses"
    DEMANDS = "demands"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each is kept: raw webhooks, events and sent messages, and all that was decided and done.

    What a guard, an open alert, an unfinished run, a quarantine, an open page or an unsent message still
    needs is kept besides, however old it is.
    """

    bodies: timedelta = timedelta(days=7)
    events: timedelta = timedelta(days=90)
    decisions: timedelta = timedelta(days=400)

    def of(self, shelf: Shelf) -> timedelta:
        """How long this shelf's rows are kept."""
        match shelf:
            case Shelf.BODIES:
                return self.bodies
            case Shelf.EVENTS | Shelf.MESSAGES:
                return self.events
        return self.decisions


#: What says who steered what, what was changed in the world and what became of it: kept with decisions.
AUDIT = frozenset(
    {
        EventKind.RUN_ASKED,
        EventKind.RUN_APPROVED,
        EventKind.RUN_DENIED,
        EventKind.RUN_LAPSED,
        EventKind.ATTEMPT_INTENDED,
        EventKind.ATTEMPT_SUCCEEDED,
        EventKind.ATTEMPT_FAILED,
        EventKind.ATTEMPT_LOST,
        EventKind.ATTEMPT_TAKEN_OVER,
        EventKind.TARGET_QUARANTINED,
        EventKind.TARGET_CLEARED,
        EventKind.AUTOMATION_PAUSED,
        EventKind.AUTOMATION_RESUMED,
        EventKind.BRAKE_ENGAGED,
        EventKind.BRAKE_RELEASED,
        EventKind.RULEBOOK_ACTIVATED,
        EventKind.RULEBOOK_REFUSED,
        EventKind.RULEBOOK_DRIFTED,
        EventKind.PAGE_OPENED,
        EventKind.PAGE_ACKNOWLEDGED,
        EventKind.PAGE_UNANSWERED,
        EventKind.ROW_SET_ASIDE,
        EventKind.LEDGER_RESTORED,
        EventKind.LEDGER_FAILED_OVER,
    }
)


@dataclass(frozen=True, slots=True)
class Pruned:
    """One look along a shelf: how many rows it dropped, and the time of the oldest that it left.

    ``after`` is where to look on; ``None`` once no row beyond is old enough.
    """

    rows: int
    oldest: datetime | None
    after: int | None
