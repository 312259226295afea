"""The table of a run's states: every arrow goes, nothing else does, and everything can end."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

import remediator
from remediator.core.diagram import state_diagram
from remediator.core.events import EventKind
from remediator.core.reasons import Reason
from remediator.core.runs import FINAL, TRANSITIONS, IllegalMoveError, Move, RunState, move
from tests.unit.core.values import after, run

PACKAGE = Path(remediator.__file__).parent
LEGAL = sorted(TRANSITIONS)
ILLEGAL = [pair for pair in product(RunState, Move) if pair not in TRANSITIONS]


@pytest.mark.parametrize(("state", "wanted"), LEGAL)
def test_every_arrow_goes_where_the_table_says(state: RunState, wanted: Move) -> None:
    before = run(state)
    moved = move(before, wanted, after(1), reason=Reason.EXPIRED, detail="d")
    assert moved.state is TRANSITIONS[state, wanted]
    assert moved.detail == "d"
    assert before == run(state)
    if moved.state.is_final:
        assert (moved.ended_at, moved.reason) == (after(1), Reason.EXPIRED)
    else:
        assert (moved.ended_at, moved.reason) == (None, None)


def test_every_other_pair_raises_and_changes_nothing() -> None:
    for state, wanted in ILLEGAL:
        before = run(state)
        with pytest.raises(IllegalMoveError, match=state.value):
            move(before, wanted, after(1))
        assert before == run(state)


def test_finals_have_no_way_out_and_all_else_has_a_way_to_one() -> None:
    assert not [state for state, _ in TRANSITIONS if state in FINAL]
    ends = set(FINAL)
    for _ in RunState:
        ends |= {state for (state, _), following in TRANSITIONS.items() if following in ends}
    assert ends == set(RunState)


def test_every_state_can_be_reached() -> None:
    reached = {RunState.PENDING}
    for _ in RunState:
        reached |= {following for (state, _), following in TRANSITIONS.items() if state in reached}
    assert reached == set(RunState)


def test_nothing_succeeds_but_by_proof_and_nothing_acts_but_by_intent() -> None:
    """Laws 4 and 9, as the table holds them."""
    ways = {end: {m for (_, m), s in TRANSITIONS.items() if s is end} for end in RunState}
    assert ways[RunState.SUCCEEDED] == {Move.PROVE}
    assert ways[RunState.ACTING] == {Move.INTEND}
    assert ways[RunState.PROBING] == {Move.LOSE}
    leaving = {s: {m for (state, m) in TRANSITIONS if state is s} for s in RunState}
    assert Move.INTEND not in leaving[RunState.PROBING]
    assert not leaving[RunState.ACTING] & {Move.CANCEL, Move.EXPIRE, Move.FAIL, Move.GIVE_UP}


def test_the_diagram_shows_each_arrow_once() -> None:
    lines = state_diagram().splitlines()
    for (state, wanted), following in TRANSITIONS.items():
        arrow = f"    {state.value} --> {following.value}: {wanted.value.replace('_', ' ')}"
        assert lines.count(arrow) == 1
    ends = {line.split()[0] for line in lines if line.endswith("--> [*]")}
    assert ends == {state.value for state in FINAL}


def _sources(*rooms: str) -> str:
    return "\n".join(path.read_text() for room in rooms for path in sorted((PACKAGE / room).rglob("*.py")))


def test_the_engine_takes_every_move_and_maps_each_to_its_event() -> None:
    """Beyond the journal's own table of events, something asks for each."""
    used = re.findall(
        r"Move\.([A-Z_]+)(?!\w*:)", re.sub(r"^    Move\.\w+: .*$", "", _sources("engine"), flags=re.MULTILINE)
    )
    assert set(used) == {wanted.name for wanted in Move}


def test_every_kind_of_event_is_written_somewhere() -> None:
    used = set(re.findall(r"EventKind\.([A-Z_]+)", _sources("core", "engine", "store", "web")))
    assert used == {kind.name for kind in EventKind}
