"""What a run's lease is asked to cover: as its actions declare, and where its pods are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from remediator.core.coverage import covers
from remediator.core.leases import LeaseMode
from remediator.core.ports.actions import Action, ActionContext
from remediator.core.ports.places import Places, Unplaced
from remediator.core.rules import Database, Rule, Rulebook, Step
from remediator.core.targets import Target, parse_target
from remediator.engine.coverage import Coverage, Coverer
from tests.unit.core.values import BOOK, CART, rule
from tests.unit.engine.actions import Acts, spec
from tests.unit.engine.fast import in_no_time

POD, NODE = parse_target("pod/data/pg-0"), parse_target("node/n1")
MAIN, PG = parse_target("database/main"), parse_target("statefulset/data/pg")


async def _nothing(_: ActionContext) -> None:
    raise AssertionError


ACTIONS: Mapping[str, Action] = {
    name: Acts(spec(name, lease=lease, preempts=preempts), _nothing)
    for name, lease, preempts in (
        ("alone", LeaseMode.EXCLUSIVE, False),
        ("read", LeaseMode.SHARED, False),
        ("preempt", LeaseMode.EXCLUSIVE, True),
        ("odd", LeaseMode.SHARED, True),
    )
}


class Map(Places):
    """Where the test says that pods are; what it does not know hangs."""

    def __init__(self, **known: Target | Unplaced) -> None:
        self._known = known

    async def node_of(self, pod: Target) -> Target | Unplaced:
        if pod.name not in self._known:
            await asyncio.sleep(3600)
        return self._known[pod.name]


def acting(*names: str, on_failure: tuple[str, ...] = ()) -> Rule:
    steps = tuple(Step(f"s{n}", name) for n, name in enumerate(names))
    made = rule(steps=steps)
    return Rule(
        made.name, made.trigger, made.target, steps=steps, on_failure=tuple(Step(n, n) for n in on_failure)
    )


def asked(target: Target, by: Rule | None, *books: Rulebook, places: Places | None = None) -> Coverage:
    return in_no_time(Coverer(ACTIONS, places or Map()).coverage(target, by, books))


@pytest.mark.parametrize(
    ("names", "on_failure", "shared", "preempts"),
    [
        (("alone",), (), False, False),
        (("read",), (), True, False),
        (("read", "read"), ("read",), True, False),
        (("read", "alone"), (), False, False),
        (("read",), ("alone",), False, False),
        (("preempt",), (), False, True),
        (("read",), ("preempt",), False, True),
        (("odd",), (), True, False),
        (("odd", "alone"), (), False, True),
        (("read", "unknown"), (), False, False),
        ((), (), False, False),
    ],
)
def test_the_strictest_step_decides_how_a_target_is_held(
    names: tuple[str, ...], on_failure: tuple[str, ...], *, shared: bool, preempts: bool
) -> None:
    demand = asked(CART, acting(*names, on_failure=on_failure)).demand
    assert (demand.shared, demand.preempts) == (shared, preempts)
    assert demand.covers == covers(CART, nodes={}, shared=shared)


def test_a_run_whose_rule_nobody_can_read_is_alone() -> None:
    demand = asked(CART, None).demand
    assert (demand.shared, demand.preempts) == (False, False)


def test_what_any_rulebook_knows_of_databases_counts() -> None:
    pinned = Rulebook(BOOK, (), databases=(Database(MAIN, (PG,)),))
    active = Rulebook(BOOK, (), databases=(Database(MAIN, (POD,)),))
    found = asked(MAIN, acting("alone"), pinned, active, places=Map(**{"pg-0": NODE}))
    assert found.demand.covers == covers(MAIN, [Database(MAIN, (PG, POD))], {POD: NODE})
    assert found.lacks == ""


@pytest.mark.parametrize(
    ("places", "why"),
    [(Map(**{"pg-0": Unplaced("503: gone")}), "503: gone"), (Map(), "no answer within 20 s")],
)
def test_a_pod_of_which_nobody_knows_where_it_runs_is_said_and_bars_every_node(
    places: Places, why: str
) -> None:
    found = asked(POD, acting("alone"), places=places)
    assert found.lacks == f"nobody knows which node {POD} runs on: {why}"
    assert any(mine.bars(node) for mine in found.demand.covers for node in covers(NODE, nodes={}))
