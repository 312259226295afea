"""Explaining: what each rule made of an episode, from what was stored then; what was not is undetermined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from remediator.core.changes import DecisionRow, ReasonCount, RunRow
from remediator.core.checks import Fact
from remediator.core.episodes import Episode
from remediator.core.guards import GuardAnswer, Pause, Quarantine
from remediator.core.ids import DecisionId, RulebookHash
from remediator.core.manual import request_of
from remediator.core.matchers import Matcher
from remediator.core.reasons import Reason
from remediator.core.rules import AlertTrigger, Mode, Rule, Rulebook
from remediator.core.runs import Run
from remediator.core.targets import Target


class Fate(StrEnum):
    """What became of a rule when an episode was decided on."""

    DECIDED = "decided"
    MATCHERS = "matchers"
    FACTS = "facts"
    TAKEN = "taken"
    TRIGGER = "trigger"
    UNDETERMINED = "undetermined"

    @property
    def meaning(self) -> str:
        """What it says, for people."""
        return _MEANINGS[self]


_MEANINGS = {
    Fate.DECIDED: "it gave a decision",
    Fate.MATCHERS: "a matcher did not hold",
    Fate.FACTS: "its matchers held, but a fact did not",
    Fate.TAKEN: "its matchers hold, but a rule before it had taken the episode",
    Fate.TRIGGER: "no alert triggers it",
    Fate.UNDETERMINED: "undetermined: what it saw was not stored then",
}
#: Decisions after which no other rule is asked, whatever the rule says of going on.
_STOPPED_BY = frozenset({Reason.FACT_ERROR, Reason.TARGET_INVALID})


@dataclass(frozen=True, slots=True)
class MatcherSaw:
    """A matcher and what it saw of the episode's labels; ``value`` is ``None`` where the label is absent."""

    matcher: Matcher
    value: str | None
    holds: bool


@dataclass(frozen=True, slots=True)
class RuleAccount:
    """What one rule made of an episode. ``facts`` are those that did not let it take the episode."""

    rule: str
    standing: Fate
    matchers: tuple[MatcherSaw, ...] = ()
    facts: tuple[Fact, ...] = ()
    decision: DecisionId | None = None

    @property
    def missed(self) -> int:
        """How many of its matchers did not hold."""
        return sum(not each.holds for each in self.matchers)


@dataclass(frozen=True, slots=True)
class RulesAsked:
    """All rules of the rulebook that an episode was decided by, in their order.

    ``kept`` is false where the ledger has that rulebook no more, or this version can't read it: then only
    the rules that gave a decision are known.
    """

    rulebook: RulebookHash
    kept: bool
    rules: tuple[RuleAccount, ...]


@dataclass(frozen=True, slots=True)
class EpisodeStory:
    """An episode, all decisions on it, oldest first, what each rule made of it, and its runs."""

    episode: Episode
    decisions: tuple[DecisionRow, ...]
    asked: tuple[RulesAsked, ...]
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class RunExplained:
    """A run's story, and what each rule made of the episode that began it."""

    row: RunRow
    asked: tuple[RulesAsked, ...]


@dataclass(frozen=True, slots=True)
class AlertExplained:
    """The latest episodes that were asked for by a fingerprint, a name or labels; newest first."""

    asked_for: str
    episodes: tuple[EpisodeStory, ...]


@dataclass(frozen=True, slots=True)
class GuardsNow:
    """What each guard would say now, if the rule were to act on this target."""

    target: Target
    answers: tuple[GuardAnswer, ...]


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A recent episode that the rule gave no decision on; ``account`` is ``None`` if nobody can say why."""

    episode: Episode
    account: RuleAccount | None


@dataclass(frozen=True, slots=True)
class RuleExplained:
    """A rule: what it decided lately, what it did not take and why, and what holds it now.

    ``rule`` is as the rulebook in force has it, ``None`` if it has it no more, and ``mode`` the one that
    holds. ``pauses`` (the brake's too) and ``quarantines`` are those that concern it now; ``guards`` are of
    targets that it had to do with lately.
    """

    name: str
    rule: Rule | None
    mode: Mode
    counts: tuple[ReasonCount, ...]
    decisions: tuple[DecisionRow, ...]
    not_taken: tuple[NotTaken, ...]
    guards: tuple[GuardsNow, ...]
    pauses: tuple[Pause, ...]
    quarantines: tuple[Quarantine, ...]


Explanation = RunExplained | EpisodeStory | AlertExplained | RuleExplained


def rules_asked(
    episode: Episode,
    decisions: Sequence[DecisionRow],
    books: Mapping[RulebookHash, Rulebook | None],
) -> tuple[RulesAsked, ...]:
    """What the rules of each rulebook that decided on an episode made of it.

    ``decisions`` are all on the episode, oldest first, ``books`` those that they were made by.
    """
    found = []
    for hash_ in dict.fromkeys(row.rulebook for row in decisions):
        made = [row for row in decisions if row.rulebook == hash_]
        book = books.get(hash_)
        rules = _accounts(episode, made, book) if book is not None else _known(made)
        found.append(RulesAsked(hash_, book is not None, rules))
    return tuple(found)


def _known(made: Sequence[DecisionRow]) -> tuple[RuleAccount, ...]:
    last = {row.rule: row.id for row in made if row.rule}
    return tuple(RuleAccount(rule, Fate.DECIDED, decision=id_) for rule, id_ in last.items())


def _accounts(episode: Episode, made: Sequence[DecisionRow], book: Rulebook) -> tuple[RuleAccount, ...]:
    request = request_of(episode)
    asked = None if request is None else book.rule(request.rule)
    rules = book.rules if request is None else (asked,) if asked is not None else ()
    accounts, taken = [], False
    for rule in rules:
        account = _account(rule, episode, made, taken=taken, requested=request is not None)
        accounts.append(account)
        taken = taken or _takes(rule, account, made)
    return tuple(accounts)


def _account(
    rule: Rule, episode: Episode, made: Sequence[DecisionRow], *, taken: bool, requested: bool
) -> RuleAccount:
    matchers = () if requested else saw(rule, episode)
    own = [row for row in made if row.rule in rule.names]
    if own:
        return RuleAccount(rule.name, Fate.DECIDED, matchers, decision=own[-1].id)
    if not requested and not isinstance(rule.trigger, AlertTrigger):
        return RuleAccount(rule.name, Fate.TRIGGER)
    if not all(each.holds for each in matchers):
        return RuleAccount(rule.name, Fate.MATCHERS, matchers)
    passed = [each for row in made for each in row.decision.passed if each.rule in rule.names]
    if passed:
        return RuleAccount(rule.name, Fate.FACTS, matchers, passed[-1].facts)
    return RuleAccount(rule.name, Fate.TAKEN if taken else Fate.UNDETERMINED, matchers)


def saw(rule: Rule, episode: Episode) -> tuple[MatcherSaw, ...]:
    """What a rule's matchers see of an episode."""
    if not isinstance(rule.trigger, AlertTrigger):
        return ()
    return tuple(
        MatcherSaw(each, episode.labels.get(each.name), each.matches(episode.labels))
        for each in rule.trigger.matchers
    )


def _takes(rule: Rule, account: RuleAccount, made: Sequence[DecisionRow]) -> bool:
    """Whether no rule after this one is asked."""
    if account.standing is not Fate.DECIDED:
        return False
    last = next(row.decision for row in made if row.id == account.decision)
    return last.reason in _STOPPED_BY or not (rule.goes_on or last.too_few)
