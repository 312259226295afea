"""Law 5: what leases cover, so that two of them meet exactly where their targets overlap."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.coverage import covers, identities, touches
from remediator.core.leases import Cover, Side
from remediator.core.rules import Database
from remediator.core.targets import Target, parse_target

DATABASES = (
    Database(parse_target("database/production"), (parse_target("statefulset/data/postgres"),)),
    Database(
        parse_target("database/reports"),
        (parse_target("deployment/data/reporter"), parse_target("pod/data/etl")),
    ),
    Database(parse_target("database/archive"), (parse_target("statefulset/data/postgres"),)),
)
NODES = {
    parse_target("pod/shop/a"): parse_target("node/n1"),
    parse_target("pod/data/etl"): parse_target("node/n2"),
    parse_target("west/pod/shop/a"): parse_target("west/node/n1"),
}


def of(text: str, *, shared: bool = False) -> frozenset[Cover]:
    return covers(parse_target(text), DATABASES, NODES, shared=shared)


def meet(one: frozenset[Cover], other: frozenset[Cover]) -> bool:
    return any(a.bars(b) for a, b in product(one, other))


MEETINGS = [
    ("deployment/shop/cart", "deployment/shop/cart", True),
    ("deployment/shop/cart", "deployment/shop/auth", False),
    ("deployment/shop/cart", "statefulset/shop/cart", False),
    ("deployment/shop/cart", "deployment/shop-eu/cart", False),
    ("deployment/shop/cart", "west/deployment/shop/cart", False),
    ("deployment/shop/cart", "namespace/shop", True),
    ("deployment/shop/cart", "namespace/data", False),
    ("deployment/shop/cart", "west/namespace/shop", False),
    ("deployment/shop/cart", "node/n1", False),
    ("namespace/shop", "namespace/shop", True),
    ("namespace/shop", "namespace/data", False),
    ("pod/shop/a", "namespace/shop", True),
    ("pod/shop/a", "node/n1", True),
    ("pod/shop/a", "node/n2", False),
    ("pod/shop/a", "west/node/n1", False),
    ("west/pod/shop/a", "west/node/n1", True),
    ("pod/shop/a", "pod/shop/lost", False),
    ("pod/shop/lost", "node/n1", True),
    ("pod/shop/lost", "node/n2", True),
    ("pod/shop/lost", "west/node/n1", False),
    ("pod/shop/lost", "namespace/data", False),
    ("node/n1", "node/n1", True),
    ("node/n1", "node/n2", False),
    ("node/n1", "namespace/shop", True),
    ("node/n1", "west/namespace/shop", False),
    ("database/production", "database/production", True),
    ("database/production", "statefulset/data/postgres", True),
    ("database/production", "database/archive", True),
    ("database/production", "database/reports", False),
    ("database/production", "namespace/data", True),
    ("database/production", "namespace/shop", False),
    ("database/reports", "deployment/data/reporter", True),
    ("database/reports", "pod/data/etl", True),
    ("database/reports", "node/n2", True),
    ("database/reports", "node/n1", False),
    ("deployment/data/reporter", "node/n2", True),
    ("database/unlisted", "namespace/data", False),
]


@pytest.mark.parametrize(("one", "other", "meeting"), MEETINGS)
def test_leases_meet_where_their_targets_overlap_whoever_comes_first(
    one: str, other: str, *, meeting: bool
) -> None:
    assert meet(of(one), of(other)) is meeting
    assert meet(of(other), of(one)) is meeting


@pytest.mark.parametrize(("one", "other", "meeting"), MEETINGS)
def test_two_shared_ones_never_do_and_one_exclusive_is_enough(one: str, other: str, *, meeting: bool) -> None:
    assert not meet(of(one, shared=True), of(other, shared=True))
    assert meet(of(one, shared=True), of(other)) is meeting
    assert meet(of(one), of(other, shared=True)) is meeting


def test_what_is_covered_is_said_place_by_place() -> None:
    assert of("database/reports") == {
        Cover("database/reports"),
        Cover("deployment/data/reporter"),
        Cover("pod/data/etl"),
        Cover("namespace/data", side=Side.WITHIN),
        Cover("node/n2", side=Side.WITHIN),
    }
    assert of("west/node/n1", shared=True) == {
        Cover("west/node/n1", shared=True),
        Cover("west/pod/*", True, Side.BY_NODE),
    }


def test_databases_that_share_an_object_are_one() -> None:
    same = identities(parse_target("database/archive"), DATABASES)
    assert list(map(str, same)) == ["database/archive", "database/production", "statefulset/data/postgres"]


TOUCHING = [
    ("namespace/shop", "deployment/shop/cart", True),
    ("deployment/shop/cart", "namespace/shop", True),
    ("deployment/shop/cart", "deployment/shop/cart", True),
    ("deployment/shop/auth", "deployment/shop/cart", False),
    ("statefulset/data/postgres", "database/production", True),
    ("database/production", "statefulset/data/postgres", True),
    ("database/archive", "database/production", True),
    ("namespace/data", "database/production", True),
    ("node/n1", "pod/shop/a", True),
    ("node/n2", "pod/shop/a", False),
    ("namespace/shop", "node/n1", False),
    ("pod/shop/lost", "node/n1", False),
]


@pytest.mark.parametrize(("said_of", "target", "touching"), TOUCHING)
def test_what_is_said_of_a_target_concerns_what_it_is_holds_and_lies_in(
    said_of: str, target: str, *, touching: bool
) -> None:
    for shared in (False, True):
        assert touches(parse_target(said_of), of(target, shared=shared)) is touching


@dataclass(frozen=True)
class World:
    """Targets, the databases that some of them are, and where the pods run."""

    databases: tuple[Database, ...]
    nodes: dict[Target, Target]

    def parts(self, target: Target) -> frozenset[Target]:
        """All that somebody who acts on the target may change: an answer got without covers."""
        same = frozenset({target})
        for _ in self.databases:
            for database in self.databases:
                group = frozenset({database.target, *database.objects})
                same |= group if same & group else frozenset()
        held = frozenset(
            each
            for each in TARGETS
            for one in same
            if (one.kind == "namespace" and (each.cluster, each.namespace) == (one.cluster, one.name))
            or (one.kind == "node" and self.nodes.get(each) == one)
        )
        return same | held

    def overlap(self, one: Target, other: Target) -> bool:
        return bool(self.parts(one) & self.parts(other)) or self.may_share_pods(one, other)

    def may_share_pods(self, one: Target, other: Target) -> bool:
        """Pods that come while a lease is held, or whose node is not known: nobody can tell."""
        return self.may_hold_pods_of(one, other) or self.may_hold_pods_of(other, one)

    def may_hold_pods_of(self, node: Target, other: Target) -> bool:
        if node.kind != "node" or node.cluster != other.cluster:
            return False
        same = identities(other, self.databases)
        return any(
            each.kind == "namespace" or (each.kind == "pod" and each not in self.nodes) for each in same
        )


TARGETS = [
    parse_target(f"{cluster}{text}")
    for cluster in ("", "west/")
    for text in (
        "namespace/a",
        "namespace/b",
        "node/n1",
        "node/n2",
        "database/x",
        "database/y",
        *(
            f"{kind}/{namespace}/{name}"
            for kind in ("deployment", "pod")
            for namespace in "ab"
            for name in "pq"
        ),
    )
]
Manner = Literal["alone", "shared"]
_MANNERS: st.SearchStrategy[Manner] = st.sampled_from(["alone", "shared"])
_NODES = [target for target in TARGETS if target.kind == "node"]
_OBJECTS = [target for target in TARGETS if target.namespace]
_PODS = [target for target in TARGETS if target.kind == "pod"]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    objects = st.lists(st.sampled_from([each for each in _OBJECTS if each.cluster == "default"]), max_size=2)
    databases = tuple(
        Database(parse_target(f"database/{name}"), tuple(draw(objects)))
        for name in draw(st.sampled_from([(), ("x",), ("x", "y")]))
    )
    nodes = {
        pod: draw(st.sampled_from([node for node in _NODES if node.cluster == pod.cluster]))
        for pod in draw(st.sets(st.sampled_from(_PODS)))
    }
    return World(databases, nodes)


@given(worlds(), st.sampled_from(TARGETS), st.sampled_from(TARGETS), _MANNERS, _MANNERS)
def test_in_any_world_leases_meet_just_where_targets_overlap(
    world: World,
    one: Target,
    other: Target,
    first: Manner,
    second: Manner,
) -> None:
    mine = covers(one, world.databases, world.nodes, shared=first == "shared")
    yours = covers(other, world.databases, world.nodes, shared=second == "shared")
    wanted = world.overlap(one, other) and not (first == second == "shared")
    assert meet(mine, yours) is meet(yours, mine) is wanted


@given(worlds(), worlds(), st.sampled_from(TARGETS), st.sampled_from(TARGETS))
def test_who_knows_of_more_databases_meets_whoever_knows_of_fewer(
    fewer: World, more: World, one: Target, other: Target
) -> None:
    """A lease from before a reload and one from after it: the one that knows is enough."""
    known = (*fewer.databases, *more.databases)
    mine = covers(one, fewer.databases, fewer.nodes)
    yours = covers(other, known, fewer.nodes)
    if other in identities(one, known):
        assert meet(mine, yours)
