"""The brake (law 8): many targets at once, or many failures, are an outage and want a person.

What it counts are demands: decisions and first intents that nothing but the brake itself stands in the way
of, whether or not it lets them. A budget that is spent stops the next demand and all after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from remediator.core.guards.values import (
    Answer,
    BudgetKey,
    Guard,
    GuardAnswer,
    GuardView,
    Pause,
    PauseScope,
    Question,
    Tripped,
    Verdict,
    allow,
    refuse,
    wait,
)
from remediator.core.reasons import Reason
from remediator.core.rules import Budget, Mode, Rate, Rulebook, Share
from remediator.core.targets import Target


def parallel(question: Question, view: GuardView) -> GuardAnswer:
    """No more live runs at once than the brake allows, anywhere and in the namespace: the others wait."""
    seen = []
    for space in dict.fromkeys((None, question.target.space)):
        limits = [each.parallel for each in _budgets(question.books, space) if each.parallel is not None]
        if limits:
            count = view.parallel if space is None else sum(each.space == space for each in view.busy)
            seen.append(f"{count} of {min(limits)} in parallel{_in(space)}")
            if count >= min(limits):
                return wait(Guard.BRAKE, Reason.PARALLEL, seen[-1])
    return allow(Guard.BRAKE, ", ".join(seen))


def share(question: Question, view: GuardView) -> GuardAnswer:
    """How many of the namespace's Deployments are targets; past the budget it is the brake that says no."""
    if not question.shares:
        return allow(Guard.BRAKE, "no share")
    if question.deployments is None:
        return allow(Guard.BRAKE, f"{question.shares[0]} of its Deployments, counted before it acts")
    counts = [_of_deployments(question, each, view) for each in question.shares]
    return allow(Guard.BRAKE, ", ".join(detail for _, detail in counts))


def counted(question: Question, _view: GuardView) -> GuardAnswer:
    """Nothing begins while nobody knows of how many the share is: a new rulebook may want one any time."""
    if question.uncounted:
        return wait(Guard.BRAKE, Reason.FACT_ERROR, "the Deployments of its namespace are to be counted")
    return allow(Guard.BRAKE, "counted" if question.shares else "nothing to count")


def braked(question: Question, view: GuardView, answers: tuple[GuardAnswer, ...]) -> Verdict:
    """The verdict with the brake's own answer added to those of all the others."""
    demanded = question.mode is not Mode.OBSERVE and all(
        each.answer is Answer.ALLOWS for each in answers if each.guard is not Guard.BRAKE
    )
    tripped = tuple(overspent(question, view)) if demanded else ()
    answer = _own_answer(question, view, tripped)
    override = question.override
    if override is not None and Guard.BRAKE in override.guards:
        # Who passes the brake over does not pull it for everybody else.
        answer, tripped = override.heeded(answer), ()
    return Verdict((*answers, answer), demanded, tripped)


def _own_answer(question: Question, view: GuardView, tripped: Sequence[Tripped]) -> GuardAnswer:
    pause = _engaged(question, view)
    if pause is not None:
        return refuse(Guard.BRAKE, Reason.BRAKE, f"engaged since {pause.at:%H:%M:%S} UTC: {pause.why}")
    if tripped:
        return refuse(Guard.BRAKE, Reason.BRAKE, tripped[0].detail)
    return allow(Guard.BRAKE, "not engaged")


def _engaged(question: Question, view: GuardView) -> Pause | None:
    """The engaged brake that stops this target, that on everything before that on its namespace."""
    brakes = [each for each in view.pauses if each.brake is not None]
    places = question.places if brakes else frozenset()
    found = [each for each in brakes if each.covers((), places, view.now)]
    return min(found, key=lambda each: each.scope is not PauseScope.ALL, default=None)


def stopped_everywhere(pauses: Iterable[Pause]) -> bool:
    """Whether the brake on everything is engaged: then there is nothing more to count."""
    return any(each.brake is not None and each.scope is PauseScope.ALL for each in pauses)


