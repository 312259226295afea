"""Limits that can never bite: a stricter one always comes first, or there is nothing for them to count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import timedelta

from remediator.core.durations import format_duration
from remediator.core.rules import Brake, Limits, Rate, Rule
from remediator.rulebook.document import Path
from remediator.rulebook.problems import Reporter

_REMEDY = "lower it, or leave it out"
Finding = tuple[Path, str]


def report_never_biting(rule: Rule, per_target: Limits | None, brake: Brake, reporter: Reporter) -> None:
    """Warn of limits that a rule itself has and that never refuse anything."""
    if not rule.steps:
        for key in (each.name for each in fields(Limits) if reporter.holds("limits", each.name)):
            message = f"`{key}` never bites, since a rule without `steps` never acts: leave it out"
            reporter.warn(("limits", key), message)
        return
    spacing = max(rule.limits.cooldown, per_target.cooldown if per_target else timedelta(0))
    for path, message in (*_of_rates(rule.limits.rate, spacing), *_of_targets(rule, brake)):
        if reporter.holds("limits", path[0]):
            reporter.warn(("limits", *path), f"{message}: {_REMEDY}", key=False)


def report_rates_that_never_bite(
    rates: Sequence[Rate], cooldown: timedelta, place: Path, reporter: Reporter
) -> None:
    """As above, of rates beside rules: for all of them, or for a target whichever of them acts on it."""
    for path, message in _of_rates(rates, cooldown):
        reporter.warn((*place, *path), f"{message}: {_REMEDY}", key=False)


def _of_rates(rates: Sequence[Rate], cooldown: timedelta) -> Iterator[Finding]:
    for index, rate in enumerate(rates):
        stricter = next((each for each in rates if _stricter(each, rate)), None)
        if stricter is not None:
            yield ("rate", index), f"`{rate}` never bites, since `{stricter}` always does first"
        elif cooldown and rate.count >= -(-rate.window // cooldown):
            yield (
                ("rate", index),
                f"`{rate}` never bites, since a cooldown of {format_duration(cooldown)} allows no more",
            )


def _stricter(one: Rate, other: Rate) -> bool:
    """Whether ``one`` has refused whatever ``other`` would."""
    return one != other and one.count <= other.count and one.window >= other.window


def _of_targets(rule: Rule, brake: Brake) -> Iterator[Finding]:
    targets, stop = rule.limits.targets, brake.everywhere.targets
    if targets is None:
        return
    if rule.target.is_constant:
        yield ("targets",), f"`{targets}` never bites, since the rule has one target"
    elif stop is not None and stop.count <= targets.count and stop.window >= targets.window:
        yield (
            ("targets",),
            f"`{targets}` never bites, since `brake.targets` of {stop} stops automation first",
        )
