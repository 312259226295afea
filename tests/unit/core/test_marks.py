"""Marks are counted as if each were looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from remediator.core.guards import Mark, Marks
from remediator.core.targets import Target

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CART, PAY = (Target("default", "deployment", "shop", name) for name in ("cart", "pay"))
BANK, NODE, SHOP = (
    Target("default", "deployment", "bank", "cart"),
    Target("default", "node", "", "n1"),
    Target("default", "namespace", "", "shop"),
)
TARGETS = st.sampled_from((CART, PAY, BANK, NODE, SHOP))
TIMES = st.integers(0, 5).map(lambda minutes: NOW + timedelta(minutes=minutes))
MARKS = st.lists(st.builds(Mark, TARGETS, TIMES))


@given(MARKS, TARGETS, st.sampled_from((None, SHOP, BANK.space)), TIMES)
def test_as_many_others_as_have_their_latest_mark_there_and_later(
    marks: list[Mark], than: Target, place: Target | None, after: datetime
) -> None:
    latest = {each.target: max(other.at for other in marks if other.target == each.target) for each in marks}
    others = [
        target
        for target, at in latest.items()
        if target != than and at > after and (place is None or target.space == place)
    ]
    assert Marks.of(marks).others(than, place, after) == len(others)
    assert set(Marks.of(marks)) == {Mark(target, at) for target, at in latest.items()}
