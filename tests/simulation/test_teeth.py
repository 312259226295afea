"""The simulation has teeth: each planted bug breaks a law that must catch it, within so many seeds."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import BUGS, WITHIN, play

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug: str) -> None:
    """The simulation has teeth: without any one of these laws in the code, a few seeds notice."""
    for seed in range(WITHIN):
        broken = play(seed, bug).broken
        if broken is not None:
            assert broken.law in BUGS[bug].laws, f"seed {seed} broke {broken.law}: {broken.what}"
            return
    pytest.fail(f"{BUGS[bug].what}, and {WITHIN} seeds did not notice")
