"""Decide: one episode, one rule, the facts and the guards give one decision with one reason."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from remediator.core.checks import Fact
from remediator.core.durations import format_duration
from remediator.core.episodes import Closed, Episode
from remediator.core.guards import (
    Answer,
    GuardAnswer,
    GuardView,
    PastRun,
    Question,
    Tripped,
    Verdict,
    ask_at_decision,
    stopped_everywhere,
)
from remediator.core.ids import RunId
from remediator.core.manual import request_of
from remediator.core.reasons import Reason
from remediator.core.rules import Mode, Rule
from remediator.core.runs import RunState
from remediator.core.triggers import ripe_at

#: How long a deferred decision waits before it is taken up again, at most.
PARALLEL_RETRY = timedelta(seconds=5)


class DecisionKind(StrEnum):
    """What is to happen with an episode."""

    RUN = "run"
    JOIN = "join"
    DEFER = "defer"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A rule whose matchers held but whose facts did not, so that the next one was asked; and those facts.

    ``target`` is what the facts were asked about; empty where it was not kept.
    """

    rule: str
    facts: tuple[Fact, ...]
    target: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to happen with an episode, and the one reason for it.

    ``run`` is the run to join, or of a kept decision the one that it began; ``not_before`` and ``expires``
    belong to a deferral. ``report`` says whether people are told although nothing runs: every decision but
    run, join and superseded, and a join of a run that did not succeed; what the brake stops is told by the
    brake, in one summary. ``demanded`` and ``tripped`` are as in :class:`Verdict`. ``passed`` are the rules
    that were asked before this one, and did not take the episode. ``too_few`` says that this one has waited
    for further alerts in vain, and the next is asked.
    """

    kind: DecisionKind
    reason: Reason
    detail: str = ""
    run: RunId | None = None
    not_before: datetime | None = None
    expires: datetime | None = None
    mode: Mode = Mode.OBSERVE
    report: bool = False
    page: bool = False
    answers: tuple[GuardAnswer, ...] = field(default=())
    demanded: bool = False
    tripped: tuple[Tripped, ...] = ()
    passed: tuple[PassedOver, ...] = ()
    too_few: bool = False


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why no rule can be asked: no rule matches, the target can't be made, a fact can't be had."""

    reason: Reason
    detail: str


#: Obstacles that want a person at once, by law 6.
_PAGED = frozenset(
    {
        Reason.FACT_ERROR,
        Reason.TARGET_INVALID,
        Reason.COOLDOWN,
        Reason.RATE,
        Reason.TARGETS,
        Reason.PER_TARGET,
        Reason.QUARANTINED,
        Reason.PAGE_ONLY,
        Reason.EXPIRED,
    }
)


#: What is decided about an episode that is over, by how it ended.
_OVER = {
    Closed.RESOLVED: (Reason.RESOLVED, ""),
    Closed.SUPERSEDED: (Reason.SUPERSEDED, ""),
    Closed.VANISHED: (Reason.RESOLVED, "it vanished from Alertmanager, and nobody told of its end"),
    Closed.LAPSED: (Reason.RESOLVED, "it was not told of for long, and no Alertmanager could be asked"),
}
#: Ends of runs that a person was asked about.
_LEFT_BY_PEOPLE = frozenset({Reason.DENIED, Reason.UNANSWERED, Reason.LAPSED})
#: Refusals that come of what a run of ours did to the target, and may have done to the rule's facts.
_OUR_DOING = frozenset({Reason.COOLDOWN, Reason.RATE, Reason.PER_TARGET, Reason.QUARANTINED})


#: A newer episode speaks for the one, the brake for the other.
_UNTOLD = frozenset({Reason.SUPERSEDED, Reason.BRAKE})


def skip(reason: Reason, detail: str = "", answers: tuple[GuardAnswer, ...] = ()) -> Decision:
    """A final no, which is reported unless somebody else tells of it."""
    return Decision(
        DecisionKind.SKIP,
        reason,
        detail,
        report=reason not in _UNTOLD,
        page=reason in _PAGED,
        answers=answers,
    )


def decide(episode: Episode, question: Question | Obstacle, view: GuardView) -> Decision:
    """Decide what one rule does with one episode; pure, so that it may be asked again at will."""
    if episode.closed is not None:
        return skip(*_OVER[episode.closed])
    if isinstance(question, Obstacle):
        return skip(question.reason, question.detail)
    early = too_early(episode, question.rule, view.now)
    if early is not None:
        return _defer(Reason.FIRING_FOR, "", early, expires=early + question.rule.deadline)
    joined = _joined(episode, question, view) if question.rule.steps else None
    if joined is not None:
        return joined
    expires = _begins_at(episode, question, view) + question.rule.deadline
    few = _too_few(question, view)
    if few is not None:
        return _relapsed(question, view, expires) or few
    if not question.rule.steps:
        return skip(Reason.PAGE_ONLY, question.rule.summary)
    return _ask_guards(question, view, expires)