def overspent(question: Question, view: GuardView) -> Iterator[Tripped]:
    """Which budgets this demand goes past, where the brake is not engaged anyway."""
    for space in dict.fromkeys((None, question.target.space)):
        spent = [
            each
            for budget in _budgets(question.books, space)
            for each in _spent(budget, question.target, view, space)
        ]
        if space is not None:
            spent += _shares_spent(question, view)
        if spent and not _is_engaged(view, space):
            yield _tripped(question.books, space, *spent[0])


def _shares_spent(question: Question, view: GuardView) -> Iterator[tuple[BudgetKey, str]]:
    for each in question.shares if question.deployments is not None else ():
        beyond, detail = _of_deployments(question, each, view)
        if beyond:
            yield BudgetKey.SHARE, detail


def _of_deployments(question: Question, limit: Share, view: GuardView) -> tuple[bool, str]:
    """Whether this target is one too many of its namespace's Deployments, and the numbers."""
    space, total = question.target.space, question.deployments or 0
    count = view.demanded.others(question.target, space, _since(limit, view, space)) + 1
    name = "" if space is None else space.name
    detail = f"{count} of {total} Deployments of {name}, budget {limit.of(total)} ({limit})"
    return count > limit.of(total), detail


def failures_spent(books: Sequence[Rulebook], view: GuardView) -> Iterator[Tripped]:
    """Which budgets the failures alone have spent, so that people hear of it before the next demand."""
    for space in dict.fromkeys((None, *(each.target.space for each in view.failed))):
        details = [_failures(budget, view, space) for budget in _budgets(books, space)]
        spent = next(filter(None, details), None)
        if spent and not _is_engaged(view, space):
            yield _tripped(books, space, BudgetKey.FAILURES, spent)


def _budgets(books: Iterable[Rulebook], space: Target | None) -> list[Budget]:
    """What each rulebook allows in a namespace, or everywhere."""
    found = [book.brake.budget(space) for book in books]
    return [each for each in found if each is not None]


def _is_engaged(view: GuardView, space: Target | None) -> bool:
    return any(each.brake is not None and each.value == _value(space) for each in view.pauses)


def _spent(
    budget: Budget, target: Target, view: GuardView, space: Target | None
) -> Iterator[tuple[BudgetKey, str]]:
    if budget.targets is not None:
        count = view.demanded.others(target, space, _since(budget.targets, view, space))
        if count >= budget.targets.count:
            yield BudgetKey.TARGETS, f"{count + 1} targets{_in(space)}, the budget is {budget.targets}"
    if failures := _failures(budget, view, space):
        yield BudgetKey.FAILURES, failures


def _failures(budget: Budget, view: GuardView, space: Target | None) -> str:
    limit = budget.failures
    if limit is None:
        return ""
    since = _since(limit, view, space)
    count = sum(each.at > since and space in (None, each.target.space) for each in view.failed)
    return f"{count} failed runs{_in(space)}, the budget is {limit}" if count >= limit.count else ""


def _since(limit: Rate | Share, view: GuardView, space: Target | None) -> datetime:
    """From when on it counts: within the window, and since the brake there was last released."""
    begins = view.now - limit.window
    released = view.released.get(_value(space))
    return begins if released is None else max(begins, released)


def _tripped(books: Sequence[Rulebook], space: Target | None, key: BudgetKey, detail: str) -> Tripped:
    lengths = [book.brake.release_after for book in books]
    length = None if None in lengths else max(each for each in lengths if each is not None)
    scope = PauseScope.ALL if space is None else PauseScope.TARGET
    return Tripped(scope, _value(space), key, detail, length)


def _value(space: Target | None) -> str:
    return "" if space is None else str(space)


def _in(space: Target | None) -> str:
    return "" if space is None else f" in {space}"
