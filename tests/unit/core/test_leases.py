"""Law 5: who gets a lease, given all that stands on the places that it would cover."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import permutations, product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from remediator.core.coverage import covers
from remediator.core.ids import Owner, RunId
from remediator.core.leases import (
    ALONE,
    Contention,
    Cover,
    Demand,
    Held,
    Occupied,
    Side,
    contend,
    merged,
)
from remediator.core.rules import Database
from remediator.core.targets import Target, parse_target
from tests.unit.core.values import CART, NOW, after

MINE, THEIRS, THIRD = RunId("r-1"), RunId("r-2"), RunId("r-3")
ME, PEER, NOBODY = Owner("me"), Owner("peer"), Owner("")
PLACE = Cover("deployment/shop/cart")
HELD = Occupied(PLACE, THEIRS, PEER, after(1))


def asked(
    *standing: Occupied, shared: bool = False, preempts: bool = False, now: datetime = NOW
) -> Contention:
    wanted = replace(PLACE, shared=shared)
    return contend(MINE, ME, [wanted], standing, now, preempts=preempts)


def shared(standing: Occupied) -> Occupied:
    return replace(standing, cover=replace(standing.cover, shared=True))


def test_nothing_in_the_way_is_a_lease() -> None:
    assert asked() == Contention()


def test_a_live_lease_keeps_others_out_to_its_end_exactly() -> None:
    assert asked(HELD, now=after(1) - timedelta(microseconds=1)).held == Held(THEIRS, PEER, after(1))
    assert asked(HELD, now=after(1)) == Contention(over=frozenset({THEIRS}))


def test_the_one_that_stands_longest_is_named() -> None:
    longer = replace(HELD, run=THIRD, until=after(2))
    assert asked(longer, HELD).held == asked(HELD, longer).held == Held(THIRD, PEER, after(2))


@pytest.mark.parametrize(
    ("one", "other", "free"), [(0, 0, False), (0, 1, False), (1, 0, False), (1, 1, True)]
)
def test_only_shared_ones_get_along(one: int, other: int, *, free: bool) -> None:
    standing = shared(HELD) if other else HELD
    assert (asked(standing, shared=bool(one)).held is None) is free


@pytest.mark.parametrize(
    ("mine", "theirs", "free"),
    [
        (Side.WHOLE, Side.WHOLE, False),
        (Side.WHOLE, Side.WITHIN, False),
        (Side.WITHIN, Side.WHOLE, False),
        (Side.WITHIN, Side.WITHIN, True),
        (Side.BY_NODE, Side.BY_NODE, True),
        (Side.BY_NODE, Side.BY_NAMESPACE, False),
    ],
)
def test_who_passes_through_a_place_from_the_same_side_is_not_met(
    mine: Side, theirs: Side, *, free: bool
) -> None:
    standing = replace(HELD, cover=Cover("namespace/shop", side=theirs))
    found = contend(MINE, ME, [Cover("namespace/shop", side=mine)], [standing], NOW)
    assert (found.held is None) is free


def test_an_attempt_in_doubt_stands_whatever_became_of_its_lease() -> None:
    for until in (None, after(-1), NOW):
        assert asked(replace(HELD, until=until, in_doubt=True)).held == Held(THEIRS, NOBODY, NOW)
    assert asked(replace(shared(HELD), until=None, in_doubt=True), shared=True).held is None


def test_the_same_run_is_driven_by_one_owner_at_a_time_and_taken_again_by_it() -> None:
    own = replace(HELD, run=MINE)
    assert asked(own).held == Held(MINE, PEER, after(1))
    assert asked(own, now=after(1)).held is None
    assert asked(replace(own, owner=ME)).held is None
    assert asked(replace(own, until=None, in_doubt=True)).held is None


@pytest.mark.parametrize("owner", [ME, PEER, NOBODY])
def test_what_a_target_cannot_fence_is_waited_out_by_everybody(owner: Owner) -> None:
    own = Occupied(PLACE, MINE, owner, None, in_doubt=True, may_act_until=after(5))
    assert asked(own, now=after(5) - timedelta(microseconds=1)).held == Held(MINE, ME, after(5))
    assert asked(own, now=after(5)).held is None


def test_who_preempts_makes_shared_holders_give_way_and_waits_for_their_end() -> None:
    other = replace(shared(HELD), run=THIRD, until=after(2))
    found = asked(shared(HELD), other, preempts=True)
    assert found == Contention(Held(THIRD, PEER, after(2)), preempted=frozenset({THEIRS, THIRD}))
    assert asked(shared(HELD), other).preempted == frozenset()
    assert asked(shared(HELD), other, preempts=True, now=after(2)).held is None


def test_exclusive_holders_are_never_preempted_and_nobody_is_in_vain() -> None:
    for firm in (HELD, replace(HELD, until=None, in_doubt=True)):
        found = asked(firm, replace(shared(HELD), run=THIRD), preempts=True)
        assert found.held is not None
        assert found.held.run == THEIRS
        assert found.preempted == frozenset()


def test_a_shared_attempt_in_doubt_keeps_out_all_but_who_preempts_it() -> None:
    doubted = replace(shared(HELD), until=after(-1), in_doubt=True, may_act_until=after(60))
    assert asked(doubted).held == Held(THEIRS, NOBODY, NOW)
    assert asked(doubted, preempts=True) == Contention(over=frozenset({THEIRS}))


def test_of_several_covers_of_one_place_all_bars_that_any_barred() -> None:
    place = "namespace/shop"
    assert merged([Cover(place, True, Side.WITHIN), Cover(place, False, Side.WITHIN)]) == (
        Cover(place, False, Side.WITHIN),
    )
    assert merged([Cover(place, True, Side.WITHIN), Cover(place, True)]) == (Cover(place, True),)
    assert merged([Cover(place, True, Side.BY_NODE), Cover(place, True, Side.BY_NAMESPACE)]) == (
        Cover(place, True),
    )


def test_a_lease_covers_its_own_target_whatever_is_asked_and_what_it_covered_before() -> None:
    assert ALONE.covering(CART) == (Cover("deployment/shop/cart"),)
    node = Cover("node/n1", side=Side.WITHIN)
    assert ALONE.covering(CART, [node]) == (Cover("deployment/shop/cart"), node)
    wide = Demand(shared=True, covers=frozenset({Cover("namespace/shop", True, Side.WITHIN)}))
    assert [cover.place for cover in wide.covering(CART)] == ["deployment/shop/cart", "namespace/shop"]
    assert all(cover.shared for cover in wide.covering(CART))


DATABASES = (Database(parse_target("database/main"), (parse_target("statefulset/a/pg"),)),)
NODES = {parse_target("pod/a/p"): parse_target("node/n1")}
TARGETS = [
    parse_target(text)
    for text in (
        "namespace/a",
        "namespace/b",
        "node/n1",
        "node/n2",
        "pod/a/p",
        "pod/b/lost",
        "deployment/a/d",
        "deployment/b/d",
        "statefulset/a/pg",
        "database/main",
    )
]
RUNS = [RunId(f"r-{n}") for n in range(6)]
TTL = timedelta(seconds=15)


@dataclass
class Row:
    """What a ledger keeps of one run: its covers, its lease, and an attempt without outcome."""

    covers: tuple[Cover, ...] = ()
    owner: Owner = NOBODY
    until: datetime | None = None
    preempted_by: RunId | None = None
    awaited: datetime | None = None
    in_doubt: bool = False


@dataclass
class Ledger:
    """The least that a store does around :func:`contend`."""

    now: datetime = NOW
    rows: dict[RunId, Row] = field(default_factory=lambda: {run: Row() for run in RUNS})

    def standing(self, wanted: tuple[Cover, ...]) -> Iterator[Occupied]:
        places = {cover.place for cover in wanted}
        for run, row in self.rows.items():
            ends = [end for end in (row.until, row.awaited) if end is not None]
            for cover in row.covers:
                if cover.place in places:
                    yield Occupied(cover, run, row.owner, max(ends, default=None), row.in_doubt)

    def acquire(self, run: RunId, owner: Owner, wanted: tuple[Cover, ...], *, preempts: bool) -> Contention:
        wanted = merged((*wanted, *self.rows[run].covers))
        standing = list(self.standing(wanted))
        found = contend(run, owner, wanted, standing, self.now, preempts=preempts)
        for other in found.preempted:
            row = self.rows[other]
            row.preempted_by = row.preempted_by or run
        if found.preempted:
            self.rows[run].covers, self.rows[run].awaited = wanted, self.now + TTL
        if found.held is None:
            for other in found.over:
                self.rows[other].until = None
            self.rows[run] = Row(wanted, owner, self.now + TTL, in_doubt=self.rows[run].in_doubt)
        return found

    def live(self) -> list[RunId]:
        return [run for run, row in self.rows.items() if row.until is not None and self.now < row.until]


class Contenders(RuleBasedStateMachine):
    """Runs that take, renew, leave and lose leases in any order: what overlaps is never held twice."""

    @initialize(
        on=st.lists(st.sampled_from(TARGETS), min_size=6, max_size=6),
        manners=st.lists(st.sampled_from(["alone", "shared", "preempts"]), min_size=6, max_size=6),
    )
    def begin(self, on: list[Target], manners: list[str]) -> None:
        self.ledger = Ledger()
        self.wanted = {
            run: tuple(covers(target, DATABASES, NODES, shared=manner == "shared"))
            for run, target, manner in zip(RUNS, on, manners, strict=True)
        }
        self.preempts = {run: manner == "preempts" for run, manner in zip(RUNS, manners, strict=True)}

    @rule(run=st.sampled_from(RUNS), owner=st.sampled_from([ME, PEER]))
    def acquire(self, run: RunId, owner: Owner) -> None:
        self.ledger.acquire(run, owner, self.wanted[run], preempts=self.preempts[run])

    @rule(run=st.sampled_from(RUNS))
    def renew(self, run: RunId) -> None:
        row = self.ledger.rows[run]
        if run in self.ledger.live() and row.preempted_by is None:
            row.until = self.ledger.now + TTL

    @rule(run=st.sampled_from(RUNS))
    def intend(self, run: RunId) -> None:
        if run in self.ledger.live() and self.ledger.rows[run].preempted_by is None:
            self.ledger.rows[run].in_doubt = True

    @rule(run=st.sampled_from(RUNS))
    def learn_the_outcome(self, run: RunId) -> None:
        if run in self.ledger.live():
            self.ledger.rows[run].in_doubt = False

    @rule(run=st.sampled_from(RUNS))
    def leave(self, run: RunId) -> None:
        row = self.ledger.rows[run]
        self.ledger.rows[run] = Row(row.covers, in_doubt=True) if row.in_doubt else Row()

    @rule(seconds=st.sampled_from([1, 5, 15]))
    def pass_time(self, seconds: int) -> None:
        self.ledger.now += timedelta(seconds=seconds)

    @rule(run=st.sampled_from(RUNS))
    def who_preempts_has_it_within_a_ttl_of_asking(self, run: RunId) -> None:
        """Unless an exclusive holder, an attempt in doubt, or another that preempts was there before."""
        if (
            not self.preempts[run]
            or not self.ledger.acquire(run, ME, self.wanted[run], preempts=True).preempted
        ):
            return
        for other in RUNS:
            if other != run:
                self.ledger.acquire(other, PEER, self.wanted[other], preempts=self.preempts[other])
                self.renew(other)
        self.ledger.now += TTL
        assert self.ledger.acquire(run, ME, self.wanted[run], preempts=True).held is None

    @invariant()
    def what_overlaps_is_held_once(self) -> None:
        for one, other in permutations(self.live_covers(), 2):
            assert not any(a.bars(b) for a, b in product(one, other))

    @invariant()
    def nothing_exclusive_in_doubt_is_written_over(self) -> None:
        for one, (other, row) in product(self.ledger.live(), self.ledger.rows.items()):
            if one != other and row.in_doubt:
                firm = [cover for cover in row.covers if not cover.shared]
                assert not any(a.bars(b) for a, b in product(self.ledger.rows[one].covers, firm))

    def live_covers(self) -> list[tuple[Cover, ...]]:
        return [self.ledger.rows[run].covers for run in self.ledger.live()]


TestContenders = Contenders.TestCase
TestContenders.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
