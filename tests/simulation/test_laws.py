"""The laws hold in every seed, and a seed is the same history each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.bugs import play
from tests.simulation.diary import MUST_HAPPEN

#: So many seeds are played here; `make simulate` plays as many as you like.
SEEDS = 24

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_laws_hold(seed: int) -> None:
    result = play(seed)
    assert result.broken is None, "\n".join([*result.schedule[-60:], str(result.broken)])


def test_a_seed_is_the_same_history_each_time() -> None:
    assert play(3).digest == play(3).digest
    assert play(3).digest != play(4).digest


def test_what_must_happen_is_counted_somewhere() -> None:
    """A name that nobody counts would say of every run of the simulation that it proves nothing."""
    here = Path(__file__).parent
    sources = "".join(path.read_text() for path in here.glob("*.py") if path.name != "diary.py")
    assert [name for name in MUST_HAPPEN if f'"{name}"' not in sources] == []
