"""The stand-in's work grows with its objects, and no faster: what it copies is counted, not timed."""

from __future__ import annotations

import pytest

from remediator.sandbox.kubernetes import StandIn, store
from remediator.sandbox.kubernetes.copies import copied


async def copies(count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many objects are copied until so many Deployments are rolled out."""
    seen: list[None] = []

    def counting(found: store.Object) -> store.Object:
        seen.append(None)
        return copied(found)

    async with StandIn(ready_after=0) as cluster:
        with monkeypatch.context() as patched:
            patched.setattr(store, "copied", counting)
            for number in range(count):
                cluster.deploy("shop", f"service-{number}", "registry.example/app:1", replicas=1)
            await cluster.settled(30)
    return len(seen)


async def test_twice_as_many_services_are_twice_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = [await copies(count, monkeypatch) for count in (20, 40)]
    assert many < 2.2 * few
