"""Simulation: webhooks that came in once, against a rulebook, touching nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from remediator.core.alerts import AlertKey
from remediator.core.changes import DecisionRow
from remediator.core.checks import Said
from remediator.core.decide import DecisionKind
from remediator.core.episodes import Episode
from remediator.core.guards import Answer, GuardAnswer
from remediator.core.ids import EpisodeId
from remediator.core.ports.actions import ActionSpec, CheckSpec
from remediator.core.ports.channels import RulebookSource, RuleFiles
from remediator.core.ports.store import Store
from remediator.core.reasons import Reason
from remediator.core.rules import Mode, Rule, Rulebook
from remediator.core.templates import TemplateError
from remediator.core.triggers import in_scope
from remediator.engine.facts import render
from remediator.rehearse.clockwork import Clockwork
from remediator.rehearse.posts import Post
from remediator.rehearse.recollection import Recollection, Remembered, Unknown, by_alert
from remediator.rehearse.rehearsal import Recording, Rehearsal, Surroundings
from remediator.rehearse.unheard import Unheard

#: What a run of a simulation is called: nobody ever sees it.
_RUN_ID = re.compile(r"\br-[0-9a-z]{10}\b")
_LEAD = timedelta(seconds=1)
#: Reasons that come of what runs before did: in a simulation these are assumed to have worked.
_OF_RUNS = frozenset(
    {
        Reason.JOINED,
        Reason.JOINED_LATE,
        Reason.COOLDOWN,
        Reason.RATE,
        Reason.TARGETS,
        Reason.PER_TARGET,
        Reason.PARALLEL,
        Reason.BRAKE,
        Reason.LEASE,
    }
)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step with its parameters as they would be; what a step before it gives is left as it is written."""

    action: str
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Choice:
    """What one rule would decide on an episode, with the guards that did not allow it.

    ``assumes`` says that it comes of what simulated runs did before. ``steps`` are those of a run.
    """

    rule: str
    kind: DecisionKind
    reason: Reason
    detail: str
    target: str
    mode: Mode
    at: datetime
    guards: tuple[GuardAnswer, ...] = ()
    steps: tuple[PlannedStep, ...] = ()
    assumes: bool = False

    @property
    def gist(self) -> tuple[object, ...]:
        """What has to be equal for two to be the same."""
        return self.rule, self.kind, self.reason, self.target, self.mode, repr(self.steps)


Choices = tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Simulated:
    """What would be decided on an episode.

    ``unknown`` is what was asked about it and not stored. With it, or where what was not stored about others
    makes a difference, it is undetermined: ``choices`` are then those if all that is not known were as the
    rules ask, and ``otherwise`` those if nothing were.
    """

    episode: Episode
    choices: Choices
    otherwise: Choices = ()
    unknown: tuple[Unknown, ...] = ()
    undetermined: bool = False


@dataclass(frozen=True, slots=True)
class Simulation:
    """What would be decided on each episode, oldest first. ``assumed`` and ``live`` are the simulator's.

    ``left_out`` counts alerts that Alertmanager left out of its webhooks, so that nothing is known of them.
    """

    rulebook: Rulebook
    episodes: tuple[Simulated, ...]
    posts: int
    assumed: Mapping[str, Said] = field(default_factory=dict)
    live: bool = False
    left_out: int = 0
    problems: tuple[str, ...] = ()

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How many episodes have each kind of decision and reason; undetermined ones are counted as such."""
        found: Counter[tuple[str, str]] = Counter()
        for each in self.episodes:
            if each.undetermined:
                found["undetermined", ""] += 1
            else:
                found.update((choice.kind.value, choice.reason.value) for choice in each.choices)
        return found


@dataclass(frozen=True, slots=True)
class Difference:
    """An episode on which two rulebooks decide, or may decide, otherwise."""

    before: Simulated
    after: Simulated

    @property
    def undetermined(self) -> bool:
        """Whether that depends on what was not stored."""
        return self.before.undetermined or self.after.undetermined


_Key = tuple[AlertKey, datetime]


@dataclass(frozen=True, slots=True)
class _Played:
    """What one play of the past came to, by the episodes' keys and when they were first seen."""

    told: Mapping[_Key, tuple[Episode, Choices]]
    unknown: Mapping[_Key, Sequence[Unknown]]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Simulator:
    """Simulates the same past against any rulebook.

    ``make_store`` makes an empty ledger, as for :class:`Rehearsal`. ``live`` takes every rule for one that is
    live. ``remembered`` are the facts that were stored, ``assumed`` answers in place of those that were not.
    """

    posts: Sequence[Post]
    check_specs: Mapping[str, CheckSpec]
    action_specs: Mapping[str, ActionSpec]
    make_store: Callable[[Callable[[], datetime], Callable[[], float]], Store]
    remembered: Sequence[Remembered] = ()
    assumed: Mapping[str, Said] = field(default_factory=dict)
    mode: Mode = Mode.LIVE
    live: bool = False

    def simulate(self, rules: RulebookSource) -> Simulation:
        """What would be decided by these rules.

        Raises:
            RulebookError: they can't be used.
        """
        source = _Approved(rules, live=self.live)
        rulebook = source.compile(source.read())
        facts = by_alert(self.remembered)
        unheard = Unheard(rulebook)
        posts = unheard.heard(self.posts)
        teller = _Teller(rulebook, self.mode)
        plays = [self._play(source, teller, posts, facts, held=True)]
        if plays[0].unknown:
            plays.append(self._play(source, teller, posts, facts, held=False))
        episodes = [*_compared(plays[0], plays[-1]), *teller.tell_unheard(unheard)]
        return Simulation(
            rulebook,
            tuple(sorted(episodes, key=lambda each: each.episode.first_seen)),
            len(self.posts),
            self.assumed,
            self.live,
            sum(post.left_out for post in self.posts),
            tuple(problem for play in plays for problem in play.problems),
        )

    def _play(
        self,
        source: RulebookSource,
        teller: _Teller,
        posts: Sequence[Post],
        facts: Mapping[AlertKey, list[Remembered]],
        *,
        held: bool,
    ) -> _Played:
        recollection = Recollection(
            teller.rulebook, self.check_specs, self.action_specs, facts, self.assumed, held=held
        )
        around = Surroundings(recollection.actions, recollection.checks, mode=self.mode, telling=False)
        began = min((post.at for post in posts), default=None)
        clockwork = Clockwork() if began is None else Clockwork(began - _LEAD)
        rehearsal = Rehearsal(clockwork, self.make_store, source, around)
        for post in posts:
            rehearsal.post(post.at, post.body, post.source)
        recording = rehearsal.play()
        return _Played(teller.tell(recording), recollection.unknown, recording.problems)


