"""What a simulation knows of the world: what checks answered then. What was not stored is never guessed.

An answer that was not stored is given twice, in a simulation each: as the rule expects it, and the other way
round. What comes out the same in both does not depend on it; all else is undetermined.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from remediator.core.alerts import AlertKey
from remediator.core.checks import CheckAnswer, CheckContext, Fact, Said
from remediator.core.episodes import Episode
from remediator.core.manual import request_of
from remediator.core.ports.actions import (
    Action,
    ActionContext,
    ActionSpec,
    Check,
    CheckSpec,
    ParameterError,
    Plan,
    Probe,
    Result,
    Sighting,
)
from remediator.core.rule_index import RuleIndex
from remediator.core.rules import Condition, Expect, Rule, Rulebook
from remediator.core.runs import Outcome
from remediator.core.targets import Target, TargetError
from remediator.core.templates import TemplateError
from remediator.core.triggers import in_scope
from remediator.engine.facts import render

#: A simulated alert arrives when it arrived then, but for what a clock's fractions are rounded by.
_SLACK = timedelta(seconds=1)
#: So long a step is taken to last, or half its timeout if that is less.
STEP_TAKES = timedelta(seconds=30)
_OTHER = {Said.YES: Said.NO, Said.NO: Said.YES}


@dataclass(frozen=True, slots=True)
class Remembered:
    """A fact as it was stored, with the episode and the target that it is about."""

    key: AlertKey
    first_seen: datetime
    target: str
    fact: Fact


@dataclass(frozen=True, slots=True)
class Unknown:
    """What a rule asked of the world, and nobody stored the answer to."""

    rule: str
    check: str
    params: str
    target: str

    @property
    def line(self) -> str:
        """Which check on which rule, in words."""
        return f"{self.check}{f' ({self.params})' if self.params else ''} on {self.target}, for {self.rule}"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The condition of a rule that a look is for, as far as it can be told."""

    rule: Rule
    condition: Condition


