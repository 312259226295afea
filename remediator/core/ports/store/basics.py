"""What calls of the ledger are given to judge by, what they raise, and what they wake for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum

from remediator.core.alerts import Alert
from remediator.core.approvals import Objection
from remediator.core.changes import (
    Decided,
    DecisionRequest,
    IntentRequest,
    RunChange,
    RunRow,
    Unreadable,
)
from remediator.core.episodes import Episode, Observation
from remediator.core.guards import (
    GuardView,
    Tripped,
    Verdict,
)
from remediator.core.paging import Page, PageChange, PageView
from remediator.core.quiet import Look

Fold = Callable[[Alert, Episode | None, datetime], Observation]
Review = Callable[[Look, Episode | None, datetime], Observation]
Judge = Callable[[DecisionRequest, GuardView], Decided]
Ask = Callable[[IntentRequest, GuardView], Verdict]
Attend = Callable[[Page, PageView], PageChange | None]
Settle = Callable[[RunRow, datetime], RunChange | Objection | None]
Reckon = Callable[[GuardView], Iterable[Tripped]]


class Topic(StrEnum):
    """What a loop of the engine waits for."""

    WEBHOOKS = "webhooks"
    INQUIRIES = "inquiries"
    WATCHDOGS = "watchdogs"
    EPISODES = "episodes"
    FACTS = "facts"
    RUNS = "runs"
    OUTBOX = "outbox"
    EVENTS = "events"
    RULEBOOK = "rulebook"
    LEASES = "leases"
    BRAKE = "brake"


class StoreError(Exception):
    """The ledger could not do what it was asked."""


class UnreadableRowError(StoreError):
    """What was asked for is a row of the ledger that can't be read; ``row`` is which, and why."""

    def __init__(self, row: Unreadable) -> None:
        super().__init__(f"{row.id} in {row.table} can't be read: {row.why}")
        self.row = row


class StoreUnavailableError(StoreError):
    """The ledger can't be reached or written; whether the last write was made is not known."""


class NotCopiedError(StoreError):
    """This ledger is copied by other means; the message says by which."""