def _compared(held: _Played, failed: _Played) -> Iterator[Simulated]:
    """What comes out the same, whatever it is that is not known, and what does not."""
    for key, (episode, choices) in held.told.items():
        otherwise = failed.told[key][1] if key in failed.told else ()
        unknown = tuple(dict.fromkeys([*held.unknown.get(key, ()), *failed.unknown.get(key, ())]))
        differs = [each.gist for each in choices] != [each.gist for each in otherwise]
        undetermined = bool(unknown) or differs
        yield Simulated(episode, choices, otherwise if undetermined else (), unknown, undetermined)


def differences(before: Simulation, after: Simulation) -> list[Difference]:
    """The episodes on which two simulations of the same past differ, or may differ; oldest first."""
    known = {(each.episode.key, each.episode.first_seen): each for each in before.episodes}
    pairs = (
        (known.get((each.episode.key, each.episode.first_seen), Simulated(each.episode, ())), each)
        for each in after.episodes
    )
    return [Difference(was, each) for was, each in pairs if _gist(was) != _gist(each)]


def _gist(it: Simulated) -> tuple[object, ...]:
    return tuple(each.gist for each in it.choices), tuple(each.gist for each in it.otherwise)


@dataclass(frozen=True, slots=True)
class _Approved:
    """Rules as if whoever is asked approved at once, and nobody listened; and as if all were ``live``."""

    rules: RulebookSource
    live: bool

    def read(self) -> RuleFiles:
        return self.rules.read()

    def compile(self, files: RuleFiles) -> Rulebook:
        book = self.rules.compile(files)
        rules = tuple(self._as_if(rule) for rule in book.rules)
        return replace(book, rules=rules, default_report=())

    def _as_if(self, rule: Rule) -> Rule:
        mode = Mode.LIVE if self.live or rule.mode is Mode.APPROVE else rule.mode
        return replace(rule, approval=None, mode=mode, report=(), escalate=())


@dataclass(frozen=True, slots=True)
class _Teller:
    """Tells of a recording what was decided on each episode."""

    rulebook: Rulebook
    mode: Mode

    def tell_unheard(self, unheard: Unheard) -> Iterator[Simulated]:
        for episode, made in unheard.decided():
            yield Simulated(
                episode, (Choice("", made.kind, made.reason, made.detail, "", made.mode, episode.first_seen),)
            )

    def tell(self, recording: Recording) -> dict[_Key, tuple[Episode, Choices]]:
        latest: dict[EpisodeId, dict[str, DecisionRow]] = {}
        for row in recording.decisions:
            latest.setdefault(row.episode, {})[row.rule] = row
        told = {}
        for episode in recording.episodes:
            rows = sorted(latest.get(episode.id, {}).values(), key=lambda row: row.id)
            told[episode.key, episode.first_seen] = episode, self._choices(episode, rows)
        return told

    def _choices(self, episode: Episode, rows: Sequence[DecisionRow]) -> Choices:
        final = [row for row in rows if row.decision.kind is not DecisionKind.DEFER]
        return tuple(self._choice(episode, row) for row in final or rows)

    def _choice(self, episode: Episode, row: DecisionRow) -> Choice:
        made, rule = row.decision, self.rulebook.rule(row.rule) if row.rule else None
        acts = rule is not None and rule.effective_mode(self.mode) is not Mode.OBSERVE
        return Choice(
            rule=row.rule,
            kind=made.kind,
            reason=made.reason,
            detail=_RUN_ID.sub("a run", made.detail),
            target=row.target,
            mode=made.mode,
            at=row.at,
            guards=tuple(each for each in made.answers if each.answer is not Answer.ALLOWS),
            steps=_steps(rule, episode) if rule and made.kind is DecisionKind.RUN else (),
            assumes=acts and made.reason in _OF_RUNS,
        )


def _steps(rule: Rule, episode: Episode) -> tuple[PlannedStep, ...]:
    values = in_scope(rule, episode)
    return tuple(PlannedStep(step.action, _rendered(step.params, values)) for step in rule.steps)


def _rendered(params: Mapping[str, object], values: Mapping[str, object]) -> Mapping[str, object]:
    try:
        return render(params, values)
    except TemplateError:
        return params
