"""Decisions as rows, and the judging of requests one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from remediator.core.changes import (
    Decided,
    DecisionRequest,
    DecisionRow,
    EpisodeWork,
    Past,
    PastEpisode,
    ReasonCount,
)
from remediator.core.checks import Fact
from remediator.core.decide import Decision, DecisionKind
from remediator.core.episodes import Episode
from remediator.core.events import Event
from remediator.core.guards import Pause
from remediator.core.ids import DecisionId, EpisodeId, RulebookHash, RunId
from remediator.core.notices import Envelope
from remediator.core.ports.store import Judge
from remediator.core.reasons import Reason
from remediator.core.runs import Run
from remediator.core.targets import Target
from remediator.store.common.codecs import Row, as_json, decision, fact, micros, moment
from remediator.store.common.counts import Counting
from remediator.store.common.episodes import closed_words, episode_from
from remediator.store.common.surroundings import Surroundings, pause_of
from remediator.store.common.unread import Reading, readable

COLUMNS = "id, episode, rule, target, at, rulebook, decision, run"
INSERTED = "id, episode, rule, target, at, kind, reason, final, rulebook, run, decision"
#: As many of the decisions by which a run's alerts waited for each other are part of its story.
MOST_WAITING = 20
FACTS_INSERTED = "decision, position, check_name, said, fact"


#: The columns of :func:`count_from`; names are those of a rule, of which the latest decisions are counted.
COUNTED = "kind, reason, count(*) AS times, max(at)"


def count_from(row: Row) -> ReasonCount:
    kind, reason, times, latest = row
    return ReasonCount(DecisionKind(kind), Reason(reason), times, moment(latest))


def rules_by_episode(rows: Iterable[Row]) -> dict[EpisodeId, set[str]]:
    """The rules that each episode has, of rows (episode, rule)."""
    found: dict[EpisodeId, set[str]] = {}
    for episode, rule in rows:
        found.setdefault(EpisodeId(episode), set()).add(rule)
    return found


@dataclass(frozen=True, slots=True)
class PastPage:
    """One page of the past; its rows are in the order of time, so that the first that is too old ends it."""

    episodes: tuple[Episode, ...]
    before: EpisodeId | None

    @classmethod
    def of(cls, reading: Reading, rows: Sequence[Row], since: datetime | None, limit: int) -> PastPage:
        """The page that rows of :data:`~remediator.store.common.episodes.COLUMNS` make, newest first."""
        found = readable(reading, "episodes", rows, episode_from)
        young = tuple(each for each in found if since is None or each.first_seen >= since)
        more = len(rows) == limit and len(young) == len(found)
        return cls(young, EpisodeId(rows[-1][0]) if more else None)

    def with_decisions(self, decisions: Iterable[DecisionRow]) -> Past:
        """The page, with the decisions on each."""
        on: dict[EpisodeId, list[DecisionRow]] = {}
        for row in decisions:
            on.setdefault(row.episode, []).append(row)
        return Past(
            tuple(PastEpisode(each, tuple(on.get(each.id, ()))) for each in self.episodes), self.before
        )


def works(episodes: Iterable[Episode], final: Iterable[Row], passed: Iterable[Row]) -> list[EpisodeWork]:
    """Episodes to be decided, with the rules that gave their final answer, and those that passed them on."""
    decided, gone = rules_by_episode(final), rules_by_episode(passed)
    return [
        EpisodeWork(each, frozenset(decided.get(each.id, ())), frozenset(gone.get(each.id, ())))
        for each in episodes
    ]


def moved_on(episodes: Iterable[Episode], rows: Iterable[Row]) -> list[EpisodeId]:
    """The episodes that changed since they were handed out: what resolved meanwhile must not begin a run.

    ``rows`` are (id, starts_at, last_seen, closed, repeats) as they are now.
    """
    known = {
        episode.id: (
            micros(episode.starts_at),
            micros(episode.last_seen),
            closed_words(episode.closed)[0],
            episode.repeats,
        )
        for episode in episodes
    }
    return [EpisodeId(id_) for id_, *now in rows if tuple(now) != known[id_]]


def decision_rows_from(reading: Reading, rows: Iterable[Row], fact_rows: Iterable[Row]) -> list[DecisionRow]:
    facts: dict[int, list[Fact]] = {}
    for id_, known in readable(reading, "facts", fact_rows, lambda row: (row[0], fact(row[1]))):
        facts.setdefault(id_, []).append(known)

    def read(row: Row) -> DecisionRow:
        id_, episode, rule, target, at, rulebook, made, run = row
        return DecisionRow(
            id=DecisionId(id_),
            episode=EpisodeId(episode),
            rule=rule,
            target=target,
            at=moment(at),
            decision=_of_run(decision(made), run),
            rulebook=RulebookHash(rulebook),
            facts=tuple(facts.get(id_, ())),
        )

    return readable(reading, "decisions", rows, read)


def _of_run(made: Decision, run: str | None) -> Decision:
    """A decision to run does not know the run that it begins; its row does."""
    return made if run is None else replace(made, run=RunId(run))


class Judging:
    """Judges requests one after the other in memory; what they entail is then to be written.

    ``changed`` are the episodes that moved on since they were handed out, ``final`` the rules that gave
    their final answer on each, ``around`` what the guards see, ``counting`` what rules have counted,
    ``next_id`` the next decision's id.
    """

    def __init__(
        self,
        judge: Judge,
        now: datetime,
        final: Mapping[EpisodeId, set[str]],
        changed: Mapping[EpisodeId, Episode],
        around: Surroundings,
        counting: Counting,
        next_id: int,
    ) -> None:
        self._judge = judge
        self._final = dict(final)
        self._changed = changed
        self._around = around
        self.counting = counting
        self._next_id = next_id
        self._now = micros(now)
        self._deferred: dict[EpisodeId, datetime] = {}
        self.decisions: list[Row] = []
        self.facts: list[Row] = []
        self.runs: list[Run] = []
        self.joins: list[tuple[RunId, EpisodeId]] = []
        self.events: list[Event] = []
        self.envelopes: list[Envelope] = []
        self.demanded: dict[Target, None] = {}
        self.engaged: list[Pause] = []
        self.stopped: Counter[tuple[str, Target]] = Counter()
        #: From when each episode wants its next decision (microseconds); ``None`` when it had its last.
        self.due: dict[EpisodeId, int | None] = {}

    def judge_all(self, requests: Iterable[DecisionRequest]) -> list[Decided]:
        """Judge them in order, each as its episode is now."""
        current = [
            replace(request, episode=self._changed[request.episode.id])
            if request.episode.id in self._changed
            else request
            for request in requests
        ]
        self.counting.enter(current, moment(self._now))
        return [self._judge_one(request) for request in current]

    def _judge_one(self, request: DecisionRequest) -> Decided:
        episode, place = request.episode.id, request.lookback.place
        view = self._around.view(request.rule, request.target)
        if place is not None:
            view = replace(view, standing=self.counting.standing(place, episode))
        decided = self._judge(request, view)
        if request.rule not in self._final.get(episode, ()):
            self._keep(request, decided)
        if request.last:
            later = self._deferred.get(episode)
            self.due[episode] = None if later is None else micros(later)
        return decided

    def _keep(self, request: DecisionRequest, decided: Decided) -> None:
        run = decided.decision.run if decided.run is None else decided.run.id
        if decided.decision.kind is not DecisionKind.DEFER:
            self._final.setdefault(request.episode.id, set()).add(request.rule)
        elif decided.decision.not_before is not None:
            self._defer(request.episode.id, decided.decision.not_before)
        self._add_rows(request, decided, run)
        if decided.run is not None:
            self.runs.append(decided.run)
            self._around.began(decided.run)
        if request.lookback.place is not None:
            self.counting.heed(request.lookback.place, request.episode.id, decided.decision, run)
        if run is not None:
            self.joins.append((run, request.episode.id))
        self.events.extend(decided.events)
        self.envelopes.extend(decided.envelopes)
        if request.target is not None:
            self._brake(request.rule, request.target, decided.decision)

    def _brake(self, rule: str, target: Target, made: Decision) -> None:
        if made.demanded and self._around.demand(target):
            self.demanded[target] = None
        for tripped in made.tripped:
            pause = pause_of(tripped, moment(self._now))
            self.engaged.append(pause)
            self._around.engage(pause)
        if made.reason is Reason.BRAKE:
            self.stopped[rule, target] += 1

    def _add_rows(self, request: DecisionRequest, decided: Decided, run: RunId | None) -> None:
        id_, made = self._next_id, decided.decision
        self._next_id += 1
        self.decisions.append(
            (
                id_,
                request.episode.id,
                request.rule,
                "" if request.target is None else str(request.target),
                self._now,
                made.kind.value,
                made.reason.value,
                made.kind is not DecisionKind.DEFER,
                request.rulebook,
                run,
                as_json(made),
            )
        )
        self.facts.extend(
            (id_, position, known.check, known.answer.said.value, as_json(known))
            for position, known in enumerate(request.facts)
        )

    def _defer(self, episode: EpisodeId, not_before: datetime) -> None:
        earlier = self._deferred.get(episode, not_before)
        self._deferred[episode] = min(earlier, not_before)
