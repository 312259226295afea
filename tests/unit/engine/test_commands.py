"""The verbs that people have: checked before they are written down, and refused with what to type instead."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest

from remediator.core.guards import Pause, PauseScope
from remediator.core.ports.store import Store
from remediator.core.rule_index import RuleIndex
from remediator.core.rules import Rulebook
from remediator.engine.commands import CommandError, Commands
from remediator.engine.rulebooks import Book, Rulebooks
from tests.unit.core.values import BOOK, CART, NOW, rule


class Controls:
    """Keeps what is paused, as a ledger would."""

    def __init__(self) -> None:
        self.held: list[tuple[PauseScope, str, str]] = []

    async def pause(
        self, scope: PauseScope, value: str, why: str, who: str, length: timedelta | None
    ) -> Pause:
        self.held.append((scope, value, why))
        return Pause(1, scope, value, why, who, NOW, NOW + length if length else None)

    async def resume(self, scope: PauseScope, value: str, _why: str, _who: str) -> int:
        before = len(self.held)
        self.held = [one for one in self.held if one[:2] != (scope, value)]
        return before - len(self.held)


class OneBook:
    active = Book(Rulebook(BOOK, (rule(),)), RuleIndex((rule(),)))


def commands() -> tuple[Commands, Controls]:
    controls = Controls()
    return Commands(cast("Store", controls), cast("Rulebooks", OneBook())), controls


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
    assert made.covers("rollback", CART, NOW)


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
