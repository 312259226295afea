"""The Watchdog: an alert that always fires, so that its absence says that no alert reaches us any more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from remediator.core.rules import WatchdogPolicy


@dataclass(frozen=True, slots=True)
class Watchdog:
    """What is known of one source's Watchdog, from its first arrival on.

    ``seen_at`` is the last arrival, ``missed_at`` since when people know of its absence, ``beaten_at`` when
    an arrival was last passed on. All are times of the store.
    """

    source: str
    seen_at: datetime
    missed_at: datetime | None = None
    beaten_at: datetime | None = None


class Turn(StrEnum):
    """What there is to be told about a Watchdog."""

    MISSED = "missed"
    RETURNED = "returned"


def turn(watchdog: Watchdog, policy: WatchdogPolicy, now: datetime, up_since: datetime) -> Turn | None:
    """Whether it has just gone missing, or come back.

    ``up_since`` is when we began to listen: what did not reach us before is no absence.
    """
    if watchdog.missed_at is not None:
        return Turn.RETURNED if watchdog.seen_at > watchdog.missed_at else None
    return Turn.MISSED if now - max(watchdog.seen_at, up_since) >= policy.within else None


def turned(watchdog: Watchdog, what: Turn, now: datetime) -> Watchdog:
    """The Watchdog, once people are told."""
    return replace(watchdog, missed_at=now if what is Turn.MISSED else None)


def owes_a_beat(watchdog: Watchdog, policy: WatchdogPolicy, now: datetime, pace: timedelta) -> bool:
    """Whether its last arrival is to be passed on: once, no sooner than ``pace`` after the one before."""
    if now - watchdog.seen_at >= policy.within:
        return False
    last = watchdog.beaten_at
    return last is None or (watchdog.seen_at > last and now - last >= pace)
