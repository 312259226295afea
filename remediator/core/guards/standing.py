"""What may say no before every step: whether it may act at all, and on this target."""

from __future__ import annotations

from remediator.core.coverage import touches
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
from remediator.core.rules import Mode
from remediator.core.selections import ALWAYS_PROTECTED


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
            return refuse(Guard.PAUSE, Reason.PAUSED, f"paused by {made.who}: {made.why}{until}")
    return allow(Guard.PAUSE, "not paused")


def waiting_pause(question: Question, view: GuardView) -> GuardAnswer:
    """A pause makes a run that has begun wait."""
    answer = pause(question, view)
    return answer if answer.answer is Answer.ALLOWS else wait(Guard.PAUSE, Reason.PAUSED, answer.detail)


def scope(question: Question, _view: GuardView) -> GuardAnswer:
    """Every rulebook that applies has to have the target in its scope."""
    for book in question.books:
        if book.scope is not None and not book.scope.covers(question.target):
            return refuse(Guard.SCOPE, Reason.SCOPE, f"{question.target} is not in scope")
    return allow(Guard.SCOPE, "in scope")


def protection(question: Question, _view: GuardView) -> GuardAnswer:
    """No rulebook that applies may protect the target."""
    for book in question.books:
        for selection in (*ALWAYS_PROTECTED, *book.protect):
            if selection.covers(question.target):
                return refuse(Guard.PROTECTION, Reason.PROTECTED, f"{question.target} is protected")
    return allow(Guard.PROTECTION, "not protected by policy")


def quarantine(question: Question, view: GuardView) -> GuardAnswer:
    """What is not proven either way is left alone, with all that it is a part of and that is a part of it."""
    places = question.places if view.quarantines else frozenset()
    for held in view.quarantines:
        if touches(held.target, places):
            which = "" if held.target == question.target else f"{held.target} is "
            detail = f"{which}quarantined since {held.at:%Y-%m-%d %H:%M:%S} UTC by {held.run}: {held.why}"
            return refuse(Guard.QUARANTINE, Reason.QUARANTINED, detail)
    return allow(Guard.QUARANTINE, "not quarantined")
