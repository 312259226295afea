"""What a caller's work is given, within the savepoint that is its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from remediator.core.ports.store import Topic
from remediator.store.common.codecs import micros
from remediator.store.common.unread import Unread
from remediator.store.sqlite.claims import Claims

T = TypeVar("T")


@dataclass(slots=True)
class Transaction:
    """The connection, the store's time, the claims, and whom to wake once it is committed."""

    sql: sqlite3.Connection
    now: datetime
    acting_from: datetime | None
    episode_claims: Claims
    outbox_claims: Claims
    topics: set[Topic] = field(default_factory=set)
    unread: Unread = field(default_factory=Unread)

    @property
    def micros(self) -> int:
        """The store's time as the ledger writes it."""
        return micros(self.now)


#: A caller's work: it touches nothing but what it is given, and answers with a value.
Work = Callable[[Transaction], T]
