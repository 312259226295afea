"""What the laws are judged by: each commit of the ledger and each write to the cluster, as they happen."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import zstandard

from remediator.core.notices import Envelope
from remediator.rehearse.clockwork import EPOCH
from remediator.store.common.codecs import moment
from remediator.store.sqlite.transaction import Work
from tests.simulation.diary import Clock


class SeenEvent(NamedTuple):
    """An event of the ledger."""

    id: int
    kind: str
    at: int
    data: Mapping[str, Any]
    episode: int | None
    run: str | None
    rule: str | None
    target: str | None


class LeaseRow(NamedTuple):
    """A lease as the ledger has it; times in its microseconds."""

    target: str
    run: str
    owner: str
    token: int
    expires_at: int
    shared: int


class AtWork(NamedTuple):
    """A moment at which a replica's run is at work on a target that its action does not fence."""

    who: str
    run: str
    target: str
    now: int


class Look(NamedTuple):
    """A check's answer: at (seconds), who asked, what of, and what it truly said."""

    at: float
    who: str
    check: str
    target: str
    said: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit that wrote something. ``was`` are the leases that lived right before it."""

    who: str
    name: str
    given: Mapping[str, Any]
    now: int
    events: tuple[SeenEvent, ...]
    was: tuple[LeaseRow, ...]
    leases: tuple[LeaseRow, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a replica that the cluster let in; ``attempt`` and ``token`` are what it put there.

    ``labels`` are what the object bore then.
    """

    who: str
    target: str
    attempt: str | None
    token: int | None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """The loosest that any rulebook of this simulation allows (times in microseconds).

    ``rate`` is the window of the one rate, ``kept`` for how long at least whatever was decided and done is
    known. ``share`` is on how
    many distinct targets of the shop runs may begin within the share's window; ``freeze`` from when to when
    some services may not be changed.
    """

    cooldown: int
    rate: int
    parallel: int
    kept: int
    share: int | None = None
    freeze: tuple[int, int] | None = None


@dataclass(slots=True)
class History:
    """Everything that was seen, for laws that look back; `sql` reads the ledger as it is now."""

    sql: sqlite3.Connection
    clock: Clock
    limits: Limits
    #: When a replica was stopped or killed, or the ledger did not answer it at once (seconds).
    troubles: list[float] = field(default_factory=list)
    events: list[SeenEvent] = field(default_factory=list)
    leases: tuple[LeaseRow, ...] = ()
    looks: list[Look] = field(default_factory=list)
    answered: list[bytes] = field(default_factory=list)
    delivered: list[tuple[float, Envelope]] = field(default_factory=list)
    #: Attempts that were applied, in order, each with its target.
    applied: dict[str, str] = field(default_factory=dict)
    #: The greatest token that was ever on each target, and the greatest that was ever given out.
    stamped: dict[str, int] = field(default_factory=dict)
    highest_token: int = 0

    def one(self, statement: str, *values: object) -> Any:
        """The first column of the first row, None if there is no row."""
        row = self.sql.execute(statement, values).fetchone()
        return None if row is None else row[0]

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.sql.execute(statement, values).fetchall()

    def commit(self, who: str, work: Work[Any], now: int) -> Commit:
        """Take note of a commit."""
        after = self.events[-1].id if self.events else 0
        rows = self.rows(
            "SELECT id, kind, at, data, episode, run, rule, target FROM events WHERE id > ? ORDER BY id",
            after,
        )
        events = tuple(
            SeenEvent(id_, kind, at, json.loads(data), *rest) for id_, kind, at, data, *rest in rows
        )
        self.events.extend(events)
        was = tuple(lease for lease in self.leases if lease.expires_at > now)
        found = self.rows(
            "SELECT target, run, owner, token, expires_at, shared FROM leases WHERE expires_at > ?", now
        )
        self.leases = tuple(LeaseRow(*row) for row in found)
        given = work.keywords if isinstance(work, partial) else {}
        name = work.func.__name__ if isinstance(work, partial) else getattr(work, "__name__", "work")
        return Commit(who, name, given, now, events, was, self.leases)

    def note(self, write: Write) -> None:
        """Take note of a write, once it was judged."""
        if write.attempt is not None:
            self.applied[write.attempt] = write.target
        if write.token is not None:
            self.stamped[write.target] = max(write.token, self.stamped.get(write.target, 0))

    def clock_of(self, micros: int) -> float:
        """A time of the ledger, in the simulation's seconds."""
        return (moment(micros) - EPOCH).total_seconds()

    def kept_bodies(self) -> set[bytes]:
        """The bodies of all posts in the ledger."""
        return {_decompress(row[0]) for row in self.rows("SELECT body FROM all_webhooks")}

    def told_firing(self) -> Counter[str]:
        """How often each alert was told to fire, in the posts that were answered with 200."""
        alerts = (alert for body in self.answered for alert in json.loads(body)["alerts"])
        return Counter(alert["fingerprint"] for alert in alerts if alert["status"] == "firing")

    def said(self, who: str, check: str, target: str | None, since: float) -> list[str]:
        """All that a check said to a replica of a target since then."""
        found = []
        for look in reversed(self.looks):
            if look.at < since:
                break
            if (look.who, look.check, look.target) == (who, check, target):
                found.append(look.said)
        return found

    def last_look(self, who: str, check: str, target: str | None) -> str | None:
        """What a check last said to a replica of a target; ``never`` when it did not answer."""
        for look in reversed(self.looks):
            if (look.who, look.check, look.target) == (who, check, target):
                return look.said
        return None

    def last_look_at(self, who: str, check: str, target: str) -> float:
        """When it did."""
        return next(
            each.at
            for each in reversed(self.looks)
            if (each.who, each.check, each.target) == (who, check, target)
        )

    def good_since(self, who: str, check: str, target: str) -> float | None:
        """Since when a check has said nothing but yes to a replica; None if it does not say so now."""
        since = None
        for look in reversed(self.looks):
            if (look.who, look.check, look.target) == (who, check, target):
                if look.said != "yes":
                    return since
                since = look.at
        return since


_decompress = zstandard.ZstdDecompressor().decompress
