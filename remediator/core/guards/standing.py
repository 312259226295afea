"""What may say no before every step: whether it may act at all, and on this target."""

from __future__ import annotations

from remediator.core.coverage import identities, touches
from remediator.core.guards.values import (
    Answer,
    Guard,
    GuardAnswer,
    GuardView,
    Question,
    allow,
    refuse,
    wait,
)
from remediator.core.reasons import Reason
from remediator.core.rules import Mode, Rulebook, databases_of
from remediator.core.selections import always_protected
from remediator.core.targets import Target


def firing(_question: Question, view: GuardView) -> GuardAnswer:
    """Law 3: what resolved before anything was begun is not acted on."""
    if view.firing:
        return allow(Guard.FIRING, "an alert of it still fires")
    return refuse(Guard.FIRING, Reason.RESOLVED, "every alert of it has resolved")


def mode(question: Question, _view: GuardView) -> GuardAnswer:
    """Who observes never acts."""
    if question.mode is not Mode.OBSERVE:
        return allow(Guard.MODE, question.mode.word)
    return refuse(Guard.MODE, Reason.MODE, question.mode.word)


def pause(question: Question, view: GuardView) -> GuardAnswer:
    """A pause refuses an episode: a skip is final for it."""
    places = question.places if view.pauses else frozenset()
    for made in view.pauses:
        if made.brake is None and made.covers(question.names, places, view.now):
            until = f", until {made.until:%Y-%m-%d %H:%M:%S} UTC" if made.until else ""
            return refuse(Guard.PAUSE, Reason.PAUSED, f"paused by {made.by}: {made.why}{until}")
    return allow(Guard.PAUSE, "not paused")


def waiting_pause(question: Question, view: GuardView) -> GuardAnswer:
    """A pause makes a run that has begun wait; within a critical section it is the pause that waits."""
    answer = pause(question, view)
    if answer.answer is Answer.ALLOWS:
        return answer
    if question.critical:
        return allow(Guard.PAUSE, f"{answer.detail}; it waits until the critical section is over")
    return wait(Guard.PAUSE, Reason.PAUSED, answer.detail)


def scope(question: Question, _view: GuardView) -> GuardAnswer:
    """Every rulebook that applies has to have the target in its scope."""
    scopes = [book.scope for book in question.books if book.scope is not None]
    sight = question.sight
    for each in scopes:
        if not each.covers(question.target):
            return refuse(Guard.SCOPE, Reason.SCOPE, f"{question.target} is not in scope")
        if sight is not None and not each.fits(sight.labels):
            detail = f"{question.target} is not in scope: its labels don't fit {each.selector}"
            return refuse(Guard.SCOPE, Reason.SCOPE, detail)
    return allow(Guard.SCOPE, "in scope" + _unseen(question, any(each.labels for each in scopes)))


def protection(question: Question, _view: GuardView) -> GuardAnswer:
    """No rulebook that applies may protect the target, or what it also is."""
    for each in identities(question.target, databases_of(question.books)):
        found = (_protected(each, book, question) for book in question.books)
        why = next((one for one in found if one is not None), None)
        if why is not None:
            also = "" if each == question.target else f": it is also {each}"
            return refuse(Guard.PROTECTION, Reason.PROTECTED, f"{question.target} is protected{also}{why}")
    may_be = any(each.labels for book in question.books for each in book.protect)
    return allow(Guard.PROTECTION, "not protected by policy" + _unseen(question, may_be))


def _protected(target: Target, book: Rulebook, question: Question) -> str | None:
    """Why it is protected, as what follows that it is; ``None`` if it isn't."""
    always = always_protected(target.space.name, book.home) if target.space else None
    if always is not None:
        return f": {always}"
    for each in book.protect:
        if each.covers(target):
            if not each.labels:
                return ""
            if target == question.target and question.sight and each.fits(question.sight.labels):
                return f": its labels fit {each.selector}"
    return None


def _unseen(question: Question, by_labels: bool) -> str:  # noqa: FBT001 - as private as its callers
    looking = by_labels and question.sight is None
    return " by its name; its labels are looked at once it is planned" if looking else ""


def minimum_healthy(question: Question, _view: GuardView) -> GuardAnswer:
    """At its worst, what is planned leaves each service the ready replicas that it has to keep.

    A service that has fewer anyway keeps what it has, so that it may be repaired.
    """
    found = [book.brake.minimum_healthy(question.target.space) for book in question.books]
    floor, sight = max((each for each in found if each is not None), default=None), question.sight
    if floor is None:
        return allow(Guard.MINIMUM_HEALTHY, "no minimum")
    if sight is None:
        return allow(Guard.MINIMUM_HEALTHY, f"{floor}; looked at once it is planned")
    if sight.ready is None or sight.least is None:
        return allow(Guard.MINIMUM_HEALTHY, "it has no replicas")
    detail = f"{sight.ready} replicas are ready and at worst {sight.least} would be, the minimum is {floor}"
    if sight.least < min(floor, sight.ready):
        return refuse(Guard.MINIMUM_HEALTHY, Reason.MINIMUM_HEALTHY, detail)
    return allow(Guard.MINIMUM_HEALTHY, detail)


def quarantine(question: Question, view: GuardView) -> GuardAnswer:
    """What is not proven either way is left alone, with all that it is a part of and that is a part of it."""
    places = question.places if view.quarantines else frozenset()
    for held in view.quarantines:
        if touches(held.target, places):
            which = "" if held.target == question.target else f"{held.target} is "
            detail = f"{which}quarantined since {held.at:%Y-%m-%d %H:%M:%S} UTC by {held.run}: {held.why}"
            return refuse(Guard.QUARANTINE, Reason.QUARANTINED, detail)
    return allow(Guard.QUARANTINE, "not quarantined")
