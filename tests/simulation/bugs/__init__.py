"""Planted bugs: each takes a law out of the product's code, and must be caught within so many seeds.

A bug is a name, what it breaks, the laws of which one must catch it, and what it puts in the place of which
of the product's own names. Whoever adds a guard, or anything else that a law rests on, adds a bug that
forgets it, to the module that is called as its law's.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from tests.simulation.bugs import acting, ends, guards, intake, retention
from tests.simulation.bugs.bug import Bug
from tests.simulation.patching import replacing
from tests.simulation.simulation import Result, simulate

#: Within so many seeds each bug must be caught.
WITHIN = 200
BUGS: Mapping[str, Bug] = {
    bug.name: bug for bug in (*intake.BUGS, *acting.BUGS, *guards.BUGS, *ends.BUGS, *retention.BUGS)
}


def play(seed: int, bug: str | None = None, *, schedule: bool = False) -> Result:
    """Simulate a seed, with a bug planted if one is named."""
    with nullcontext() if bug is None else planted(BUGS[bug]):
        return simulate(seed, schedule=schedule)


def planted(bug: Bug) -> AbstractContextManager[None]:
    """Plant a bug for as long as the context is entered."""
    return replacing(bug.replaced)


def hunt(bug: str) -> Result | None:
    """Play seeds until one breaks a law; ``None`` if so many of them don't notice the bug."""
    results = (play(seed, bug) for seed in range(WITHIN))
    return next((result for result in results if result.broken is not None), None)
