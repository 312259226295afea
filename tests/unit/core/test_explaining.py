"""What each rule made of an episode: from what was stored, and never a guess."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.core.changes import DecisionRow
from remediator.core.checks import CheckAnswer, Fact, Said
from remediator.core.decide import Decision, DecisionKind, PassedOver
from remediator.core.episodes import Episode
from remediator.core.explaining import Fate, rules_asked
from remediator.core.ids import DecisionId, EpisodeId, RulebookHash
from remediator.core.manual import SOURCE, Request
from remediator.core.matchers import parse_matcher
from remediator.core.reasons import Reason
from remediator.core.rules import AlertTrigger, Expect, OtherTrigger, Rule, Rulebook
from tests.unit.core.values import BOOK, NOW, episode, rule

FACT = Fact("a.check", {}, Expect.YES, CheckAnswer(Said.NO, "too old"), NOW)
OTHER_BOOK = RulebookHash("c" * 64)


def on(name: str, *matchers: str, goes_on: bool = False) -> Rule:
    trigger = AlertTrigger(tuple(parse_matcher(each) for each in matchers))
    return replace(rule(name), trigger=trigger, goes_on=goes_on)


def made(
    by: str,
    reason: Reason = Reason.MATCHED,
    *,
    id_: int = 1,
    passed: tuple[PassedOver, ...] = (),
    book: RulebookHash = BOOK,
) -> DecisionRow:
    decision = Decision(DecisionKind.SKIP, reason, passed=passed)
    return DecisionRow(DecisionId(id_), EpisodeId(1), by, "", NOW, decision, book)


def standings(rules: tuple[Rule, ...], *rows: DecisionRow, of: Episode | None = None) -> dict[str, str]:
    (asked,) = rules_asked(of or episode(), rows, {BOOK: Rulebook(BOOK, rules)})
    assert asked.kept
    return {each.rule: each.standing.value for each in asked.rules}


def test_a_matcher_shows_what_it_saw_and_an_absent_label_is_none() -> None:
    one = on("one", 'alertname="Down"', 'zone=~"a|b"', 'job=""')
    (asked,) = rules_asked(episode(), [made("", Reason.NO_RULE)], {BOOK: Rulebook(BOOK, (one,))})
    (account,) = asked.rules
    assert [(str(each.matcher), each.value, each.holds) for each in account.matchers] == [
        ('alertname="Down"', "Down", True),
        ('zone=~"a|b"', None, False),
        ('job=""', None, True),
    ]
    assert (account.standing, account.missed) == (Fate.MATCHERS, 1)


def test_each_rule_stands_where_the_decision_left_it() -> None:
    rules = (on("no", 'alertname="Up"'), on("old"), on("took"), on("after"), on("off", 'x="y"'))
    row = made("took", passed=(PassedOver("old", (FACT,)),))
    assert standings(rules, row) == {
        "no": "matchers",
        "old": "facts",
        "took": "decided",
        "after": "taken",
        "off": "matchers",
    }


def test_the_facts_that_passed_a_rule_over_are_shown() -> None:
    row = made("", Reason.NO_RULE, passed=(PassedOver("old", (FACT,)),))
    (asked,) = rules_asked(episode(), [row], {BOOK: Rulebook(BOOK, (on("old"),))})
    assert asked.rules[0].facts == (FACT,)


def test_what_was_not_stored_is_undetermined() -> None:
    assert standings((on("one"),), made("", Reason.NO_RULE)) == {"one": "undetermined"}
    assert standings((on("first"), on("took")), made("took")) == {"first": "undetermined", "took": "decided"}


@pytest.mark.parametrize(
    ("goes_on", "reason", "then"),
    [
        (False, Reason.MATCHED, "taken"),
        (True, Reason.MATCHED, "undetermined"),
        (True, Reason.FACT_ERROR, "taken"),
        (True, Reason.TARGET_INVALID, "taken"),
    ],
)
def test_a_rule_after_one_that_took_the_episode_was_not_asked(
    reason: Reason, then: str, *, goes_on: bool
) -> None:
    rules = (on("first", goes_on=goes_on), on("second"))
    assert standings(rules, made("first", reason)) == {"first": "decided", "second": then}


def test_a_rule_that_waited_for_others_in_vain_did_not_take_the_episode() -> None:
    row = made("first", Reason.COUNT)
    gave_up = replace(row, decision=replace(row.decision, too_few=True))
    assert standings((on("first"), on("second")), row) == {"first": "decided", "second": "taken"}
    assert standings((on("first"), on("second")), gave_up) == {"first": "decided", "second": "undetermined"}


def test_a_rule_that_no_alert_triggers_says_so() -> None:
    by_hand = replace(rule("by-hand"), trigger=OtherTrigger("manual"))
    assert standings((by_hand,), made("", Reason.NO_RULE)) == {"by-hand": "trigger"}


def test_a_request_asks_the_rule_that_it_names_and_no_other() -> None:
    asked_for = Request("b", "kim", "why", {})
    requested = replace(episode(), source=SOURCE, annotations=asked_for.annotations)
    by_hand = replace(rule("b"), trigger=OtherTrigger("manual"))
    assert standings((on("a"), by_hand), made("b"), of=requested) == {"b": "decided"}
    assert standings((on("a"), by_hand), made("", Reason.NO_RULE), of=requested) == {"b": "undetermined"}


def test_a_renamed_rule_keeps_its_decisions() -> None:
    renamed = replace(on("new"), was=("old",))
    assert standings((renamed,), made("old")) == {"new": "decided"}


def test_of_a_rulebook_that_is_not_kept_only_what_was_decided_is_known() -> None:
    rows = [made("a", id_=1), made("a", id_=2), made("", Reason.NO_RULE, id_=3)]
    (asked,) = rules_asked(episode(), rows, {BOOK: None})
    assert not asked.kept
    assert [(each.rule, each.standing, each.decision) for each in asked.rules] == [("a", Fate.DECIDED, 2)]


def test_each_rulebook_that_decided_is_asked_for_its_own_decisions() -> None:
    rows = [made("a", Reason.PARALLEL, id_=1), made("b", id_=2, book=OTHER_BOOK)]
    books = {BOOK: Rulebook(BOOK, (on("a"),)), OTHER_BOOK: Rulebook(OTHER_BOOK, (on("b"),))}
    asked = rules_asked(episode(), rows, books)
    assert [(one.rulebook, [each.rule for each in one.rules]) for one in asked] == [
        (BOOK, ["a"]),
        (OTHER_BOOK, ["b"]),
    ]


def test_every_standing_has_its_meaning() -> None:
    assert all(standing.meaning for standing in Fate)
