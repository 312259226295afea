"""The embedded ledger's small parts, where the port alone does not show them."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from remediator.core.episodes import Closed, Episode
from remediator.core.ids import EpisodeId
from remediator.store.common.codecs import micros, moment
from remediator.store.common.episodes import numbered
from remediator.store.sqlite.claims import Claims

NOW = datetime(2025, 3, 1, tzinfo=UTC)


def test_claims_of_a_commit_that_failed_are_given_back_and_earlier_ones_kept() -> None:
    claims = Claims()
    claims.take([1], NOW + timedelta(seconds=9))
    claims.settle(committed=True)
    claims.take([2], NOW + timedelta(seconds=9))
    claims.settle(committed=False)
    assert claims.holds(1)
    assert not claims.holds(2)


def test_numbering_an_episode_changes_its_id_alone() -> None:
    episode = Episode(
        id=EpisodeId(0),
        source="s",
        fingerprint="f",
        labels={"a": "b"},
        annotations={"c": "d"},
        starts_at=NOW,
        first_seen=NOW + timedelta(1),
        last_seen=NOW + timedelta(2),
        group={"e": "f"},
        ended_at=NOW + timedelta(3),
        closed_at=NOW + timedelta(4),
        closed=Closed.RESOLVED,
        repeats=5,
        stale_until=NOW - timedelta(1),
        confirmed_at=NOW + timedelta(5),
    )
    values = [getattr(episode, field.name) for field in fields(episode)]
    assert None not in values, "a field that this test does not fill would be lost unseen"
    assert numbered(episode, EpisodeId(7)) == replace(episode, id=EpisodeId(7))


@given(
    st.datetimes(
        timezones=st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours))),
        min_value=datetime(1, 1, 3),  # noqa: DTZ001 - Hypothesis adds the zone
        max_value=datetime(9999, 12, 29),  # noqa: DTZ001 - Hypothesis adds the zone
    )
)
def test_times_are_kept_to_the_microsecond(at: datetime) -> None:
    assert moment(micros(at)) == at
