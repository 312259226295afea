"""The embedded ledger's time: never backwards, and a jump is waited out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.events import EventKind
from remediator.core.ports.store import Store
from remediator.store.sqlite import SqliteStore
from remediator.store.sqlite.clock import StoreClock
from tests.store.backends import JUMP_WAIT, SqliteBackend
from tests.store.clock import FakeClock
from tests.store.values import begin


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> SqliteBackend:
    return SqliteBackend(tmp_path, clock)


@pytest.fixture
async def store(ledger: SqliteBackend) -> AsyncIterator[SqliteStore]:
    store = ledger.make()
    await store.open()
    yield store
    await store.close()


async def jumps(store: Store) -> list[object]:
    events = await store.events(0, 1000)
    return [event.data["seconds"] for event in events if event.kind is EventKind.CLOCK_JUMPED]


async def test_time_is_the_wall_clocks(store: Store, clock: FakeClock) -> None:
    assert await store.now() == clock.wall()
    clock.advance(3600)
    assert await store.now() == clock.wall()
    assert await jumps(store) == []


@pytest.mark.parametrize("seconds", [-30, 30, -1, 1])
async def test_a_small_step_is_no_jump(store: Store, clock: FakeClock, seconds: float) -> None:
    run = await begin(store)
    clock.step(seconds)
    assert (await store.view(run)).acting_from is None
    assert await jumps(store) == []


@pytest.mark.parametrize("seconds", [-30.001, 30.001, 86_400])
async def test_a_jump_is_told_and_waited_out_exactly(store: Store, clock: FakeClock, seconds: float) -> None:
    run = await begin(store)
    clock.step(seconds)
    view = await store.view(run)
    assert view.acting_from == view.now + JUMP_WAIT
    assert await jumps(store) == [seconds]
    while (await store.now()) < view.acting_from:
        assert (await store.view(run)).acting_from == view.acting_from
        clock.advance(1)
    assert (await store.view(run)).acting_from is None
    assert await jumps(store) == [seconds]


async def test_when_the_wall_clock_goes_back_time_goes_on_at_half_its_pace_until_they_meet(
    store: Store, clock: FakeClock
) -> None:
    """Time that stood still for an hour would let no deadline pass and no lease end."""
    before = await store.now()
    clock.step(-3600)
    assert await store.now() == before
    clock.advance(60)
    assert await store.now() == before + timedelta(seconds=30)
    clock.advance(7140)
    assert await store.now() == clock.wall()
    clock.advance(10)
    assert await store.now() == clock.wall()


async def test_time_never_runs_backwards_over_a_restart_and_that_counts_as_a_jump(
    ledger: SqliteBackend, clock: FakeClock
) -> None:
    store = ledger.make()
    await store.open()
    run = await begin(store)
    mark = await store.now()
    await store.close()
    clock.step(-5)
    store = ledger.make()
    await store.open()
    view = await store.view(run)
    assert (view.now, view.acting_from) == (mark, mark + JUMP_WAIT)
    assert await jumps(store) == [-5]
    await store.close()


async def test_a_restart_on_a_steady_clock_is_no_jump(ledger: SqliteBackend, clock: FakeClock) -> None:
    for _ in range(2):
        store = ledger.make()
        await store.open()
        await store.check()
        assert await jumps(store) == []
        await store.close()
        clock.advance(3600)


moves = st.lists(
    st.tuples(st.sampled_from(["advance", "step"]), st.floats(-5000, 5000).map(lambda x: round(x, 6))),
    max_size=30,
)


@given(moves)
def test_time_never_runs_backwards_and_never_lags_behind_the_wall(
    moves: list[tuple[str, float]],
) -> None:
    clock = FakeClock()
    kept = StoreClock(clock.wall, clock.monotonic, JUMP_WAIT)
    kept.start(None)
    last = kept.read()
    for kind, seconds in moves:
        if kind == "advance":
            clock.advance(abs(seconds))
        else:
            clock.step(seconds)
        now = kept.read()
        assert now >= last
        assert now >= clock.wall()
        last = now
