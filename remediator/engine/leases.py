"""Holding a lease: renewed at a third of its TTL, and the work under it cancelled before it can run out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta

import structlog

from remediator.core.ids import Owner, RunId, Token
from remediator.core.leases import ALONE, Demand, Held, Lease, Preempted
from remediator.core.ports.store import Store, StoreError, Topic
from remediator.engine.steady import StoppedError, steady

_log = structlog.get_logger(__name__)
#: The part of the TTL after the last renewal at which the work is cancelled: others may only hold after it.
_GIVE_UP_AT = 0.8


class LeaseLostError(Exception):
    """The lease could not be kept; the work under it was cancelled before another could begin."""


class PreemptedError(Exception):
    """The run ``by`` is to have what the lease covers; the work was cancelled, and the lease still holds."""

    def __init__(self, by: RunId) -> None:
        super().__init__(f"preempted by {by}")
        self.by = by


class Holder:
    """Holds one run's lease while work goes on. ``lease`` is ``None`` before and after.

    ``demand`` is what the lease was last asked to cover.
    """

    def __init__(self, store: Store, owner: Owner, run: RunId, ttl: timedelta) -> None:
        self._store = store
        self._owner = owner
        self._run = run
        self._ttl = ttl
        self._renewed_at = 0.0
        #: A renewal of the old token must not cross with taking the lease anew.
        self._one_at_a_time = asyncio.Lock()
        self.lease: Lease | None = None
        self.demand = ALONE

    @property
    def token(self) -> Token:
        """The token of the lease.

        Raises:
            LeaseLostError: there is none any more.
        """
        if self.lease is None:
            raise LeaseLostError(self._run)
        return self.lease.token

    async def acquire(self, demand: Demand | None = None) -> Lease | Held:
        """Take the lease, or take it anew with a greater token, which makes the old token useless.

        Without a ``demand`` it is the one before.
        """
        async with self._one_at_a_time:
            asked_at = asyncio.get_running_loop().time()
            wanted = self.demand if demand is None else demand
            lease = await self._store.acquire(self._run, self._owner, self._ttl, wanted)
            if isinstance(lease, Lease):
                self.lease, self.demand, self._renewed_at = lease, wanted, asked_at
        return lease

    async def release(self) -> None:
        """Let go at once, so that whoever takes the run over need not wait."""
        lease, self.lease = self.lease, None
        if lease is not None:
            await self._store.release(lease)

    async def keep_during(self, work: Coroutine[object, object, None]) -> None:
        """Do the work with the lease renewed beside it. No step of it begins once that is not sure.

        Raises:
            LeaseLostError: it could not be renewed in time; the work was cancelled and has ended.
            PreemptedError: another run is to have it; the work was cancelled and has ended.
        """
        task = asyncio.ensure_future(steady(work, self._is_sure))
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait({task, renewing}, return_when=asyncio.FIRST_COMPLETED)
            cut = not task.done()
        finally:
            renewing.cancel()
            if not task.done():
                task.cancel()
            await asyncio.wait({task, renewing})
            work.close()
        if cut and (by := renewing.result()) is not None:
            _log.warning("lease preempted, work cancelled", run=self._run, by=by)
            raise PreemptedError(by)
        if cut or _stopped(task):
            self.lease = None
            raise LeaseLostError(self._run)
        task.result()

    async def _renew(self) -> RunId | None:
        """Renew until the lease is lost, or gone to the run that is returned."""
        while self.lease is not None:
            await self._until_next(self.lease)
            async with self._one_at_a_time:
                answer = await self._renew_once()
            if not isinstance(answer, Lease):
                return None if answer is None else answer.by
        return None

    async def _until_next(self, lease: Lease) -> None:
        """Wait for a third of the TTL; a shared lease may be asked for before."""
        pause = min(self._ttl.total_seconds() / 3, self._left())
        if lease.shared:
            await self._store.wait(Topic.LEASES, timedelta(seconds=pause))
        else:
            await asyncio.sleep(pause)

    def _left(self) -> float:
        """Seconds until the last renewal is too old to be sure of."""
        sure_until = self._renewed_at + _GIVE_UP_AT * self._ttl.total_seconds()
        return max(sure_until - asyncio.get_running_loop().time(), 0)

    def _is_sure(self) -> bool:
        return self.lease is not None and self._left() > 0

    async def _renew_once(self) -> Lease | Preempted | None:
        """The lease as it is now; ``None`` when it is lost."""
        asked_at, left, lease = asyncio.get_running_loop().time(), self._left(), self.lease
        if left <= 0 or lease is None:
            return None
        try:
            async with asyncio.timeout(left):
                answer = await self._store.renew(lease, self._ttl)
        except (StoreError, TimeoutError) as error:
            _log.warning("lease not renewed", run=self._run, error=str(error) or "no answer in time")
            return lease
        if isinstance(answer, Lease):
            self.lease, self._renewed_at = answer, asked_at
        return answer


def _stopped(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and isinstance(task.exception(), StoppedError)
