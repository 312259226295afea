"""Leases: time-bound claims on what a run acts on, with a fencing token that only grows (law 5).

A lease is taken as a whole or not at all. It covers places: the run's target, what else that target is, and
what it lies in (:mod:`remediator.core.coverage` says which). :func:`contend` decides between contenders; the
stores ask it inside the transaction that takes the lease.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from remediator.core.ids import Owner, RunId, Token
from remediator.core.targets import Target


class LeaseMode(StrEnum):
    """What an action asks of its target while it acts: to be alone, or only that nobody changes it."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"


class Side(StrEnum):
    """How a place is covered: as a whole, or only passed through on the way to what lies within it.

    Every pod lies in a node and in a namespace, so that those two meet in the pods of their cluster.
    """

    WHOLE = "whole"
    WITHIN = "within"
    BY_NODE = "by_node"
    BY_NAMESPACE = "by_namespace"


@dataclass(frozen=True, slots=True, order=True)
class Cover:
    """One place that a lease covers. ``place`` is a target as it is written, or the pods of a cluster."""

    place: str
    shared: bool = False
    side: Side = Side.WHOLE

    def bars(self, other: Cover) -> bool:
        """Whether two runs can't have both at once.

        They can when both are shared, or when both only pass through from the same side: two objects of one
        namespace need not know of each other, while whoever holds the namespace as a whole bars both.
        """
        apart = self.side is Side.WHOLE or self.side is not other.side
        return self.place == other.place and apart and not (self.shared and other.shared)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run asks of its lease.

    ``covers`` are places beside its own target, which it always covers as a whole. With ``preempts`` it asks
    shared holders to give way.
    """

    shared: bool = False
    preempts: bool = False
    covers: frozenset[Cover] = frozenset()

    def covering(self, target: Target, earlier: Iterable[Cover] = ()) -> tuple[Cover, ...]:
        """All that the lease covers, sorted by place; never less than ``earlier``."""
        return merged((Cover(str(target), self.shared), *self.covers, *earlier))


#: A lease on the run's own target, held alone.
ALONE = Demand()


def merged(covers: Iterable[Cover]) -> tuple[Cover, ...]:
    """One cover for each place, sorted: it bars whatever one of those that it is made of bars."""
    found: dict[str, Cover] = {}
    for cover in covers:
        same = found.get(cover.place, cover)
        side = cover.side if cover.side is same.side else Side.WHOLE
        found[cover.place] = Cover(cover.place, cover.shared and same.shared, side)
    return tuple(sorted(found.values()))


@dataclass(frozen=True, slots=True)
class Lease:
    """A run's claim on its target and what that covers, until ``expires_at`` of the store's clock.

    At that very moment it no longer holds. One token stands for all that it covers. It is exclusive unless
    ``shared``.
    """

    target: Target
    run: RunId
    owner: Owner
    token: Token
    expires_at: datetime
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """Why a lease was not given: until ``until`` a run has what it would cover.

    That may be the asking run itself: then another owner drives it, or, if ``owner`` is the asker, the
    deadline of an attempt that its target can't fence has to be waited out.
    """

    run: RunId
    owner: Owner
    until: datetime


@dataclass(frozen=True, slots=True)
class Preempted:
    """Why a lease was not renewed: the run ``by`` asked for it, and gets it at ``until`` at the latest."""

    by: RunId
    until: datetime


@dataclass(frozen=True, slots=True)
class Occupied:
    """A place as a contender finds it: covered by ``run``, live until ``until`` if that lies ahead.

    ``owner`` is empty when the run has no lease, and only waits for those that it preempted to go.
    ``in_doubt`` says that an attempt of it has no outcome; one that the target can't fence may take effect
    until ``may_act_until``.
    """

    cover: Cover
    run: RunId
    owner: Owner
    until: datetime | None
    in_doubt: bool = False
    may_act_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Contention:
    """What becomes of a contender: ``held`` says why it has to wait, if it does.

    ``preempted`` are the runs that have to give way to it first, ``over`` those whose leases are past and
    that its own replaces.
    """

    held: Held | None = None
    preempted: frozenset[RunId] = frozenset()
    over: frozenset[RunId] = frozenset()


def contend(
    run: RunId,
    owner: Owner,
    wanted: Collection[Cover],
    standing: Collection[Occupied],
    now: datetime,
    *,
    preempts: bool = False,
) -> Contention:
    """Decide whether a run gets a lease that covers ``wanted``, given all that stands on those places.

    An attempt in doubt stands like a live lease: whoever wrote before it is probed would wipe out the only
    trace by which it can be found. A shared one leaves no trace on its target, so that it gives way to who
    preempts it.
    """
    hindered = _by_itself(run, owner, standing, now)
    if hindered is not None:
        return Contention(hindered)
    mine = {cover.place: cover for cover in wanted}
    barring = [each for each in standing if each.run != run and mine[each.cover.place].bars(each.cover)]
    live = [each for each in barring if _live(each, now)]
    firm = [
        each for each in barring if (each in live or each.in_doubt) and not (preempts and each.cover.shared)
    ]
    if firm:
        return Contention(_last(firm, now))
    if live:
        return Contention(_last(live, now), preempted=frozenset(each.run for each in live))
    return Contention(over=frozenset(each.run for each in barring))


def _by_itself(run: RunId, owner: Owner, standing: Iterable[Occupied], now: datetime) -> Held | None:
    for each in standing:
        if each.run != run:
            continue
        if each.owner not in ("", owner) and each.until is not None and now < each.until:
            return Held(run, each.owner, each.until)
        if each.may_act_until is not None and now < each.may_act_until:
            return Held(run, owner, each.may_act_until)
    return None


def _live(each: Occupied, now: datetime) -> bool:
    return each.until is not None and now < each.until


def _last(standing: Iterable[Occupied], now: datetime) -> Held:
    """The one that stands longest; an attempt in doubt may be over at any moment."""
    ends = ((each.until if each.until is not None and now < each.until else now, each) for each in standing)
    until, last = max(ends, key=lambda pair: pair[0])
    return Held(last.run, last.owner if until > now else Owner(""), until)
