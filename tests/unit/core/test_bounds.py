"""Scope and protection: by names before there is a plan, by what it saw of the target from then on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from remediator.core.guards import (
    GuardView,
    Question,
    Verdict,
    ask_at_decision,
    ask_at_first_intent,
    ask_before_step,
    ask_of_plan,
)
from remediator.core.labels import parse_selector
from remediator.core.reasons import Reason
from remediator.core.rules import Database, Rulebook
from remediator.core.selections import Selection
from remediator.core.sights import Sight
from remediator.core.targets import Target, parse_target
from tests.unit.core.values import BOOK, CART, NOW, question, rule

VIEW = GuardView(NOW)
CRITICAL = Selection(labels=parse_selector("tier=critical"))
RULE = rule(cooldown=0)


def asked(book: Rulebook, labels: Mapping[str, str] | None, target: Target = CART) -> Question:
    sight = None if labels is None else Sight(labels)
    return replace(question(RULE, book), target=target, sight=sight)


def a_book(scope: Selection | None = None, *protect: Selection) -> Rulebook:
    return Rulebook(BOOK, (RULE,), scope=scope, protect=protect)


def reason(verdict: Verdict) -> Reason | None:
    return verdict.objection.reason if verdict.objection else None


OF_BANK = Selection(namespaces=("bank",), labels=CRITICAL.labels)
BOUNDS: dict[str, tuple[Rulebook, Mapping[str, str], Reason | None]] = {
    "in scope": (a_book(CRITICAL), {"tier": "critical"}, None),
    "another label": (a_book(CRITICAL), {"tier": "web"}, Reason.SCOPE),
    "no labels": (a_book(CRITICAL), {}, Reason.SCOPE),
    "in scope by label, not by name": (a_book(OF_BANK), {"tier": "critical"}, Reason.SCOPE),
    "protected": (a_book(None, CRITICAL), {"tier": "critical"}, Reason.PROTECTED),
    "not protected": (a_book(None, CRITICAL), {"tier": "web"}, None),
    "protected elsewhere": (a_book(None, OF_BANK), {"tier": "critical"}, None),
    "protected by the second": (a_book(None, OF_BANK, CRITICAL), {"tier": "critical"}, Reason.PROTECTED),
    "protected by a label that is absent": (
        a_book(None, Selection(labels=parse_selector("!owner"))),
        {},
        Reason.PROTECTED,
    ),
}


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("ask", [ask_at_first_intent, ask_before_step])
def test_what_a_plan_saw_is_judged_before_every_step(name: str, ask: object) -> None:
    book, labels, expected = BOUNDS[name]
    assert callable(ask)
    assert reason(ask(asked(book, labels), VIEW)) is expected
    assert reason(ask_of_plan(asked(book, labels), NOW)) is expected


def test_the_stricter_of_two_rulebooks_holds() -> None:
    both = replace(asked(a_book(), {"tier": "critical"}), books=(a_book(), a_book(None, CRITICAL)))
    assert reason(ask_at_first_intent(both, VIEW)) is Reason.PROTECTED


def test_before_there_is_a_plan_labels_say_nothing_and_names_do() -> None:
    verdict = ask_at_decision(asked(a_book(CRITICAL, CRITICAL), None), VIEW)
    assert verdict.allows
    details = [answer.detail for answer in verdict.answers if "labels" in answer.detail]
    assert len(details) == 2, "it says that they are still to be looked at"
    assert reason(ask_at_decision(asked(a_book(OF_BANK), None), VIEW)) is Reason.SCOPE


def test_the_labels_that_it_depends_on_are_named_with_what_was_seen() -> None:
    scope = Selection(labels=parse_selector("tier, !legacy"))
    elsewhere = Selection(namespaces=("bank",), labels=parse_selector("owner"))
    judged = asked(a_book(scope, elsewhere), {"tier": "web", "owner": "ada"}).labels_judged
    assert judged == {"legacy": None, "tier": "web"}
    assert asked(a_book(), {"tier": "web"}).labels_judged == {}


PG = Database(parse_target("database/main"), (parse_target("statefulset/kube-system/pg"),))
ALWAYS: dict[str, tuple[str, str]] = {
    "deployment/kube-system/coredns": ("kube-system always is", "remediator"),
    "pod/kube-public/x": ("kube-public always is", "remediator"),
    "namespace/kube-node-lease": ("kube-node-lease always is", "remediator"),
    "west/deployment/kube-system/coredns": ("kube-system always is", "remediator"),
    "deployment/remediator/remediator": ("Remediator's own namespace", "remediator"),
    "namespace/remediator": ("Remediator's own namespace", "remediator"),
    "deployment/ops/remediator": ("Remediator's own namespace", "ops"),
    "database/main": ("also statefulset/kube-system/pg: kube-system always is", "remediator"),
}


@pytest.mark.parametrize("target", ALWAYS)
def test_some_namespaces_are_protected_whatever_the_rulebook_says(target: str) -> None:
    why, home = ALWAYS[target]
    book = replace(a_book(Selection()), home=home, databases=(PG,))
    for ask in (ask_at_decision, ask_at_first_intent, ask_before_step):
        objection = ask(asked(book, None, parse_target(target)), VIEW).objection
        assert objection is not None
        assert (objection.reason, why in objection.detail) == (Reason.PROTECTED, True), objection


def test_another_home_leaves_the_usual_one_free() -> None:
    book = replace(a_book(), home="ops")
    target = parse_target("deployment/remediator/x")
    assert ask_at_decision(asked(book, None, target), VIEW).allows
