"""Finds the rules that match an alert without asking each of ten thousand.

A rule that demands one of a few values of a label, by equality or by a regular expression such as
`cart|auth`, can only match alerts that carry that very label and one of these values, so it is filed under
them; the rest are asked each time. Candidates keep the rulebook's order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from remediator.core.alternatives import texts_of
from remediator.core.matchers import Matcher, Operator
from remediator.core.rules import AlertTrigger, Rule

_Entry = tuple[int, Rule, AlertTrigger]
#: A label and one of its values.
_Key = tuple[str, str]


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

    def _file(self, entry: _Entry, popularity: Mapping[_Key, int]) -> None:
        ways = list(_demands(entry[2]))
        if not ways:
            self._unfiled.append(entry)
            return
        for name, value in min(ways, key=lambda keys: max(popularity[key] for key in keys)):
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


def _demands(trigger: AlertTrigger) -> Iterator[tuple[_Key, ...]]:
    """For each matcher that demands one of a few values of its label: the label with each of them."""
    for matcher in trigger.matchers:
        values = _values(matcher)
        if values and "" not in values:  # the empty text is any alert's that lacks the label
            yield tuple((matcher.name, value) for value in values)


def _values(matcher: Matcher) -> tuple[str, ...]:
    if matcher.operator is Operator.EQUAL:
        return (matcher.value,)
    return (texts_of(matcher.value) or ()) if matcher.operator is Operator.REGEX else ()


def _popularity(triggers: Sequence[_Entry]) -> dict[_Key, int]:
    """How many rules ask for each label and value: a rule is filed where the fewest are."""
    counts: dict[_Key, int] = defaultdict(int)
    for _, _, trigger in triggers:
        for keys in _demands(trigger):
            for key in keys:
                counts[key] += 1
    return counts
