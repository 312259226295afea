"""Expectations held against what happened: each needs an entry of its own, and no run or skip may be left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.rehearse.account import Entry
from remediator.rehearse.models import Expectation

#: How much later than expected something may happen: what the engine polls, it polls within that.
TOLERANCE = timedelta(seconds=5)
#: Kinds of which everything has to be expected.
COMPLETE = ("run", "skip")


@dataclass(frozen=True, slots=True)
class Line:
    """One expectation, what happened, or the two together; ``number`` is the expectation's in its list.

    ``differs`` says in what the nearest entry differs from what is expected.
    """

    expected: Expectation | None
    entry: Entry | None
    number: int = -1
    differs: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it is as expected."""
        return self.entry is not None and self.expected is not None and not self.differs


def judge(expected: Sequence[Expectation], happened: Sequence[Entry], began: datetime) -> tuple[Line, ...]:
    """Pair them; what is left over on either side is a failure.

    The pairing is the greatest there is, so that a vague expectation never takes what a precise one needs.
    """
    wanted = [(number, each) for number, each in enumerate(expected) for _ in range(each.times)]
    pairs = _pair(
        [
            [i for i, entry in enumerate(happened) if not _differences(each, entry, began)]
            for _, each in wanted
        ]
    )
    taken = set(pairs.values())
    lines = [Line(wanted[w][1], happened[e], wanted[w][0]) for w, e in pairs.items()]
    left = [e for e, entry in enumerate(happened) if e not in taken and entry.kind in COMPLETE]
    for number, each in [pair for w, pair in enumerate(wanted) if w not in pairs]:
        nearest = _nearest(each, [(e, happened[e]) for e in left], began)
        entry = None if nearest is None else happened[nearest]
        if nearest is not None:
            left.remove(nearest)
        lines.append(Line(each, entry, number, _differences(each, entry, began) if entry else ()))
    lines += [Line(None, happened[e]) for e in left]
    return tuple(lines)


def _pair(fitting: Sequence[Sequence[int]]) -> dict[int, int]:
    """A greatest matching of the wanted with those that fit each, by augmenting paths."""
    owner: dict[int, int] = {}

    def place(wanted: int, seen: set[int]) -> bool:
        for entry in fitting[wanted]:
            if entry not in seen:
                seen.add(entry)
                if entry not in owner or place(owner[entry], seen):
                    owner[entry] = wanted
                    return True
        return False

    for wanted in range(len(fitting)):
        place(wanted, set())
    return {wanted: entry for entry, wanted in owner.items()}


def _nearest(expected: Expectation, left: Sequence[tuple[int, Entry]], began: datetime) -> int | None:
    """What was probably meant: of the same kind, and different in the fewest things."""
    same = [
        (len(_differences(expected, entry, began)), e) for e, entry in left if entry.kind == expected.kind
    ]
    return min(same)[1] if same else None


def _differences(expected: Expectation, entry: Entry, began: datetime) -> tuple[str, ...]:
    """The keys in which an entry is not as expected; of another kind it is altogether different."""
    if entry.kind != expected.kind:
        return ("kind",)
    return tuple(key for key, holds in _KEYS.items() if not holds(expected, entry, began))


def _fits(expected: object, actual: object) -> bool:
    return expected is None or str(expected) == str(actual)


def _in_time(offset: timedelta | None, actual: datetime | None, began: datetime) -> bool:
    if offset is None:
        return True
    return actual is not None and began + offset <= actual <= began + offset + TOLERANCE


def _is_of(expected: Expectation, entry: Entry) -> bool:
    wanted = str(getattr(expected, expected.kind))
    return wanted in entry.what if entry.kind == "told" else wanted == entry.what


_KEYS: Mapping[str, Callable[[Expectation, Entry, datetime], bool]] = {
    "what": lambda expected, entry, _: _is_of(expected, entry),
    "rule": lambda expected, entry, _: _fits(expected.rule, entry.rule),
    "target": lambda expected, entry, _: _fits(expected.target, entry.target),
    "at": lambda expected, entry, began: _in_time(expected.at, entry.at, began),
    "ends": lambda expected, entry, began: _in_time(expected.ends, entry.ends, began),
    "outcome": lambda expected, entry, _: _fits(expected.outcome, entry.outcome),
    "reason": lambda expected, entry, _: _fits(expected.reason, entry.reason),
    "steps": lambda expected, entry, _: expected.steps is None or expected.steps == entry.steps,
    "joins": lambda expected, entry, _: _fits(expected.joins, entry.joins),
    "says": lambda expected, entry, _: expected.says is None or expected.says in entry.detail,
    "channel": lambda expected, entry, _: _fits(expected.channel, entry.channel),
}