def stands_without_facts(decision: Decision, episode: Episode, view: GuardView) -> bool:
    """Whether a decision holds whatever the rule's facts are, since they may be of our own making.

    An episode that a run takes in, or that comes back after one, must not go to another rule because that
    run changed what this rule asks of the world (law 2).
    """
    if not episode.is_open or decision.kind in (DecisionKind.JOIN, DecisionKind.DEFER):
        return True
    if decision.reason is Reason.BRAKE:
        # Nothing can begin anywhere, and asking on behalf of hundreds would not help in an outage.
        return stopped_everywhere(view.pauses)
    return decision.kind is DecisionKind.SKIP and decision.reason in _OUR_DOING


def too_early(episode: Episode, rule: Rule, now: datetime) -> datetime | None:
    """When the episode will have fired for as long as the rule asks, or ``None`` if it has."""
    ripe = ripe_at(episode, rule)
    return ripe if now < ripe else None


def _begins_at(episode: Episode, question: Question, view: GuardView) -> datetime:
    """When all that the trigger asks for was there: from then on the deadline counts."""
    enough_at = view.standing.enough_at if view.standing is not None else None
    return max(episode.first_seen, ripe_at(episode, question.rule), enough_at or episode.first_seen)


def _too_few(question: Question, view: GuardView) -> Decision | None:
    """What becomes of an episode while the rule counts fewer alerts than it asks for."""
    place, standing = question.place, view.standing
    if place is None:
        return None
    if standing is None:
        return _defer(Reason.COUNT, "not counted yet", view.now, expires=view.now)
    if standing.enough_at is not None:
        return None
    seen = f"{standing.seen} of {place.count.at_least} within {format_duration(place.count.within)}"
    shared = ", ".join(f"{name}={value}" for name, value in place.by)
    if view.now < standing.over_at:
        return _defer(Reason.COUNT, f"{seen} ({shared})", standing.over_at, standing.over_at)
    over = _defer(Reason.COUNT, f"{seen} ({shared}): on to the next rule", view.now, standing.over_at)
    return replace(over, too_few=True)


def _relapsed(question: Question, view: GuardView, expires: datetime) -> Decision | None:
    """One alert is enough to tell that a repair did not last (law 2)."""
    if not question.rule.steps:
        return None
    decision = _ask_guards(question, view, expires)
    return decision if decision.reason is Reason.COOLDOWN else None


def _joined(episode: Episode, question: Question, view: GuardView) -> Decision | None:
    if view.unfinished is not None:
        return Decision(DecisionKind.JOIN, Reason.JOINED, run=view.unfinished.id, mode=view.unfinished.mode)
    for past in (view.last_acted, view.last):
        if past is not None and _covers(past, episode, question, view.now):
            good = past.state in (RunState.SUCCEEDED, RunState.OBSERVED)
            return Decision(
                DecisionKind.JOIN,
                Reason.JOINED_LATE,
                f"{past.id} {past.state.value}",
                run=past.id,
                mode=past.mode,
                report=not good,
            )
    return None


def _covers(past: PastRun, episode: Episode, question: Question, now: datetime) -> bool:
    """Whether a run that ended speaks for an episode too."""
    if past.ended_at is None:
        return False
    # One that failed before it could act would fail again, and who was asked is not asked twice about one
    # outage; what a guard stopped is asked anew.
    if past.reached_intent or past.state is RunState.FAILED or past.reason in _LEFT_BY_PEOPLE:
        return episode.starts_at <= past.ended_at
    # Had it been live, a run that was only observed would be under way or cooling down now. But it changed
    # nothing, so a rule that has gone live since acts for itself.
    recent = past.state is RunState.OBSERVED and now - past.ended_at < question.rule.limits.cooldown
    return recent and question.mode is Mode.OBSERVE and request_of(episode) is None


def _ask_guards(question: Question, view: GuardView, expires: datetime) -> Decision:
    verdict = ask_at_decision(question, view)
    decision = _heeding(verdict, question, view, expires)
    return replace(decision, demanded=verdict.demanded, tripped=verdict.tripped)


def _heeding(verdict: Verdict, question: Question, view: GuardView, expires: datetime) -> Decision:
    objection = verdict.objection
    if objection is None:
        return Decision(
            DecisionKind.RUN,
            Reason.MATCHED,
            question.rule.summary,
            mode=question.mode,
            answers=verdict.answers,
        )
    reason = objection.reason or Reason.MATCHED
    if objection.answer is Answer.REFUSES:
        return skip(reason, objection.detail, verdict.answers)
    if view.now >= expires:
        return skip(Reason.EXPIRED, f"waited for {reason.value}: {objection.detail}", verdict.answers)
    later = min(view.now + PARALLEL_RETRY, expires)
    return _defer(reason, objection.detail, later, expires, verdict.answers)


def _defer(
    reason: Reason,
    detail: str,
    not_before: datetime,
    expires: datetime,
    answers: tuple[GuardAnswer, ...] = (),
) -> Decision:
    return Decision(
        DecisionKind.DEFER, reason, detail, not_before=not_before, expires=expires, answers=answers
    )
