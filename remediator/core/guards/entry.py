"""What may say no before a run has begun: asked at the decision, and again at the first intent."""

from __future__ import annotations

from datetime import timedelta

from remediator.core.durations import format_duration
from remediator.core.guards.values import Guard, GuardAnswer, GuardView, Question, allow, refuse, wait
from remediator.core.reasons import Reason


def freeze(question: Question, view: GuardView) -> GuardAnswer:
    """In a freeze of any rulebook that applies nothing is begun; what has begun goes on."""
    for frozen in dict.fromkeys(each for book in question.books for each in book.freezes):
        until = frozen.holds_until(question.target, view.now)
        if until is not None:
            detail = f"{frozen.summary or 'a freeze'}, until {until:%Y-%m-%d %H:%M} UTC"
            return refuse(Guard.FREEZE, Reason.FROZEN, detail)
    return allow(Guard.FREEZE, "no freeze")


def cooldown(question: Question, view: GuardView) -> GuardAnswer:
    """A repair of this rule on this target that did not last is not repeated."""
    last = view.last_acted
    if last is None or last.ended_at is None:
        return allow(Guard.COOLDOWN, "no earlier run on this target")
    length = _longest_cooldown(question)
    since = view.now - last.ended_at
    if since < length:
        detail = f"{last.id} ended {format_duration(since)} ago, the cooldown is {format_duration(length)}"
        return refuse(Guard.COOLDOWN, Reason.COOLDOWN, detail)
    return allow(Guard.COOLDOWN, f"{last.id} ended {format_duration(since)} ago")


def _longest_cooldown(question: Question) -> timedelta:
    return max(rule.limits.cooldown for rule in question.versions)


def approval_to_come(question: Question, _view: GuardView) -> GuardAnswer:
    """When it is decided, nobody was asked yet."""
    terms = question.approval
    if terms is None:
        return allow(Guard.APPROVAL, "nobody has to be asked")
    return allow(Guard.APPROVAL, f"a person is asked first, and has {format_duration(terms.within)}")


def approval(question: Question, view: GuardView) -> GuardAnswer:
    """What a person has to approve is done only if it is the very plan that they approved."""
    if question.approval is None:
        return allow(Guard.APPROVAL, "nobody has to be asked")
    held = view.approval
    if held is None or not held.granted:
        return refuse(Guard.APPROVAL, Reason.UNAPPROVED, held.outcome if held else "nobody was asked yet")
    if held.digest != question.digest:
        detail = f"what was {held.outcome} is not what would be done now"
        return refuse(Guard.APPROVAL, Reason.OUTDATED, detail)
    return allow(Guard.APPROVAL, held.outcome)


def clock(_question: Question, view: GuardView) -> GuardAnswer:
    """After a jump of the clock nothing begins until the leases from before it have expired."""
    if view.acting_from is not None and view.now < view.acting_from:
        return wait(
            Guard.CLOCK, Reason.CLOCK, f"the clock jumped; acting again from {view.acting_from:%H:%M:%S} UTC"
        )
    return allow(Guard.CLOCK, "steady")
