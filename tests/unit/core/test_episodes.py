"""Law 2: an alert is one episode for as long as it fires, however often and in whatever order it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.alerts import Alert, AlertKey, fingerprint
from remediator.core.episodes import Closed, Episode, Sighting, observe
from tests.unit.core.values import NOW, after, firing, resolved

S = Sighting


def told(history: Iterable[tuple[float, Alert]]) -> tuple[list[Sighting], list[Episode]]:
    """What each alert, told at a minute, turned out to be, and the episodes that came of them."""
    sightings: list[Sighting] = []
    latest: dict[AlertKey, Episode] = {}
    closed: list[Episode] = []
    for minute, alert in history:
        seen = observe(alert, latest.get(alert.key), after(minute))
        sightings.append(seen.sighting)
        if seen.changed is not None:
            latest[alert.key] = seen.changed
        if seen.opened is not None:
            if alert.key in latest:
                closed.append(latest[alert.key])
            latest[alert.key] = seen.opened
    return sightings, [*closed, *latest.values()]


@pytest.mark.parametrize(
    ("history", "sightings"),
    [
        pytest.param(
            [(1, firing(0)), (5, firing(0)), (240, firing(0))], "opened repeated repeated", id="repeats"
        ),
        pytest.param([(1, firing(0)), (1, firing(0.2))], "opened repeated", id="a peer's startsAt differs"),
        pytest.param([(1, firing(0)), (2, firing(-60))], "opened repeated", id="startsAt moves backwards"),
        pytest.param([(1, firing(0)), (9, firing(6))], "opened repeated", id="exactly 5 min later joins"),
        pytest.param([(1, firing(0)), (9, firing(6.01))], "opened refired", id="over 5 min later is new"),
        pytest.param(
            [(1, firing(0)), (4, resolved(0, 3)), (6, firing(5))], "opened resolved opened", id="refire"
        ),
        pytest.param(
            [(1, firing(0)), (8, resolved(0, 3)), (9, firing(5))],
            "opened resolved opened",
            id="a refire before its resolved was told is no stale one",
        ),
        pytest.param(
            [(1, firing(0)), (4, resolved(0, 3)), (5, firing(0))], "opened resolved stale", id="stale"
        ),
        pytest.param(
            [(1, firing(0)), (4, resolved(0, 3)), (5, firing(3))],
            "opened resolved stale",
            id="stale at the end",
        ),
        pytest.param(
            [(1, firing(0)), (4, resolved(0, 3)), (5, resolved(0, 3))],
            "opened resolved unknown_resolved",
            id="resolved twice",
        ),
        pytest.param([(1, resolved(0, 1))], "unknown_resolved", id="resolved of nothing"),
        pytest.param(
            [(1, firing(0)), (4, resolved(0, 3)), (6, firing(5)), (7, resolved(0, 3))],
            "opened resolved opened stale",
            id="a peer's late resolved closes no later firing",
        ),
        pytest.param(
            [(1, firing(0)), (2, resolved(0, 9_000_000)), (20, firing(19))],
            "opened resolved opened",
            id="an end far ahead hides no refire",
        ),
        pytest.param(
            [(1, firing(0)), (2, resolved(0, None)), (3, firing(0)), (4, firing(3.5))],
            "opened resolved stale opened",
            id="an end that is not known is now",
        ),
        pytest.param(
            [(0, firing(20)), (1, firing(20)), (240, firing(20))],
            "opened repeated repeated",
            id="repeats by a clock that is ahead of ours",
        ),
        pytest.param(
            [(0, firing(20)), (3, resolved(20, 22)), (4, firing(20))],
            "opened resolved stale",
            id="stale by a clock that is ahead of ours",
        ),
        pytest.param(
            [(1, firing(0)), (1, firing(0, fingerprint="f2"))], "opened opened", id="one alert each"
        ),
    ],
)
def test_what_an_alert_turns_out_to_be(history: list[tuple[float, Alert]], sightings: str) -> None:
    assert told(history)[0] == [Sighting(word) for word in sightings.split()]


def test_the_earliest_start_and_the_newest_annotations_are_kept() -> None:
    _, (kept,) = told([(1, firing(0)), (2, replace(firing(-5), annotations={"summary": "new"}))])
    assert (kept.starts_at, kept.first_seen, kept.last_seen, kept.repeats) == (
        after(-5),
        after(1),
        after(2),
        1,
    )
    assert kept.annotations == {"summary": "new"}


def test_a_refire_closes_the_episode_before_it() -> None:
    _, (first, second) = told([(1, firing(0)), (30, firing(29))])
    assert (first.closed, first.closed_at, first.ended_at) == (Closed.SUPERSEDED, after(30), after(1))
    assert second.is_open


def test_a_resolved_keeps_both_clocks() -> None:
    _, (only,) = told([(1, firing(0)), (6, resolved(0, 3))])
    assert (only.closed, only.ended_at, only.closed_at) == (Closed.RESOLVED, after(3), after(6))


@pytest.mark.parametrize("start", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_the_ends_of_time_are_times(start: datetime) -> None:
    """Year 1 is Go's zero time, and anybody may post year 9999."""
    opened = observe(replace(firing(0), starts_at=start), None, NOW).opened
    assert opened is not None
    assert observe(firing(0), opened, after(1)).sighting in (S.REPEATED, S.REFIRED)
    assert observe(replace(resolved(0, 0), ends_at=start), opened, after(1)).sighting in (S.RESOLVED, S.STALE)
    end = datetime(9999, 12, 31, 23, tzinfo=UTC)
    assert observe(replace(resolved(0, 0), ends_at=end), opened, after(1)).sighting is S.RESOLVED


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[float, Alert]]:
    """Firings of one alert, one after the other, each told once and in order."""
    history: list[tuple[float, Alert]] = []
    clock = 0.0
    for _ in range(draw(st.integers(1, 4))):
        start = clock
        history.append((clock + 0.1, firing(start)))
        clock += draw(st.floats(0.5, 60))
        if draw(st.booleans()):
            history.append((clock + 0.1, resolved(start, clock)))
        clock += draw(st.floats(6, 60))
    return history


