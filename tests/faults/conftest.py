"""One fleet for the whole suite, and at its end the table of what was struck how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.arena import Arena, an_arena
from tests.faults.boundaries import BOUNDARIES
from tests.faults.tally import Tally, table

_TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLY] = Counter()


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """How often each fault was committed at each boundary."""
    return pytestconfig.stash[_TALLY]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def arena(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    async with an_arena(tmp_path_factory.mktemp("arena")) as one:
        yield one


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Boundary × fault × times hit."""
    tally = config.stash[_TALLY]
    if not tally:
        return
    terminalreporter.section("strikes: boundary, and how often each fault hit there")
    for line in table(tally, BOUNDARIES):
        terminalreporter.write_line(line)
