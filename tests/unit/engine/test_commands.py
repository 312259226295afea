"""The verbs that people have: checked before they are written down, and refused with what to type instead."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from remediator.core.coverage import covers
from remediator.core.guards import Pause, PauseScope
from remediator.core.paging import Audience
from remediator.core.ports.store import Store
from remediator.core.rule_index import RuleIndex
from remediator.core.rules import Database, Rule, Rulebook
from remediator.core.targets import parse_target
from remediator.engine.answers import Answers
from remediator.engine.commands import CommandError, Commands
from remediator.engine.rulebooks import Book, Rulebooks
from tests.unit.core.values import BOOK, CART, NOW, rule


class Controls:
    """Keeps what is paused, as a ledger would."""

    def __init__(self) -> None:
        self.held: list[tuple[PauseScope, str, str]] = []

    async def pause(
        self, scope: PauseScope, value: str, why: str, who: str, length: timedelta | None, _name: str
    ) -> Pause:
        self.held.append((scope, value, why))
        return Pause(1, scope, value, why, who, NOW, NOW + length if length else None)

    async def resume(self, scope: PauseScope, value: str, _why: str, _who: str) -> int:
        before = len(self.held)
        self.held = [one for one in self.held if one[:2] != (scope, value)]
        return before - len(self.held)


class OneBook:
    def __init__(self, only: Rule) -> None:
        self.active = Book(Rulebook(BOOK, (only,)), RuleIndex((only,)))


def commands(only: Rule | None = None) -> tuple[Commands, Controls]:
    controls = Controls()
    store, rulebooks = cast("Store", controls), cast("Rulebooks", OneBook(only or rule()))
    answers = Answers(store, rulebooks, lambda _book, _rule: Audience(()))
    return Commands(store, rulebooks, answers), controls


@pytest.mark.parametrize(
    ("scope", "value", "kept"),
    [
        (PauseScope.ALL, "ignored", ""),
        (PauseScope.RULE, "rollback", "rollback"),
        (PauseScope.TARGET, "default/deployment/shop/cart", "deployment/shop/cart"),
    ],
)
async def test_a_pause_is_kept_as_guards_compare_it(scope: PauseScope, value: str, kept: str) -> None:
    mine, controls = commands()
    made = await mine.pause(scope, value, " storm ", "kim", timedelta(hours=1))
    assert controls.held == [(scope, kept, "storm")]
    assert made.covers({"rollback"}, covers(CART), NOW)


@pytest.mark.parametrize(
    ("target", "covered"),
    [
        ("namespace/shop", True),
        ("default/namespace/shop", True),
        ("eu/namespace/shop", False),
        ("namespace/shop-eu", False),
        ("deployment/shop/auth", False),
    ],
)
async def test_a_paused_namespace_covers_what_is_in_it_in_its_cluster(target: str, *, covered: bool) -> None:
    made = await commands()[0].pause(PauseScope.TARGET, target, "x", "kim", None)
    assert made.covers({"rollback"}, covers(CART), NOW) is covered
    assert not made.covers({"rollback"}, covers(parse_target("node/shop")), NOW)


async def test_a_pause_covers_a_rule_by_its_earlier_names_and_no_part_of_one() -> None:
    made = await commands()[0].pause(PauseScope.RULE, "rollback", "x", "kim", None)
    assert made.covers({"undo", "rollback"}, covers(CART), NOW)
    assert not made.covers({"rollback-all"}, covers(CART), NOW)


async def test_a_kind_that_nothing_acts_on_and_that_holds_nothing_is_not_paused() -> None:
    mine, controls = commands()
    mine = replace(mine, acted_on=frozenset({"deployment"}))
    with pytest.raises(CommandError, match=r"nothing acts on a node.*deployment, namespace"):
        await mine.pause(PauseScope.TARGET, "node/n1", "x", "kim", None)
    assert not controls.held


async def test_what_an_action_s_target_also_is_or_lies_in_may_be_paused() -> None:
    mine, controls = commands()
    mine = replace(mine, acted_on=frozenset({"database"}))
    with pytest.raises(CommandError, match="nothing acts on a statefulset"):
        await mine.pause(PauseScope.TARGET, "statefulset/data/pg", "x", "kim", None)
    main = Database(
        parse_target("database/main"), (parse_target("statefulset/data/pg"), parse_target("pod/data/a"))
    )
    rulebooks = cast("OneBook", mine.rulebooks)
    rulebooks.active = replace(
        rulebooks.active, rulebook=replace(rulebooks.active.rulebook, databases=(main,))
    )
    for on in ("statefulset/data/pg", "node/n1", "namespace/data", "database/main"):
        await mine.pause(PauseScope.TARGET, on, "x", "kim", None)
    assert len(controls.held) == 4
    with pytest.raises(CommandError, match="nothing acts on a deployment"):
        await mine.pause(PauseScope.TARGET, "deployment/data/pg", "x", "kim", None)


async def test_a_renamed_rule_is_resumed_by_any_of_its_names() -> None:
    mine, controls = commands(replace(rule(), was=("undo",)))
    controls.held = [(PauseScope.RULE, name, "x") for name in ("undo", "rollback", "other")]
    assert await mine.resume(PauseScope.RULE, "rollback", "", "kim") == 2
    assert controls.held == [(PauseScope.RULE, "other", "x")]


@pytest.mark.parametrize(
    ("scope", "value", "why", "length", "message"),
    [
        (PauseScope.ALL, "", " ", None, "say why"),
        (PauseScope.ALL, "", "x", timedelta(0), "longer than nothing"),
        (PauseScope.ALL, "", "x", timedelta(-1), "longer than nothing"),
        (PauseScope.RULE, "rolback", "x", None, "did you mean rollback"),
        (PauseScope.RULE, "zzz", "x", None, "there are rollback"),
        (PauseScope.TARGET, "cart", "x", None, "none of"),
    ],
)
async def test_a_pause_that_would_stop_nothing_is_refused_with_a_remedy(
    scope: PauseScope, value: str, why: str, length: timedelta | None, message: str
) -> None:
    mine, controls = commands()
    with pytest.raises(CommandError, match=message):
        await mine.pause(scope, value, why, "kim", length)
    assert not controls.held


async def test_a_target_is_resumed_by_either_way_of_writing_it() -> None:
    mine, controls = commands()
    for paused, resumed in [("default/node/n1", "node/n1"), ("node/n1", "default/node/n1")]:
        await mine.pause(PauseScope.TARGET, paused, "x", "kim", None)
        assert await mine.resume(PauseScope.TARGET, resumed, "", "kim") == 1
    assert not controls.held


async def test_what_no_rule_and_no_target_is_any_more_can_be_resumed() -> None:
    mine, controls = commands()
    controls.held = [(PauseScope.RULE, "gone", "x"), (PauseScope.TARGET, "odd", "x")]
    assert await mine.resume(PauseScope.RULE, "gone", "", "kim") == 1
    assert await mine.resume(PauseScope.TARGET, "odd", "", "kim") == 1


async def test_a_quarantine_is_lifted_with_a_reason_or_not_at_all() -> None:
    with pytest.raises(CommandError, match="say why"):
        await commands()[0].clear(CART, " ", "kim")