@dataclass(slots=True)
class Recollection:
    """The checks and actions of one simulation.

    ``assumed`` are answers that stand in for those that were not stored. ``held`` says whether those that
    nobody knows are as the first rule that asks expects them. ``unknown`` are these, by the episode's key and
    when it was first seen.
    """

    rulebook: Rulebook
    check_specs: Mapping[str, CheckSpec]
    action_specs: Mapping[str, ActionSpec]
    remembered: Mapping[AlertKey, list[Remembered]]
    assumed: Mapping[str, Said] = field(default_factory=dict)
    held: bool = True
    unknown: dict[tuple[AlertKey, datetime], list[Unknown]] = field(default_factory=dict)
    _index: RuleIndex = field(init=False)
    _repaired: dict[Target, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._index = RuleIndex(self.rulebook.rules)

    @property
    def checks(self) -> Mapping[str, Check]:
        """Every check by name."""
        return {name: _Recalled(spec, self) for name, spec in self.check_specs.items()}

    @property
    def actions(self) -> Mapping[str, Action]:
        """Every action by name: it changes nothing, and is taken to work."""
        return {name: _Pretended(spec, self) for name, spec in self.action_specs.items()}

    def repair(self, target: Target, at: datetime) -> None:
        """A simulated run acts on a target: from now on its proof holds."""
        self._repaired[target] = at

    async def answer(self, spec: CheckSpec, context: CheckContext) -> CheckAnswer:
        """What the check said then; else what is assumed; else one of two answers."""
        episodes = [each async for page in context.episodes() for each in page]
        episode = episodes[0]
        if self._proves_repair(spec, context, episodes):
            return CheckAnswer(Said.YES, "assumed: what a simulated run does, works")
        known = self._stored(spec, context, episode)
        if known is not None:
            return known
        if spec.name in self.assumed:
            return CheckAnswer(self.assumed[spec.name], "assumed by --assume")
        wanted = self._wanted(spec, context, episode)
        self._note(spec, context, episode, wanted)
        expected = Said.YES if wanted is None or wanted.condition.expect is Expect.YES else Said.NO
        return CheckAnswer(expected if self.held else _OTHER[expected], "undetermined: not stored")

    def _proves_repair(self, spec: CheckSpec, context: CheckContext, episodes: Sequence[Episode]) -> bool:
        at = self._repaired.get(context.target)
        if at is None or all(episode.first_seen > at for episode in episodes):
            return False
        rules = self._rules_for(episodes[0])
        proofs = [rule.verify for rule in rules if rule.verify is not None]
        return any(check.check == spec.name for verify in proofs for check in verify.checks)

    def _stored(self, spec: CheckSpec, context: CheckContext, episode: Episode) -> CheckAnswer | None:
        found = [
            each.fact
            for each in self.remembered.get(episode.key, ())
            if abs(each.first_seen - episode.first_seen) <= _SLACK
            and each.fact.check == spec.name
            and each.target == str(context.target)
            and _parsed(spec, each.fact.params) == context.params
        ]
        return found[-1].answer if found else None

    def _wanted(self, spec: CheckSpec, context: CheckContext, episode: Episode) -> _Wanted | None:
        for rule in self._rules_for(episode):
            for condition in rule.only_if:
                if condition.check == spec.name and _is_about(rule, condition, spec, context, episode):
                    return _Wanted(rule, condition)
        return None

    def _rules_for(self, episode: Episode) -> Sequence[Rule]:
        request = request_of(episode)
        if request is None:
            return self._index.matching(episode.labels)
        asked = self.rulebook.rule(request.rule)
        return () if asked is None else (asked,)

    def _note(self, spec: CheckSpec, context: CheckContext, episode: Episode, wanted: _Wanted | None) -> None:
        written = wanted.condition.params if wanted else {}
        params = ", ".join(f"{name}: {value}" for name, value in written.items())
        rule = wanted.rule.name if wanted else "the brake"
        unknown = Unknown(rule, spec.name, params, str(context.target))
        noted = self.unknown.setdefault((episode.key, episode.first_seen), [])
        if unknown not in noted:
            noted.append(unknown)


def by_alert(remembered: Iterable[Remembered]) -> dict[AlertKey, list[Remembered]]:
    """What is remembered, by the alert that it is about."""
    found: dict[AlertKey, list[Remembered]] = {}
    for each in remembered:
        found.setdefault(each.key, []).append(each)
    return found


def _is_about(
    rule: Rule, condition: Condition, spec: CheckSpec, context: CheckContext, episode: Episode
) -> bool:
    values = in_scope(rule, episode)
    try:
        about = rule.target.render(values)
        return about == context.target and _parsed(spec, render(condition.params, values)) == context.params
    except (TemplateError, TargetError):
        return False


def _parsed(spec: CheckSpec, params: Mapping[str, object]) -> object:
    try:
        return spec.parse(params, False)
    except ParameterError:
        return None


class _Recalled:
    """A check that is not asked any more."""

    def __init__(self, spec: CheckSpec, of: Recollection) -> None:
        self.spec = spec
        self._of = of

    async def look(self, context: CheckContext) -> CheckAnswer:
        return await self._of.answer(self.spec, context)


class _Pretended:
    """An action that changes nothing, and is taken to work in a while."""

    def __init__(self, spec: ActionSpec, of: Recollection) -> None:
        self.spec = spec
        self._of = of

    async def plan(self, context: ActionContext) -> Plan:
        return Plan(f"{self.spec.name} on {context.target}", "")

    async def apply(self, context: ActionContext, plan: Plan) -> Result:
        length = min(STEP_TAKES, (context.deadline - context.now) / 2)
        await asyncio.sleep(length.total_seconds())
        self._of.repair(context.target, context.now + length)
        return Result(Outcome.SUCCEEDED, plan.summary)

    async def probe(self, context: ActionContext, plan: Plan) -> Probe:
        del context
        return Probe(Sighting.HAPPENED, plan.summary)
