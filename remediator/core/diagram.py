"""The run's transition table as a Mermaid state diagram, for the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from remediator.core.runs import FINAL, TRANSITIONS, RunState


def state_diagram() -> str:
    """The table as Mermaid text: one line an arrow, in the table's order."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {RunState.PENDING.value}: decided"
    for (state, wanted), following in TRANSITIONS.items():
        yield f"    {state.value} --> {following.value}: {wanted.value.replace('_', ' ')}"
    for state in RunState:
        if state in FINAL:
            yield f"    {state.value} --> [*]"
