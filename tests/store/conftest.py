"""Every test that takes `store` or `backend` runs once per backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from remediator.core.ports.store import Store
from tests.store.backends import BACKENDS, Backend
from tests.store.clock import FakeClock


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
