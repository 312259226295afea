"""The dispatcher: episode → rules → facts → decision, in batches, each with its why in the ledger."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from remediator.core.changes import Decided, DecisionRequest, EpisodeWork
from remediator.core.checks import Fact, Said, these
from remediator.core.decide import (
    Decision,
    DecisionKind,
    Obstacle,
    PassedOver,
    decide,
    stands_without_facts,
    too_early,
)
from remediator.core.durations import format_duration
from remediator.core.episodes import Episode
from remediator.core.events import Event, EventKind
from remediator.core.guards import NO_LOOKBACK, GuardView, Question, stopped_everywhere
from remediator.core.ids import EpisodeId, RunId
from remediator.core.manual import override_of, request_of
from remediator.core.paging import Audience
from remediator.core.ports.store import StoreUnavailableError, Topic
from remediator.core.reasons import Reason
from remediator.core.rules import Rule
from remediator.core.runs import Run
from remediator.core.targets import Target, TargetError
from remediator.core.templates import TemplateError
from remediator.core.triggers import in_scope, place_of
from remediator.engine.alarms import Alarms
from remediator.engine.counting import count_deployments, with_count
from remediator.engine.facts import Facts
from remediator.engine.lookers import Lookers
from remediator.engine.loops import Loop
from remediator.engine.manual import conclude
from remediator.engine.parts import EngineParts
from remediator.engine.rulebooks import Book
from remediator.engine.telling import Story, tell_decision, tell_run

_log = structlog.get_logger(__name__)
_BATCH = 200
_AT_ONCE = 20
#: Crockford's base32, in which no two characters look alike.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_run_id() -> RunId:
    """Fifty random bits, short enough to be read out over the phone."""
    bits = secrets.randbits(50)
    return RunId("r-" + "".join([_ALPHABET[bits >> shift & 31] for shift in range(0, 50, 5)]))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One rule's claim to an episode, or what stands in its way.

    ``unasked`` is why the rule's facts were not gathered, where they seemed to make no difference. ``passed``
    are rules before it whose facts did not hold.
    """

    question: Question | Obstacle
    rule: Rule | None = None
    target: Target | None = None
    facts: tuple[Fact, ...] = ()
    told: bool = True
    unasked: Reason | None = None
    passed: tuple[PassedOver, ...] = ()


