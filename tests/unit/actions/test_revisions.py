"""Which revision to go back to, and when the running release was rolled out: tables and one property."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.actions.kubernetes.revisions import (
    Nothing,
    Revision,
    chosen,
    current_of,
    last_known_good,
    revisions_of,
    rollout_of,
)
from tests.unit.actions.made import Made, deployment, replica_set


def goal(sets: list[Made], image: str, *, restarted: str = "") -> int | str:
    """The number of the revision to go back to, or why there is none."""
    revisions = revisions_of(sets)
    current = current_of(deployment(image, restarted=restarted), revisions)
    assert current is not None
    found = last_known_good(current, revisions)
    return found.number if isinstance(found, Revision) else found.why


@pytest.mark.parametrize(
    ("sets", "image", "expected"),
    [
        ([(1, "a"), (2, "b")], "b", 1),
        ([(1, "a"), (2, "b"), (3, "c")], "c", 2),
        ([(3, "c"), (1, "a"), (2, "b")], "c", 2),
        ([(9, "a"), (10, "b"), (11, "c")], "c", 10),
        ([(1, "a"), (2, "b", "r-1"), (3, "c")], "c", 1),
        ([(2, "b", "r-1"), (3, "a")], "a", "revision 2 was fled from by r-1"),
        ([(1, "a")], "a", "revision 1 is the oldest that is kept"),
        ([(1, "a"), (2, "b")], "a", "revision 1 is the oldest that is kept"),
        ([(1, "a"), (None, "x"), (3, "c")], "c", 1),
    ],
    ids=[
        "the one before",
        "the newest before",
        "whatever their order",
        "numbers, not texts",
        "not the one fled from",
        "none but the one fled from",
        "the first one",
        "never forward",
        "a ReplicaSet without a number is no revision",
    ],
)
def test_the_last_known_good_revision(
    sets: list[tuple[int | None, str] | tuple[int, str, str]], image: str, expected: int | str
) -> None:
    made = [replica_set(each[0], each[1], fled_by=each[2] if len(each) > 2 else "") for each in sets]
    assert goal(made, image) == expected


def test_a_restarted_release_is_the_same_release() -> None:
    """Neither a goal beside its own restart, nor one once any revision of it was fled from."""
    good, bad = replica_set(1, "a"), replica_set(2, "b")
    again = replica_set(3, "b", restarted="2026-01-01T00:00:00Z")
    assert goal([good, bad, again], "b", restarted="2026-01-01T00:00:00Z") == 1
    fled = replica_set(3, "b", restarted="2026-01-01T00:00:00Z", fled_by="r-1")
    assert "revision 2 was fled from" in str(goal([bad, fled, replica_set(4, "a")], "a"))


def test_there_is_no_current_revision_before_the_controller_made_it() -> None:
    assert current_of(deployment("new"), revisions_of([replica_set(1, "old")])) is None


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (2, "was fled from by r-1"),
        (3, "is the current one"),
        (7, "those kept are 3, 2, 1"),
    ],
)
def test_a_named_revision_may_be_out_too(number: int, why: str) -> None:
    revisions = revisions_of([replica_set(1, "a"), replica_set(2, "b", fled_by="r-1"), replica_set(3, "c")])
    current = current_of(deployment("c"), revisions)
    assert current is not None
    found = chosen(number, current, revisions)
    assert isinstance(found, Nothing)
    assert why in found.why
    kept = chosen(1, current, revisions)
    assert isinstance(kept, Revision)
    assert kept.number == 1


RELEASES = st.lists(
    st.tuples(st.sampled_from("abcd"), st.booleans(), st.sampled_from(["", "1", "2"])), min_size=1, max_size=8
)


@given(RELEASES)
def test_what_is_chosen_is_older_of_another_release_and_never_fled_from(
    history: list[tuple[str, bool, str]],
) -> None:
    sets = [
        replica_set(number, image, fled_by="r-1" if fled else "", restarted=restarted)
        for number, (image, fled, restarted) in enumerate(history, start=1)
    ]
    image, _, restarted = history[-1]
    revisions = revisions_of(sets)
    current = current_of(deployment(image, restarted=restarted), revisions)
    assert current is not None
    found = last_known_good(current, revisions)
    fled_images = {each[0] for each in history if each[1]}
    allowed = [
        number
        for number, (each, _, _) in enumerate(history, start=1)
        if number < current.number and each != image and each not in fled_images
    ]
    assert (found.number if isinstance(found, Revision) else None) == (max(allowed) if allowed else None)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_new_revision_was_rolled_out_when_it_was_made() -> None:
    sets = [replica_set(1, "a"), replica_set(2, "b", made="2026-02-02T00:00:00Z")]
    rollout = rollout_of(deployment("b", moved="2026-03-03T00:00:00Z"), revisions_of(sets))
    assert rollout is not None
    assert (rollout.at, rollout.ours) == (at("2026-02-02"), False)


def test_a_reused_revision_was_rolled_out_when_its_rollout_last_moved() -> None:
    sets = [replica_set(2, "b"), replica_set(3, "a", history="1")]
    rollout = rollout_of(deployment("a", moved="2026-03-03T00:00:00Z"), revisions_of(sets))
    assert rollout is not None
    assert rollout.at == at("2026-03-03")


def test_a_reused_revision_without_a_condition_can_not_be_dated() -> None:
    assert rollout_of(deployment("a"), revisions_of([replica_set(3, "a", history="1")])) is None


def test_a_restart_does_not_make_a_release_younger() -> None:
    sets = [
        replica_set(1, "a"),
        replica_set(2, "b", made="2026-02-02T00:00:00Z"),
        replica_set(3, "b", made="2026-03-03T00:00:00Z", restarted="x"),
    ]
    rollout = rollout_of(deployment("b", restarted="x"), revisions_of(sets))
    assert rollout is not None
    assert rollout.at == at("2026-02-02")


@pytest.mark.parametrize(("undone_to", "ours"), [("cart-3", True), ("cart-1", False), ("", False)])
def test_a_rollback_is_ours_when_it_led_to_the_running_release(undone_to: str, *, ours: bool) -> None:
    """The annotation outlives later rollouts, so that it names the ReplicaSet."""
    sets = [replica_set(2, "b"), replica_set(3, "a", history="1")]
    found = deployment("a", undone_to=undone_to, moved="2026-03-03T00:00:00Z")
    rollout = rollout_of(found, revisions_of(sets))
    assert rollout is not None
    assert rollout.ours is ours
