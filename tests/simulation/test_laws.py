"""The laws hold in every seed, and a seed is the same history each time."""

from __future__ import annotations

from collections import Counter

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


def test_what_must_happen_is_counted() -> None:
    counts: Counter[str] = Counter()
    for seed in range(4):
        counts += play(seed).counts
    assert counts["runs"] > 0
    assert not set(counts) & {""}
    assert len(MUST_HAPPEN) == len(set(MUST_HAPPEN))