class DispatcherLoop(Loop):
    """From episodes to decisions, oldest first."""

    name = "dispatcher"
    topic = Topic.EPISODES
    idle = timedelta(milliseconds=500)

    def __init__(self, parts: EngineParts, alarms: Alarms) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts
        self._alarms = alarms
        self.claim = parts.claim
        self._facts = Facts(parts.store, parts.checks)
        self.lookers = Lookers(_AT_ONCE)

    async def work(self) -> bool:
        works = await self.store.undecided(_BATCH, self.claim)
        if works:
            await self.take(works)
        return len(works) == _BATCH

    async def take(self, works: Sequence[EpisodeWork], *, put_off: bool = True) -> None:
        """Decide what can be decided now, and begin to look where facts are needed.

        Facts take time: those who wait for them hold up no other episode; without room they are ``put_off``.
        """
        book = self._parts.rulebooks.active
        now = await self.store.now()
        counts = await self._counts(book)
        quick: list[tuple[EpisodeWork, list[_Candidate]]] = []
        late: list[EpisodeId] = []
        for work in works:
            try:
                rules = _rules_for(work.episode, book)
                if not (counts or any(rule.only_if for rule in rules)):
                    quick.append((work, await self._candidates(work, rules, book, now, counts=False)))
                elif put_off and (self.lookers.behind or not self.lookers.room):
                    late.append(work.episode.id)
                elif not self.lookers.looks_at(work.episode.id):
                    self.lookers.start(work.episode.id, self._look_and_decide(work, rules, book, now))
            except Exception as error:  # noqa: BLE001 - one bad episode never stops the others
                self._set_aside(work, error)
        if late:
            self.lookers.behind = True
            await self.store.wait_for_facts(late)
        await self._decide_each(book, quick)

    async def _counts(self, book: Book) -> bool:
        """Whether Deployments have to be counted for what may begin; in an outage nothing may."""
        return book.rulebook.brake.counts_deployments and not stopped_everywhere(await self.store.pauses())

    async def _decide_each(self, book: Book, works: Sequence[tuple[EpisodeWork, list[_Candidate]]]) -> None:
        """Decide them together, or one by one if that fails: one bad episode never stops the others."""
        try:
            await self._decide(book, works)
        except StoreUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - whichever of them it is, the others must be decided
            if len(works) == 1:
                self._set_aside(works[0][0], error)
                return
            for work in works:
                await self._decide_each(book, [work])

    def _set_aside(self, work: EpisodeWork, error: Exception) -> None:
        """Leave an episode that can't be decided until its claim runs out; people hear of it meanwhile."""
        id_ = work.episode.id
        _log.error("not decided, taken up again later", episode=id_, exc_info=error)
        self._alarms.alarm("episode_undecided", f"episode {id_}: {type(error).__name__}: {error}")

    async def close(self) -> None:
        """Stop looking; what was not decided is found again at the next start."""
        await self.lookers.close()

    async def _look_and_decide(
        self, work: EpisodeWork, rules: Sequence[Rule], book: Book, now: datetime
    ) -> None:
        try:
            try:
                candidates = await self._candidates(work, rules, book, now, counts=True)
            finally:
                # Before it is decided: a deferral may be handed out again before this task has ended.
                self.lookers.looked(work.episode.id)
            await self._decide(book, [(work, candidates)])
        except StoreUnavailableError as error:
            self.metrics.store_failed()
            _log.error("not decided, taken up again later", episode=work.episode.id, error=str(error))
        except Exception as error:  # noqa: BLE001 - one bad episode never stops the others
            self._set_aside(work, error)

    async def _candidates(
        self, work: EpisodeWork, rules: Sequence[Rule], book: Book, now: datetime, *, counts: bool
    ) -> list[_Candidate]:
        """The rules that take this episode: the first that holds, and those after it while it says so."""
        taken: list[_Candidate] = []
        passed: list[PassedOver] = []
        for rule in rules:
            if not rule.names.isdisjoint(work.passed):
                continue
            if rule.names.isdisjoint(work.decided):
                candidate = await self._candidate(rule, work.episode, book, now, counts=counts)
                if isinstance(candidate, PassedOver):
                    passed.append(candidate)
                    continue
                taken.append(replace(candidate, passed=tuple(passed)))
                passed.clear()
                if isinstance(candidate.question, Obstacle):
                    break
            if not rule.goes_on:
                break
        if not taken:
            # Not told if another rule took it: this one was deferred, and its facts changed since.
            nothing = Obstacle(Reason.NO_RULE, _no_rule(rules))
            taken.append(_Candidate(nothing, told=not work.decided, passed=tuple(passed)))
        return taken

    async def _candidate(
        self, rule: Rule, episode: Episode, book: Book, now: datetime, *, counts: bool
    ) -> _Candidate | PassedOver:
        values = in_scope(rule, episode)
        try:
            target = rule.target.render(values)
        except (TemplateError, TargetError) as error:
            return _Candidate(Obstacle(Reason.TARGET_INVALID, f"{rule.name}: {error}"), rule)
        mode, override = rule.effective_mode(self._parts.mode), override_of((episode,))
        place = place_of(episode, rule)
        question = Question(rule, target, mode, (book.rulebook,), override=override, place=place)
        begins = False
        if rule.only_if or (counts and question.uncounted):
            unasked = _Candidate(question, rule, target, unasked=Reason.FIRING_FOR)
            if not episode.is_open or too_early(episode, rule, now) is not None:
                return unasked
            view = await self.store.view(
                _new_run(_request(episode, unasked, book, last=True), question, now), question.lookback
            )
            peeked = decide(episode, question, view)
            begins = peeked.kind is DecisionKind.RUN
            if peeked.reason is Reason.COUNT:
                return replace(unasked, unasked=Reason.COUNT)
            decided = peeked.kind is not DecisionKind.DEFER and stands_without_facts(peeked, episode, view)
            if rule.only_if and decided:
                return replace(unasked, unasked=peeked.reason)
        facts = await self._facts.gather(rule.only_if, target, these(episode), values)
        if begins and question.uncounted and all(fact.holds for fact in facts):
            facts = (*facts, await count_deployments(self._facts, question, these(episode)))
            question = with_count(question, facts[-1])
        if all(fact.holds for fact in facts):
            return _Candidate(question, rule, target, facts)
        if facts[-1].answer.said is Said.ERROR:
            obstacle = Obstacle(Reason.FACT_ERROR, f"{facts[-1].check}: {facts[-1].answer.detail}")
            return _Candidate(obstacle, rule, target, facts)
        return PassedOver(rule.name, facts, str(target))

    async def _decide(self, book: Book, works: Sequence[tuple[EpisodeWork, list[_Candidate]]]) -> None:
        questions: dict[RunId, _Candidate] = {}
        requests = []
        for work, some in works:
            for position, candidate in enumerate(some):
                request = _request(work.episode, candidate, book, last=position == len(some) - 1)
                questions[request.run] = candidate
                requests.append(request)

        def judge(request: DecisionRequest, view: GuardView) -> Decided:
            candidate = questions[request.run]
            return _judged(request, candidate, view, self._parts.audience(book.rulebook, candidate.rule))

        for request, decided in zip(requests, await self.store.decide(requests, judge), strict=True):
            self.metrics.decided(decided.decision.kind, decided.decision.reason)
            if decided.decision.kind is DecisionKind.SKIP:
                await conclude(self.store, request.episode)


