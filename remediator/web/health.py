"""What ``/health`` and ``/ready`` tell: at once, whatever the dependencies do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from remediator.web.ports import DependencyHealth, Health, Probe, WebDeps

STORE = "store"

_log = structlog.get_logger(__name__)
_Value = TypeVar("_Value")


class Cached(Generic[_Value]):
    """A value that is looked up when it is asked for and older than ``fresh`` seconds.

    However many ask, one looks, and nobody waits longer than they want to. ``look`` must not raise.
    """

    def __init__(self, look: Callable[[], Awaitable[_Value]], initial: _Value, fresh: float) -> None:
        self._look = look
        self._value = initial
        self._fresh = fresh
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def get(self, patience: float) -> _Value:
        """The value, as fresh as it could be had within ``patience`` seconds."""
        if self._looking is None and asyncio.get_running_loop().time() - self._looked_at >= self._fresh:
            self._looking = asyncio.create_task(self._refresh())
        if self._looking is not None:
            await asyncio.wait({self._looking}, timeout=patience)
        return self._value

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    async def _refresh(self) -> None:
        try:
            self._value = await self._look()
            self._looked_at = asyncio.get_running_loop().time()
        finally:
            self._looking = None


class HealthBoard:
    """What is known of the store and of each other dependency."""

    def __init__(self, deps: WebDeps) -> None:
        self._deps = deps
        self._limits = deps.limits
        self._known = {STORE: self._cached(STORE, self._check_store)}

    async def dependencies(self) -> dict[str, DependencyHealth]:
        """How each is doing; one that is slow to say is told as it was."""
        probes = self._deps.probes()
        for name, probe in probes.items():
            if name not in self._known:
                self._known[name] = self._cached(name, probe)
        names = [STORE, *probes]
        found = await asyncio.gather(*(self._known[name].get(self._limits.patience) for name in names))
        return dict(zip(names, found, strict=True))

    async def store(self) -> DependencyHealth:
        """Whether the store would keep a write now."""
        return await self._known[STORE].get(self._limits.probe)

    async def close(self) -> None:
        """Stop probing."""
        await asyncio.gather(*(cached.close() for cached in self._known.values()))

    def _cached(self, name: str, probe: Probe) -> Cached[DependencyHealth]:
        async def look() -> DependencyHealth:
            try:
                async with asyncio.timeout(self._limits.probe):
                    found = await probe()
            except TimeoutError:
                found = DependencyHealth(Health.UNHEALTHY, f"no answer within {self._limits.probe:g} s")
            except Exception as error:  # noqa: BLE001 - a probe that breaks is an unhealthy dependency
                _log.warning("health probe failed", dependency=name, error=repr(error))
                found = DependencyHealth(Health.UNHEALTHY, "can't be reached; the log says why")
            return found

        return Cached(look, DependencyHealth(Health.UNKNOWN, "has not answered yet"), self._limits.fresh)

    async def _check_store(self) -> DependencyHealth:
        await self._deps.store.check()
        return DependencyHealth(Health.HEALTHY)


def overall(dependencies: dict[str, DependencyHealth]) -> Health:
    """Unhealthy when nothing can be stored, degraded for anything else that is not healthy."""
    if dependencies[STORE].status is Health.UNHEALTHY:
        return Health.UNHEALTHY
    whole = all(found.status is Health.HEALTHY for found in dependencies.values())
    return Health.HEALTHY if whole else Health.DEGRADED
