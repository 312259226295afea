"""Explains: finds what somebody asks about, and gathers why it went as it did."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Final

from remediator.core.changes import DecisionFilter, DecisionRow, EpisodeFilter, RunRow
from remediator.core.coverage import touches
from remediator.core.episodes import Episode
from remediator.core.explaining import (
    AlertExplained,
    EpisodeStory,
    Explanation,
    GuardsNow,
    NotTaken,
    RuleExplained,
    RulesAsked,
    RunExplained,
    rules_asked,
)
from remediator.core.guards import Question, ask_at_decision
from remediator.core.ids import EpisodeId, RulebookHash, RunId
from remediator.core.matchers import Matcher, MatcherError, Operator, parse_selection
from remediator.core.ports.store import Store
from remediator.core.rules import Mode, Rule, Rulebook
from remediator.core.runs import Run
from remediator.core.targets import Target, TargetError, parse_target
from remediator.engine.rulebooks import Rulebooks

_RUN: Final = re.compile(r"[A-Za-z0-9-]{1,40}")
#: A shorter number is an episode's, and a shorter word may begin anything.
_LEAST_OF_FINGERPRINT = 6
#: Episodes, decisions and targets that an explanation tells of, and alerts that a rule is held against.
_EPISODES, _DECISIONS, _TARGETS, _ALERTS, _NOT_TAKEN = 3, 10, 5, 100, 10
#: Decisions on one episode: one that waits is decided on every few seconds.
_ON_ONE = 200
_PAGE = 500


class SeveralRunsError(ValueError):
    """More than one run's id begins so; ``ids`` are the first of them."""

    def __init__(self, prefix: str, ids: Sequence[RunId]) -> None:
        super().__init__(f"several runs begin with {prefix}: {', '.join(ids)}")


class NotKnownError(LookupError):
    """There is nothing of that name; the message says what there is that is called alike."""


