"""Every boundary of the engine, struck by every fault, with three replicas on one PostgreSQL.

Whatever is struck: each service gets one run with the changes that are due and no other, counted in the
cluster's audit log; each run is reported; nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pytest

from tests.faults.arena import Arena
from tests.faults.boundaries import BOUNDARIES, PLACES, Boundary, Fault
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.strikes import Strike
from tests.faults.tally import Tally

Case = tuple[Boundary, Fault]

BATCH = 12
"""Services that are deployed together, and looked at together when all is over."""
AT_ONCE = 4
"""Services that are broken, and struck, at once: leases of one second can be kept for not many more."""
TRIES = 5
"""A service whose run was taken another way by what struck its neighbours is tried again."""


def test_every_boundary_has_a_scenario_that_reaches_it() -> None:
    """An arrow that was added to the table is named here until a scenario takes it."""
    reached = {where for scenario in SCENARIOS for where in scenario.takes}
    assert set(PLACES) - reached == set(), "no scenario takes these"
    assert reached - set(PLACES) == set(), "the table has no such arrows"


@pytest.mark.timeout(1800)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_each_boundary_survives_each_fault(arena: Arena, tally: Tally, scenario: Scenario) -> None:
    left = set(_cases(scenario))
    for _ in range(TRIES):
        for some in _batches(sorted(left, key=str)):
            strikes = [partial(_strike, boundary, fault) for boundary, fault in some]
            for strike in await arena.play(scenario, strikes, AT_ONCE):
                tally[strike.boundary, strike.fault] += 1
                left.discard((strike.boundary, strike.fault))
        if not left:
            break
    assert not left, "nobody came by these"
    twice = arena.duplicate_reports()
    assert len(twice) <= arena.strikes.sends_unrecorded(), twice


def _cases(scenario: Scenario) -> Iterator[Case]:
    for boundary in BOUNDARIES:
        if boundary.where in scenario.takes:
            yield from ((boundary, fault) for fault in Fault)


def _batches(cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
    for start in range(0, len(cases), BATCH):
        yield cases[start : start + BATCH]


def _strike(boundary: Boundary, fault: Fault, service: str) -> Strike:
    return Strike(service, boundary, fault)
