"""Limits: how often, on how many targets, and how soon again. Counted by slots, across replicas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from remediator.core.durations import format_duration
from remediator.core.guards.values import (
    Guard,
    GuardAnswer,
    GuardView,
    Question,
    Slot,
    allow,
    refuse,
    wait,
)
from remediator.core.reasons import Reason
from remediator.core.rules import Limits, Rate


def rate(question: Question, view: GuardView) -> GuardAnswer:
    """The rule acts on one target only so often, in each of its windows."""
    rates = dict.fromkeys(each for rule in question.versions for each in rule.limits.rate)
    if not rates:
        return allow(Guard.RATE, "no limit")
    mine = [slot for slot in _of_rule(question, view.slots) if slot.target == question.target]
    return _within_rates(Guard.RATE, Reason.RATE, rates, mine, view.now)


def targets(question: Question, view: GuardView) -> GuardAnswer:
    """The rule acts only on so many distinct targets in a window; one that it is on already is no new one."""
    limits = dict.fromkeys(rule.limits.targets for rule in question.versions if rule.limits.targets)
    if not limits:
        return allow(Guard.TARGETS, "no limit")
    others = [slot for slot in _of_rule(question, view.slots) if slot.target != question.target]
    seen, waits = [], ""
    for limit in limits:
        within = _within(others, limit, view.now)
        taken = len({slot.target for slot in within if slot.taken})
        soon = len({slot.target for slot in within})
        if taken >= limit.count:
            return refuse(Guard.TARGETS, Reason.TARGETS, f"{taken} other targets, the limit is {limit}")
        if soon >= limit.count:
            waits = f"{soon} other targets, some not acted on yet, the limit is {limit}"
        seen.append(f"{taken} others of {limit}")
    if waits:
        return wait(Guard.TARGETS, Reason.TARGETS, waits)
    return allow(Guard.TARGETS, ", ".join(seen))


def per_target(question: Question, view: GuardView) -> GuardAnswer:
    """Whichever rules do it, one target is acted on only so often, and left alone for a while after."""
    shared = [book.per_target for book in question.books if book.per_target is not None]
    if not shared:
        return allow(Guard.PER_TARGET, "no limit")
    cooling = _cooling(shared, view)
    if cooling is not None:
        return cooling
    rates = dict.fromkeys(each for limits in shared for each in limits.rate)
    on_it = [slot for slot in view.slots if slot.target == question.target]
    return _within_rates(Guard.PER_TARGET, Reason.PER_TARGET, rates, on_it, view.now)


def _cooling(shared: Sequence[Limits], view: GuardView) -> GuardAnswer | None:
    last = view.last_on_target
    if last is None or last.ended_at is None:
        return None
    length, since = max(limits.cooldown for limits in shared), view.now - last.ended_at
    if since >= length:
        return None
    detail = (
        f"{last.id} ended {format_duration(since)} ago, `per_target.cooldown` is {format_duration(length)}"
    )
    return refuse(Guard.PER_TARGET, Reason.PER_TARGET, detail)


def _within_rates(
    guard: Guard, reason: Reason, rates: Iterable[Rate], slots: Sequence[Slot], now: datetime
) -> GuardAnswer:
    seen, waits = [], ""
    for limit in rates:
        within = _within(slots, limit, now)
        taken = sum(slot.taken for slot in within)
        if taken >= limit.count:
            return refuse(guard, reason, f"{taken} runs on this target, the limit is {limit}")
        if len(within) >= limit.count:
            waits = f"{len(within)} runs on this target, some not begun yet, the limit is {limit}"
        seen.append(f"{taken} of {limit}")
    return wait(guard, reason, waits) if waits else allow(guard, ", ".join(seen) or "no limit")


def _of_rule(question: Question, slots: Iterable[Slot]) -> list[Slot]:
    names = question.names
    return [slot for slot in slots if slot.rule in names]


def _within(slots: Iterable[Slot], limit: Rate, now: datetime) -> list[Slot]:
    return [slot for slot in slots if now - slot.at < limit.window]
