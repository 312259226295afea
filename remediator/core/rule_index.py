"""Finds the rules that match an alert without asking each of ten thousand.

A rule with an equality matcher on a non-empty value can only match alerts that carry that very label
and value, so it is filed under it; the rest are asked each time. Candidates keep the rulebook's order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from remediator.core.matchers import Operator
from remediator.core.rules import AlertTrigger, Rule

_Entry = tuple[int, Rule, AlertTrigger]


class RuleIndex:
    """An index over the alert rules of one rulebook; immutable once made."""

    __slots__ = ("_by_label", "_unfiled")

    def __init__(self, rules: Sequence[Rule]) -> None:
        triggers = [
            (position, rule, rule.trigger)
            for position, rule in enumerate(rules)
            if isinstance(rule.trigger, AlertTrigger)
        ]
        self._by_label: dict[str, dict[str, list[_Entry]]] = {}
        self._unfiled: list[_Entry] = []
        popularity = _popularity(triggers)
        for entry in triggers:
            self._file(entry, popularity)

    def _file(self, entry: _Entry, popularity: Mapping[tuple[str, str], int]) -> None:
        keys = list(_equalities(entry[2]))
        if not keys:
            self._unfiled.append(entry)
            return
        name, value = min(keys, key=lambda key: popularity[key])
        self._by_label.setdefault(name, {}).setdefault(value, []).append(entry)

    def matching(self, labels: Mapping[str, str]) -> list[Rule]:
        """The rules whose matchers hold for these labels, in the rulebook's order."""
        found = [entry for entry in self._candidates(labels) if entry[2].matches(labels)]
        if len(found) > 1:
            found.sort(key=_position)
        return [entry[1] for entry in found]

    def _candidates(self, labels: Mapping[str, str]) -> Iterator[_Entry]:
        for name, by_value in self._by_label.items():
            value = labels.get(name)
            if value is not None:
                yield from by_value.get(value, ())
        yield from self._unfiled


def _position(entry: _Entry) -> int:
    return entry[0]


def _equalities(trigger: AlertTrigger) -> Iterator[tuple[str, str]]:
    for matcher in trigger.matchers:
        if matcher.operator is Operator.EQUAL and matcher.value:
            yield matcher.name, matcher.value


def _popularity(triggers: Sequence[_Entry]) -> dict[tuple[str, str], int]:
    """How many rules ask for each label and value: a rule is filed under its rarest."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for _, _, trigger in triggers:
        for key in _equalities(trigger):
            counts[key] += 1
    return counts