class LateLoop(Loop):
    """From episodes that were put off for want of room to decisions, as room comes, oldest first."""

    name = "late"
    topic = Topic.FACTS

    def __init__(self, dispatcher: DispatcherLoop) -> None:
        super().__init__(dispatcher.store, dispatcher.metrics)
        self._dispatcher = dispatcher

    async def work(self) -> bool:
        lookers = self._dispatcher.lookers
        room = await lookers.some_room()
        works = await self.store.undecided(room, self._dispatcher.claim, for_facts=True)
        lookers.behind = len(works) == room
        if works:
            await self._dispatcher.take(works, put_off=False)
        return bool(works)


def _rules_for(episode: Episode, book: Book) -> Sequence[Rule]:
    """The rules whose matchers hold, in order; for a person's request the one that was asked for."""
    request = request_of(episode)
    if request is None:
        return book.index.matching(episode.labels)
    asked = book.rulebook.rule(request.rule)
    return [] if asked is None else [asked]


def _no_rule(rules: Sequence[Rule]) -> str:
    if not rules:
        return "no rule's matchers hold"
    names = ", ".join(rule.name for rule in rules)
    return f"matchers hold for {names}, but not all else that they ask for (only_if, count)"


def _request(episode: Episode, candidate: _Candidate, book: Book, *, last: bool) -> DecisionRequest:
    return DecisionRequest(
        episode=episode,
        rule=candidate.rule.name if candidate.rule else "",
        target=candidate.target,
        severity=book.rulebook.severity_of(candidate.rule, episode.labels),
        rulebook=book.rulebook.hash,
        run=new_run_id(),
        facts=candidate.facts,
        last=last,
        lookback=candidate.question.lookback if isinstance(candidate.question, Question) else NO_LOOKBACK,
    )


def _judged(request: DecisionRequest, candidate: _Candidate, view: GuardView, audience: Audience) -> Decided:
    decision = decide(request.episode, candidate.question, view)
    if not candidate.told:
        decision = replace(decision, report=False, page=False)
    asked = candidate.question
    uncounted = decision.kind is DecisionKind.RUN and isinstance(asked, Question) and asked.uncounted
    if uncounted or (
        candidate.unasked is not None and not stands_without_facts(decision, request.episode, view)
    ):
        # The world moved on since the facts seemed to make no difference.
        decision = _ask_again(request, candidate, view)
    decision = replace(decision, passed=candidate.passed)
    event = _decision_event(request, decision, view.now)
    if decision.kind is DecisionKind.RUN and isinstance(candidate.question, Question):
        run = _new_run(request, candidate.question, view.now)
        created = Event(
            EventKind.RUN_CREATED,
            view.now,
            {"detail": _created_detail(request, candidate.question), "mode": run.mode.word},
            episode=request.episode.id,
            run=run.id,
            rule=run.rule,
            target=str(run.target),
        )
        story = Story(
            run,
            candidate.question.rule.summary,
            audience,
            (request.episode,),
            request.facts,
            events=(created,),
            answers=decision.answers,
        )
        # Where a person is asked first, the request is what they hear.
        told = tell_run(story) if candidate.question.approval is None else ()
        return Decided(decision, run, (event, created), told)
    envelopes = tell_decision(decision, request, audience)
    return Decided(decision, None, (event, *_joined_event(request, decision, view.now)), envelopes)


def _ask_again(request: DecisionRequest, candidate: _Candidate, view: GuardView) -> Decision:
    return Decision(
        DecisionKind.DEFER,
        candidate.unasked or Reason.FIRING_FOR,
        "its facts have to be asked for after all",
        not_before=view.now,
        expires=request.episode.first_seen,
    )


def _created_detail(request: DecisionRequest, question: Question) -> str:
    asked = request_of(request.episode)
    if asked is not None:
        return f"{asked.who} asked for {request.rule}: {asked.why}"
    matched = f"{request.episode.alertname} matched {request.rule}"
    if question.place is None:
        return matched
    count = question.place.count
    return f"{matched}, {count.at_least} alerts within {format_duration(count.within)}"


def _new_run(request: DecisionRequest, question: Question, now: datetime) -> Run:
    return Run(
        id=request.run,
        rule=question.rule.name,
        target=question.target,
        severity=request.severity,
        mode=question.mode,
        rulebook=request.rulebook,
        episode=request.episode.id,
        created_at=now,
        deadline_at=now + question.rule.deadline,
    )


def _decision_event(request: DecisionRequest, decision: Decision, now: datetime) -> Event:
    data: dict[str, object] = {"kind": decision.kind.value, "reason": decision.reason.value}
    if decision.detail:
        data["detail"] = decision.detail
    return Event(
        EventKind.DECISION_MADE,
        now,
        data,
        episode=request.episode.id,
        run=request.run if decision.kind is DecisionKind.RUN else decision.run,
        rule=request.rule or None,
        target=str(request.target) if request.target else None,
    )


def _joined_event(request: DecisionRequest, decision: Decision, now: datetime) -> tuple[Event, ...]:
    if decision.kind is not DecisionKind.JOIN:
        return ()
    who = request.episode.labels.get("instance") or request.episode.fingerprint
    data = {"detail": f"{request.episode.alertname} {who}"}
    return (Event(EventKind.RUN_JOINED, now, data, request.episode.id, decision.run, request.rule),)
