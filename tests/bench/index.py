"""The index of rules alone, in a process that only matches: `python -m tests.bench.index RULES HEARD NAMES`.

Of RULES rules the first HEARD ask for an alert name that alerts carry; alerts go round NAMES names. Prints
the processor time of matching one alert, in nanoseconds: the median of five passes over 30,000 alerts.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Mapping, Sequence

from remediator.core.matchers import parse_matcher
from remediator.core.rule_index import RuleIndex
from remediator.core.rules import AlertTrigger, Rule
from remediator.core.templates import target_template
from tests.bench import payloads

PASSES, ALERTS = 5, 30_000


def rule(index: int, name: str) -> Rule:
    """A rule with an equality, an inequality and a regular expression, like those of the rule files."""
    matchers = (f'alertname="{name}"', 'severity!="none"', 'cluster=~"bench|perf"')
    return Rule(
        name=f"bench-{index:05d}",
        trigger=AlertTrigger(tuple(map(parse_matcher, matchers))),
        target=target_template("deployment/{{ labels.namespace }}/{{ labels.deployment }}"),
    )


def nanoseconds(index: RuleIndex, alerts: Sequence[Mapping[str, str]]) -> float:
    """One pass: processor time an alert."""
    began = time.process_time_ns()
    for labels in alerts:
        index.matching(labels)
    return (time.process_time_ns() - began) / len(alerts)


def main(rules: int, heard: int, names: int) -> None:
    """Measure and print."""
    index = RuleIndex([rule(i, payloads.alert_name(i if i < heard else names + i)) for i in range(rules)])
    alerts = [payloads.alert(i, names=names)["labels"] for i in range(ALERTS)]
    hits = sum(len(index.matching(labels)) for labels in alerts)
    if hits != ALERTS * heard // names:
        raise SystemExit(f"{hits} matches instead of one for {heard} of {names} alerts")
    gc.collect()
    gc.freeze()
    sys.stdout.write(f"{statistics.median(nanoseconds(index, alerts) for _ in range(PASSES))}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
