"""The simulation has teeth: each planted bug breaks a law that must catch it, within so many seeds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.simulation.bugs import BUGS, WITHIN, hunt
from tests.simulation.simulation import Result

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def hunts(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Result | None]]]:
    """The hunts for all bugs that are asked for, one on each core at a time."""
    asked = [item.callspec.params["bug"] for item in request.session.items if hasattr(item, "callspec")]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        yield {bug: pool.submit(hunt, bug) for bug in asked}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug: str, hunts: Mapping[str, Future[Result | None]]) -> None:
    """Without any one of these laws in the code, a few seeds notice."""
    caught = hunts[bug].result()
    if caught is None or caught.broken is None:
        pytest.fail(f"{BUGS[bug].what}, and {WITHIN} seeds did not notice")
    print(f"caught by seed {caught.seed}, by {caught.broken.law}")
    assert caught.broken.law in BUGS[bug].laws, f"seed {caught.seed} broke {caught.broken}"
