"""Claims: what the ledger handed out is this replica's for a while, and for as long as it holds on to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from remediator.core.ports.store import StoreError
from remediator.engine.steady import StoppedError, steady

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)
#: The part of a claim after which it is no longer sure: others may only have the work after it.
_SURE_FOR = 0.8


class ClaimLostError(Exception):
    """Another replica may have the work by now; what was under way was cancelled."""


class Claim:
    """Work that was asked for at ``asked_at``, in the loop's time, and is claimed for ``length``.

    ``hold`` claims it for ``length`` more, and says whether it still was this replica's.
    """

    def __init__(
        self, hold: Callable[[timedelta], Awaitable[bool]], length: timedelta, asked_at: float
    ) -> None:
        self._hold = hold
        self._length = length
        self._sure_until = self._from(asked_at)

    async def during(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work with the claim held on to beside it; no step of it begins once that is not sure.

        Raises:
            ClaimLostError: it could not be held on to, as after a pause of the whole process.
        """
        holding = asyncio.create_task(self._keep())
        try:
            return await steady(work, self._is_sure)
        except StoppedError as stopped:
            raise ClaimLostError from stopped
        finally:
            holding.cancel()

    async def _keep(self) -> None:
        while self._is_sure():
            await asyncio.sleep(self._length.total_seconds() / 3)
            asked_at = asyncio.get_running_loop().time()
            try:
                held = await self._hold(self._length)
            except StoreError as error:
                _log.warning("claim not renewed", error=str(error))
                continue
            self._sure_until = self._from(asked_at) if held else 0.0

    def _is_sure(self) -> bool:
        return asyncio.get_running_loop().time() < self._sure_until

    def _from(self, asked_at: float) -> float:
        return asked_at + _SURE_FOR * self._length.total_seconds()
