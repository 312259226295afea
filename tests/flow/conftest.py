from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.daemon import World, a_world, hurry


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A world around a daemon that the test starts; the daemon in this process is in a hurry."""
    hurry(monkeypatch)
    async with a_world(tmp_path) as one:
        yield one
