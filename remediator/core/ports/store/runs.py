"""Runs: their leases, their moves, and what stands around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

from remediator.core.approvals import Objection
from remediator.core.changes import (
    Asking,
    Intended,
    IntentRequest,
    Refused,
    RunChange,
)
from remediator.core.episodes import Episode
from remediator.core.guards import (
    NO_LOOKBACK,
    GuardView,
    Lookback,
    Verdict,
)
from remediator.core.ids import Owner, RunId, Token
from remediator.core.leases import ALONE, Demand, Held, Lease, Preempted
from remediator.core.notices import Envelope
from remediator.core.ports.store.basics import (
    Ask,
    Settle,
)
from remediator.core.runs import Attempt, Run


class Runs(Protocol):
    """Runs, leases and fencing tokens."""

    async def runnable(self, limit: int, leaving: Sequence[RunId] = ()) -> list[RunId]:
        """Runs that have not ended and that nobody drives: none of their own leases is live. Oldest first.

        Those that are to be left alone are not counted either.
        One that waits for a person is among them only once its deadline is over or no episode of it is open.
        """
        ...

    async def run(self, run: RunId) -> Run | None: ...

    async def attempt_in_doubt(self, run: RunId) -> Attempt | None:
        """The run's attempt that has no outcome, if any."""
        ...

    async def episodes_of(self, run: RunId, after: int = 0, limit: int | None = None) -> tuple[Episode, ...]:
        """The episodes that the run was begun for or that joined it, by id: the next ones after this one.

        None are given only when there is none left that can be read.
        """
        ...

    async def acquire(self, run: RunId, owner: Owner, ttl: timedelta, demand: Demand = ALONE) -> Lease | Held:
        """Take a lease on the run's target and all else that ``demand`` covers, as a whole or not at all.

        One token stands for all of it, greater than any before it: each target that is written to is stamped
        with it, and takes writers with that or a greater one. Given when, by :func:`contend`, nothing is in
        the way: no live lease of another run that covers what bars this one, nor any of another owner for the
        same run; and no other unfinished run whose lease covered it has an attempt without an outcome: that
        has to be probed first. Contenders for overlapping places come one after another, in one order, so
        that they neither deadlock nor both win.

        Taking it again as the same owner for the same run gives a new token and makes the old one useless.
        It then covers what it covered before, too. To nobody is a run given whose attempt its target can't
        fence, before that attempt's deadline.

        With ``demand.preempts`` shared holders are asked to give way: their leases can't be renewed any more,
        end within ``ttl``, and leave a ``lease.preempted`` event. Meanwhile the asking run's places are kept
        from all others, for as long as it goes on asking once within each ``ttl``.
        """
        ...

    async def renew(self, lease: Lease, ttl: timedelta) -> Lease | Preempted | None:
        """Prolong a live lease with its token unchanged; ``None`` when it is no longer held.

        It is never shortened: one that outlives an attempt's deadline goes on doing so.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """End a lease if its token is still the current one; else do nothing.

        An exclusive one with an attempt in doubt that its target can't fence lasts to the attempt's deadline.
        """
        ...

    async def advance(self, token: Token | None, change: RunChange) -> Refused | None:
        """Write a run's move with its attempt, quarantine, events and envelopes.

        Refused when ``token`` is not that of a live lease on the run's target, when the run is no longer in
        ``change.was``, or when it would be cancelled as resolved while an episode of it is open. ``token``
        is ``None`` only for moves out of ``pending`` and ``asking`` by which nothing was or will be touched.
        """
        ...

    async def answer(self, run: RunId, settle: Settle) -> RunChange | Objection | None:
        """Let ``settle`` judge an answer to a run's request by all that is known of the run, and write it.

        The run is kept from all others between the look and the write, so that of two answers one is first.
        What ``settle`` gives is given back; a change is written as by :meth:`advance`. ``None`` also when
        there is no such run.
        """
        ...

    async def asking(self) -> list[Asking]:
        """The runs that wait for a person, with their requests; those that lapse first come first."""
        ...

    async def intend(
        self,
        token: Token,
        request: IntentRequest,
        ask: Ask,
        change: Callable[[GuardView, Verdict], RunChange],
    ) -> Intended | Refused | Preempted:
        """Ask the guards and, if they allow it, write the intent, in one transaction.

        ``ask`` gets a view that excludes the asking run, in which ``parallel`` counts the unfinished live
        runs that took a slot, and ``slots`` are those that were taken. If its verdict allows, ``change`` is
        written as by :meth:`advance`, refused also if its attempt was made already; with ``request.first`` a
        slot is taken, which is never given back.
        Whether or not it allows, what it demands is counted, and what it trips is engaged.

        An attempt that its target can't fence makes the lease outlive its deadline. Whoever has to give way
        to another run is told so, and nothing is asked.
        """
        ...

    async def abandon(
        self, run: RunId, overdue: timedelta, why: str, envelopes: Sequence[Envelope] = ()
    ) -> bool:
        """End a run that nobody could take to its end, whatever of it can't be read.

        Only if its deadline has been over for ``overdue``, none of its own leases is live, and it is in a
        state that this version knows: else ``False``, and nothing is written. One that may have changed
        something is ``unknown``, an attempt in doubt with it, and its target is quarantined; another has
        expired. Its events, and the envelopes, are written with it.
        """
        ...

    async def view(self, run: Run, lookback: Lookback = NO_LOOKBACK) -> GuardView:
        """What the guards would see now for this run's rule and target, the run itself excluded."""
        ...