@given(lives(), st.data())
def test_duplicates_of_ha_peers_open_nothing(life: list[tuple[float, Alert]], data: st.DataObject) -> None:
    """Each post of a peer comes a moment later, before or after anything else that comes by then."""
    twice = [(at + data.draw(st.floats(0, 0.3)), alert) for at, alert in life]
    merged = sorted([*life, *twice], key=lambda pair: pair[0])
    openings = (S.OPENED, S.REFIRED)
    assert sum(s in openings for s in told(merged)[0]) == sum(s in openings for s in told(life)[0])


@given(lives(), st.integers(0, 8), st.floats(0, 300))
def test_what_is_told_again_later_opens_nothing(
    life: list[tuple[float, Alert]], again: int, late: float
) -> None:
    """Replaying all that was told, any number of times, opens no further episode."""
    end = max(at for at, _ in life)
    replay = [(end + late + n, alert) for n in range(again) for _, alert in life]
    opened = [s for s in told([*life, *replay])[0][len(life) :] if s in (S.OPENED, S.REFIRED)]
    assert not opened


alerts = st.builds(
    lambda on, start, length: firing(start) if on else resolved(start, start + length),
    st.booleans(),
    st.floats(-60, 60),
    st.floats(0, 60),
)


@given(st.lists(alerts, max_size=8))
def test_no_order_opens_two_at_once_or_ends_before_it_began(some: list[Alert]) -> None:
    """Whatever comes in whatever order: one open episode a key, and clocks that run forwards."""
    _, episodes = told((float(n), alert) for n, alert in enumerate(some))
    assert sum(one.is_open for one in episodes) <= 1
    for one in episodes:
        assert one.first_seen <= one.last_seen
        assert one.is_open is (one.closed_at is None) is (one.ended_at is None)
        assert one.ended_at is None or one.ended_at >= one.starts_at


def test_a_fingerprint_is_the_one_of_prometheus() -> None:
    """As common/model computes it for the empty label set and does not depend on the order of labels."""
    assert fingerprint({}) == "cbf29ce484222325"
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"}) != fingerprint({"a": "12"})
