"""Holding a lease: renewed at a third of its TTL, and the work under it cancelled before it can run out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta

import structlog

from remediator.core.ids import Owner, RunId
from remediator.core.leases import Held, Lease
from remediator.core.ports.store import Store, StoreError
from remediator.telemetry import Metrics

_log = structlog.get_logger(__name__)
#: The part of the TTL after the last renewal at which the work is cancelled: others may only hold after it.
_GIVE_UP_AT = 0.8


class LeaseLostError(Exception):
    """The lease could not be kept; the work under it was cancelled before another could begin."""


class Holder:
    """Holds one run's lease while work goes on. ``lease`` is ``None`` before and after."""

    def __init__(self, store: Store, metrics: Metrics, owner: Owner, run: RunId, ttl: timedelta) -> None:
        self._store = store
        self._metrics = metrics
        self._owner = owner
        self._run = run
        self._ttl = ttl
        self._renewed_at = 0.0
        #: A renewal of the old token must not cross with taking the lease anew.
        self._one_at_a_time = asyncio.Lock()
        self.lease: Lease | None = None

    async def acquire(self) -> Lease | Held:
        """Take the lease, or take it anew with a greater token, which makes the old token useless."""
        async with self._one_at_a_time:
            asked_at = asyncio.get_running_loop().time()
            lease = await self._store.acquire(self._run, self._owner, self._ttl)
            if isinstance(lease, Lease):
                self.lease, self._renewed_at = lease, asked_at
        return lease

    async def release(self) -> None:
        """Let go at once, so that whoever takes the run over need not wait."""
        lease, self.lease = self.lease, None
        if lease is not None:
            await self._store.release(lease)

    async def keep_during(self, work: Coroutine[object, object, None]) -> None:
        """Do the work with the lease renewed beside it.

        Raises:
            LeaseLostError: it could not be renewed in time; the work was cancelled and has ended.
        """
        task = asyncio.ensure_future(work)
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait({task, renewing}, return_when=asyncio.FIRST_COMPLETED)
            lost = not task.done()
        finally:
            renewing.cancel()
            if not task.done():
                task.cancel()
            await asyncio.wait({task, renewing})
        if lost:
            self.lease = None
            self._metrics.lease_lost()
            _log.error("lease lost, work cancelled", run=self._run)
            raise LeaseLostError(self._run)
        task.result()

    async def _renew(self) -> None:
        """Renew until the lease is gone or too old to be sure of; returning means that it is lost."""
        ttl = self._ttl.total_seconds()
        while self.lease is not None:
            await asyncio.sleep(min(ttl / 3, self._left(ttl)))
            async with self._one_at_a_time:
                if not await self._renew_once(ttl):
                    return

    def _left(self, ttl: float) -> float:
        """Seconds until the last renewal is too old to be sure of."""
        return max(self._renewed_at + _GIVE_UP_AT * ttl - asyncio.get_running_loop().time(), 0)

    async def _renew_once(self, ttl: float) -> bool:
        asked_at = asyncio.get_running_loop().time()
        left = self._left(ttl)
        if left <= 0 or self.lease is None:
            return False
        try:
            async with asyncio.timeout(left):
                self.lease = await self._store.renew(self.lease, self._ttl)
        except (StoreError, TimeoutError) as error:
            _log.warning("lease not renewed", run=self._run, error=str(error) or "no answer in time")
            return True
        self._renewed_at = asked_at
        return self.lease is not None
