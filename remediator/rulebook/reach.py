"""Rules that no alert reaches: their matchers contradict each other, or an earlier rule takes everything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from remediator.core.implications import contradiction, implies, values_of
from remediator.core.matchers import Matcher, Operator
from remediator.core.rules import AlertTrigger, Rule, WatchdogPolicy
from remediator.rulebook.problems import Reporter

#: With more rules than these that compare by patterns alone, only the first of them are compared.
_MOST_COMPARED = 100


@dataclass(slots=True)
class _Greedy:
    """Rules that take every alert that their matchers hold for, by a label and value that they all want."""

    by_value: dict[tuple[str, str], list[Rule]] = field(default_factory=lambda: defaultdict(list))
    others: list[Rule] = field(default_factory=list)

    def add(self, rule: Rule, matchers: Sequence[Matcher]) -> None:
        wanted = next(((each.name, each.value) for each in matchers if each.operator is Operator.EQUAL), None)
        if wanted is not None:
            self.by_value[wanted].append(rule)
        elif len(self.others) < _MOST_COMPARED:
            self.others.append(rule)

    def taking_all_of(self, matchers: Sequence[Matcher]) -> Rule | None:
        """The first rule that takes every alert that these hold for."""
        return next((rule for rule in self._near(matchers) if implies(matchers, _matchers(rule))), None)

    def _near(self, matchers: Sequence[Matcher]) -> Iterator[Rule]:
        yield from self.others
        for name in dict.fromkeys(each.name for each in matchers):
            values = values_of(each for each in matchers if each.name == name)
            if values is not None and len(values) == 1:
                yield from self.by_value.get((name, min(values)), ())


def report_unreached(rules: Iterable[tuple[Rule, Reporter]], watchdog: WatchdogPolicy) -> None:
    """Warn of rules that are never asked about any alert."""
    greedy = _Greedy()
    for rule, reporter in rules:
        if not isinstance(rule.trigger, AlertTrigger):
            continue
        matchers = rule.trigger.matchers
        if (clash := contradiction(matchers)) is not None:
            _report_contradiction(rule, clash, reporter)
        elif watchdog.matchers and implies(matchers, watchdog.matchers):
            message = (
                f"{rule.name!r} is never asked: its alert is the Watchdog, about which no rule is: "
                "leave it out, or name another in `watchdog`"
            )
            reporter.warn(("name",), message, key=False)
        elif (first := greedy.taking_all_of(matchers)) is not None:
            message = (
                f"{rule.name!r} is never asked: {first.name!r}, before it, takes all its alerts: "
                "put it first, or let the other one take less"
            )
            reporter.warn(("name",), message, key=False)
        elif not (rule.only_if or rule.goes_on or rule.trigger.count):
            greedy.add(rule, matchers)


def _report_contradiction(rule: Rule, clash: Sequence[Matcher], reporter: Reporter) -> None:
    listed = " and ".join(str(each) for each in clash)
    together = "together " if len(clash) > 1 else ""
    message = f"{rule.name!r} is never asked: no alert can satisfy {listed} {together}".rstrip()
    reporter.warn(("when", "matchers", _matchers(rule).index(clash[-1])), f"{message}: mend them", key=False)


def _matchers(rule: Rule) -> tuple[Matcher, ...]:
    return rule.trigger.matchers if isinstance(rule.trigger, AlertTrigger) else ()
