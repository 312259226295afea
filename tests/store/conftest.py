"""Every test that takes `store` or `backend` runs once per backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from remediator.core.ports.store import Store
from remediator.store.postgres import PostgresStore
from tests.store.backends import BACKENDS, Backend
from tests.store.clock import FakeClock
from tests.store.postgres import PostgresBackend


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Backend]:
    backend = BACKENDS[request.param](tmp_path, clock)
    yield backend
    backend.close()


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    store = backend.make()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def replicas(tmp_path: Path, clock: FakeClock) -> AsyncIterator[list[PostgresStore]]:
    """Three replicas of one ledger."""
    backend = PostgresBackend(tmp_path, clock)
    stores = [backend.make() for _ in range(3)]
    for store in stores:
        await store.open()
    yield stores
    for store in stores:
        await store.close()
    backend.close()