class Explainer:
    """Answers why something was done, or was not, from the ledger alone."""

    def __init__(self, store: Store, rulebooks: Rulebooks, mode: Mode) -> None:
        self._store = store
        self._rulebooks = rulebooks
        self._mode = mode

    async def explain(self, of: str) -> Explanation:
        """The run, episode, rule or alert that this names, tried in this order.

        A run by the beginning of its id, an episode by its number, a rule by its present or an earlier name,
        alerts by a fingerprint or its beginning, by their name, or by matchers.

        Raises:
            NotKnownError: it names none of them.
            SeveralRunsError: several runs' ids begin so.
        """
        found = (
            await self._run(of)
            or await self._episode(of)
            or await self._rule(of)
            or await self._by_fingerprint(of)
            or await self._by_labels(of)
        )
        if found is None:
            raise NotKnownError(await self._unknown(of))
        return found

    async def _unknown(self, of: str) -> str:
        if of.startswith("r-"):
            return f"there is no run {of}, or it was pruned"
        known = {name for rule in self._rulebooks.active.rulebook.rules for name in rule.names}
        known |= {each.alertname for each in await self._store.episodes(EpisodeFilter(_ALERTS))}
        alike = get_close_matches(of, sorted(known), 1)
        meant = f"; did you mean {alike[0]}?" if alike else ""
        return f"there is no run, episode, rule or alert {of!r}{meant}"

    async def _run(self, prefix: str) -> RunExplained | None:
        found = await self._store.run_row(prefix) if _RUN.fullmatch(prefix) else []
        rows = [row for row in found if row.run.id == prefix] or found
        if len(rows) > 1:
            raise SeveralRunsError(prefix, [row.run.id for row in rows])
        return await self._of_run(rows[0]) if rows else None

    async def _of_run(self, row: RunRow) -> RunExplained:
        first = next((each for each in row.episodes if each.id == row.run.episode), None)
        if first is None:
            return RunExplained(row, ())
        return RunExplained(row, await self._asked(first, await self._decisions_on(first)))

    async def _episode(self, of: str) -> EpisodeStory | None:
        if not (of.isascii() and of.isdecimal() and len(of) < len(str(2**63))):
            return None
        found = await self._store.episodes(EpisodeFilter(1, EpisodeId(int(of))))
        return await self._story(found[0]) if found else None

    async def _by_fingerprint(self, of: str) -> AlertExplained | None:
        if len(of) < _LEAST_OF_FINGERPRINT:
            return None
        return await self._alert(of, await self._store.episodes(EpisodeFilter(_EPISODES, fingerprint=of)))

    async def _by_labels(self, of: str) -> AlertExplained | None:
        try:
            wanted = _selection(of)
        except MatcherError:
            return None
        return await self._alert(of, await self._matching(wanted)) if wanted else None

    async def _alert(self, of: str, episodes: Sequence[Episode]) -> AlertExplained | None:
        if not episodes:
            return None
        return AlertExplained(of, tuple([await self._story(each) for each in episodes]))

    async def _matching(self, wanted: Sequence[Matcher]) -> list[Episode]:
        """The latest episodes that all matchers hold for; the ledger looks only for labels that are equal."""
        equal = {each.name: each.value for each in wanted if each.operator is Operator.EQUAL and each.value}
        found: list[Episode] = []
        before: EpisodeId | None = None
        while len(found) < _EPISODES:
            page = await self._store.episodes(EpisodeFilter(_PAGE, before=before, labels=equal))
            found += [each for each in page if all(one.matches(each.labels) for one in wanted)]
            if len(page) < _PAGE:
                break
            before = page[-1].id
        return found[:_EPISODES]

    async def _story(self, episode: Episode) -> EpisodeStory:
        decisions = await self._decisions_on(episode)
        runs = dict.fromkeys(row.decision.run for row in decisions if row.decision.run is not None)
        found = [await self._store.run(run) for run in runs]
        return EpisodeStory(
            episode,
            tuple(decisions),
            await self._asked(episode, decisions),
            tuple(run for run in found if run is not None),
        )

    async def _decisions_on(self, episode: Episode) -> list[DecisionRow]:
        found = await self._store.decisions(_ON_ONE, wanted=DecisionFilter(episode=episode.id))
        return found[::-1]

    async def _asked(self, episode: Episode, decisions: Sequence[DecisionRow]) -> tuple[RulesAsked, ...]:
        books: dict[RulebookHash, Rulebook | None] = {}
        for row in decisions:
            if row.rulebook not in books:
                books[row.rulebook] = await self._rulebooks.pinned(row.rulebook)
        return rules_asked(episode, decisions, books)

    async def _rule(self, name: str) -> RuleExplained | None:
        book = self._rulebooks.active.rulebook
        rule = book.rule(name)
        names = frozenset({name}) if rule is None else rule.names
        decisions = await self._store.decisions(_DECISIONS, wanted=DecisionFilter(rules=names))
        if rule is None and not decisions:
            return None
        pauses = await self._store.pauses()
        targets = list(dict.fromkeys(_targets(decisions)))[:_TARGETS]
        questions = [] if rule is None else [self._question(rule, book, target) for target in targets]
        places = frozenset(place for each in questions for place in each.places)
        now = await self._store.now()
        return RuleExplained(
            name=name if rule is None else rule.name,
            rule=rule,
            mode=Mode.OBSERVE if rule is None else rule.effective_mode(self._mode),
            counts=tuple(await self._store.decision_counts(names)),
            decisions=tuple(decisions),
            not_taken=tuple(await self._not_taken(names)),
            guards=tuple([await self._guards_now(each) for each in questions]),
            pauses=tuple(each for each in pauses if each.covers(names, places, now)),
            quarantines=tuple(
                each for each in await self._store.quarantines() if touches(each.target, places)
            ),
        )

    def _question(self, rule: Rule, book: Rulebook, target: Target) -> Question:
        return Question(rule, target, rule.effective_mode(self._mode), (book,))

    async def _guards_now(self, question: Question) -> GuardsNow:
        """Ask the guards as a decision would, for a run that is never begun."""
        now = await self._store.now()
        rule = question.rule
        asking = Run(
            id=RunId(""),
            rule=rule.name,
            target=question.target,
            severity="",
            mode=question.mode,
            rulebook=question.books[0].hash,
            episode=EpisodeId(0),
            created_at=now,
            deadline_at=now + rule.deadline,
        )
        view = await self._store.view(asking, question.lookback)
        return GuardsNow(question.target, ask_at_decision(question, view).answers)

    async def _not_taken(self, names: frozenset[str]) -> list[NotTaken]:
        """Of the latest alerts those that the rule gave no decision on, the nearest misses first."""
        found: list[NotTaken] = []
        for episode in await self._store.episodes(EpisodeFilter(_ALERTS)):
            decisions = await self._decisions_on(episode)
            if decisions and not any(row.rule in names for row in decisions):
                asked = await self._asked(episode, decisions)
                accounts = [each for one in asked for each in one.rules if each.rule in names]
                if accounts or not all(one.kept for one in asked):
                    found.append(NotTaken(episode, accounts[-1] if accounts else None))
        return sorted(found, key=_misses)[:_NOT_TAKEN]


def _targets(decisions: Iterable[DecisionRow]) -> Iterator[Target]:
    """Those that this version can read: a newer one may know further kinds."""
    for row in decisions:
        with contextlib.suppress(TargetError):
            yield parse_target(row.target)


def _misses(one: NotTaken) -> int:
    return 0 if one.account is None else one.account.missed


def _selection(text: str) -> tuple[Matcher, ...]:
    """Matchers, the first of which may be an alert's name alone."""
    first, _, rest = text.partition(",")
    if "=" in first or "~" in first:
        return parse_selection(text)
    return (Matcher("alertname", Operator.EQUAL, first.strip()), *parse_selection(rest))
