"""How often each fault hit at each boundary, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tests.faults.boundaries import Boundary, Fault

Tally = Counter[tuple[Boundary, Fault]]


def table(tally: Tally, boundaries: Iterable[Boundary]) -> Iterator[str]:
    """Boundary × fault × times hit, line by line."""
    rows = [(f"{each.where}, {each.side.value}", each) for each in boundaries]
    width = max(len(name) for name, _ in rows) + 2
    yield " " * width + "".join(f"{fault.value:>12}" for fault in Fault)
    for name, boundary in rows:
        yield name.ljust(width) + "".join(f"{tally[boundary, fault]:>12}" for fault in Fault)
