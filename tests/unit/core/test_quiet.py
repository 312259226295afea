"""An alert that nobody tells of: gone only with proof, never ended too early, and never open for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.alerts import AlertKey
from remediator.core.answers import AlertState, Answer, Heard, Listed, Silent
from remediator.core.episodes import Closed, Episode, Sighting, observe
from remediator.core.ids import EpisodeId
from remediator.core.manual import SOURCE
from remediator.core.quiet import Hearing, Look, Presence, review
from remediator.core.rules import Patience
from tests.unit.core.values import after, episode, firing, resolved

P, S = Presence, Sighting
#: Minutes: asked about after 30, gone after 60, given up after 1440.
PATIENCE = Patience(timedelta(minutes=30), timedelta(minutes=60), timedelta(minutes=1440))
SILENT = Silent("http://c", "connection refused")


def listed(state: AlertState = AlertState.ACTIVE, *, starts: float = 0, fingerprint: str = "f1") -> Listed:
    return Listed(fingerprint, state, {"alertname": "Down"}, {"told": "anew"}, after(starts))


def answer(*alerts: Listed, up: float = -60) -> Answer:
    return Answer("http://a", after(up), alerts)


OTHER = listed(fingerprint="f2")
MUTED = listed(AlertState.SUPPRESSED)


@pytest.mark.parametrize(
    ("heard", "presence"),
    [
        pytest.param([answer(listed())], P.FIRING, id="it fires"),
        pytest.param([answer(), answer(listed())], P.FIRING, id="at one of two"),
        pytest.param([answer(listed()), SILENT], P.FIRING, id="at the one that answers"),
        pytest.param([answer(listed(), up=9)], P.FIRING, id="at one that was restarted"),
        pytest.param([answer(MUTED), answer(listed())], P.FIRING, id="silenced at one of two"),
        pytest.param([answer(MUTED)], P.SUPPRESSED, id="silenced"),
        pytest.param([answer(listed(AlertState.UNPROCESSED))], P.SUPPRESSED, id="not looked at yet"),
        pytest.param([answer(MUTED), answer()], P.SUPPRESSED, id="silenced at one, gone at the other"),
        pytest.param([answer()], P.ABSENT, id="gone"),
        pytest.param([answer(OTHER), answer()], P.ABSENT, id="gone from both"),
        pytest.param([answer(up=0)], P.ABSENT, id="up since the very moment"),
        pytest.param([answer(up=0.1)], P.UNKNOWN, id="restarted since"),
        pytest.param([answer(), answer(up=1)], P.UNKNOWN, id="one of two restarted since"),
        pytest.param([answer(), SILENT], P.UNKNOWN, id="one of two can't be asked"),
        pytest.param([SILENT], P.UNKNOWN, id="none can be asked"),
        pytest.param([], P.UNKNOWN, id="none is configured"),
    ],
)
def test_whether_it_is_there_is_what_all_say_together(heard: list[Heard], presence: Presence) -> None:
    look = Hearing(heard).look(episode())
    assert look.presence is presence
    assert (look.alert is not None) is (presence is P.FIRING)


def test_what_a_person_asked_for_is_not_gone_because_no_alertmanager_has_it() -> None:
    """A request may wait for hours, for its approval say: it ends with its run, or lapses at last."""
    asked = replace(episode(), source=SOURCE)
    look = Hearing([answer()]).look(asked)
    assert look.presence is P.UNKNOWN
    assert review(look, asked, after(1439), PATIENCE).changed is None
    assert review(look, asked, after(1440), PATIENCE).sighting is S.LAPSED


def test_what_fires_is_told_as_of_the_episodes_source_and_group() -> None:
    known = replace(episode(), group={"alertname": "Down"})
    look = Hearing([answer(listed(starts=3)), answer(listed(starts=1))]).look(known)
    assert look.alert is not None
    assert look.alert.key == known.key
    assert (look.alert.group, look.alert.annotations) == (known.group, {"told": "anew"})
    assert (look.alert.firing, look.alert.starts_at) == (True, after(1))


def looked(presence: Presence, known: Episode, *, starts: float = 0) -> Look:
    return Look(known, presence, "why", firing(starts) if presence is P.FIRING else None)


@pytest.mark.parametrize(
    ("presence", "minute", "sighting", "closed"),
    [
        (P.FIRING, 31, S.REPEATED, None),
        (P.FIRING, 9000, S.REPEATED, None),
        (P.SUPPRESSED, 31, S.QUIET, None),
        (P.SUPPRESSED, 9000, S.QUIET, None),
        (P.ABSENT, 59.9, S.QUIET, None),
        (P.ABSENT, 60, S.VANISHED, Closed.VANISHED),
        (P.UNKNOWN, 1439.9, S.QUIET, None),
        (P.UNKNOWN, 1440, S.LAPSED, Closed.LAPSED),
    ],
)
def test_what_follows_from_a_look(
    presence: Presence, minute: float, sighting: Sighting, closed: Closed | None
) -> None:
    known = episode()
    seen = review(looked(presence, known), known, after(minute), PATIENCE)
    assert (seen.sighting, seen.opened) == (sighting, None)
    assert (seen.changed.closed if seen.changed else None) is closed
    if closed is not None:
        assert seen.changed is not None
        assert (seen.changed.closed_at, seen.changed.ended_at, seen.detail != "") == (
            after(minute),
            None,
            True,
        )


def test_what_still_fires_is_refreshed_as_seen() -> None:
    changed = review(looked(P.FIRING, episode()), episode(), after(40), PATIENCE).changed
    assert changed is not None
    assert (changed.last_seen, changed.repeats, changed.closed) == (after(40), 1, None)


def test_what_began_anew_since_is_a_new_episode() -> None:
    seen = review(looked(P.FIRING, episode(), starts=20), episode(), after(40), PATIENCE)
    assert seen.sighting is S.REFIRED
    assert seen.opened is not None


def test_what_is_silenced_is_not_seen_but_known_to_be_there() -> None:
    """The doubt about it counts from then; and once told again with a later start it is a new episode."""
    changed = review(looked(P.SUPPRESSED, episode()), episode(), after(3000), PATIENCE).changed
    assert changed is not None
    assert (changed.last_seen, changed.confirmed_at) == (after(0), after(3000))
    for presence, minutes, word in ((P.ABSENT, 60, S.VANISHED), (P.UNKNOWN, 1440, S.LAPSED)):
        early = review(looked(presence, changed), changed, after(3000 + minutes - 0.1), PATIENCE)
        late = review(looked(presence, changed), changed, after(3000 + minutes), PATIENCE)
        assert (early.sighting, late.sighting) == (S.QUIET, word)
    assert observe(firing(2990), changed, after(3001)).sighting is S.REFIRED


def test_a_start_that_is_stale_is_no_new_sighting_and_no_news_each_minute() -> None:
    known = replace(episode(), stale_until=after(5))
    seen = review(looked(P.FIRING, known), known, after(90), PATIENCE)
    assert seen.sighting is S.QUIET
    assert seen.changed is not None
    assert seen.changed.confirmed_at == after(90)


def test_of_an_alert_that_vanished_another_firing_is_a_new_episode_whenever_it_began() -> None:
    """Nobody knows when it ended, so that nothing told later can be stale."""
    gone = review(looked(P.ABSENT, episode()), episode(), after(60), PATIENCE).changed
    for start in (0, 30, 61):
        seen = observe(firing(start), gone, after(90))
        assert seen.sighting is S.OPENED
    assert observe(resolved(0, 50), gone, after(90)).sighting is S.UNKNOWN_RESOLVED


def test_what_is_stale_stays_so_after_it_vanished() -> None:
    known = replace(episode(9, 10), stale_until=after(5))
    gone = review(looked(P.ABSENT, known), known, after(99), PATIENCE).changed
    opened = observe(firing(9), gone, after(100)).opened
    assert opened is not None
    assert opened.stale_until == after(5)


@pytest.mark.parametrize("presence", list(Presence))
@pytest.mark.parametrize(
    "latest",
    [
        pytest.param(replace(episode(), last_seen=after(1), repeats=1), id="told of again"),
        pytest.param(replace(episode(), repeats=1), id="told of again within the same instant"),
        pytest.param(
            replace(episode(), closed=Closed.RESOLVED, closed_at=after(1), ended_at=after(1)), id="resolved"
        ),
        pytest.param(replace(episode(), id=EpisodeId(2)), id="begun anew"),
        pytest.param(None, id="not there"),
    ],
)
def test_what_was_told_meanwhile_counts_and_not_what_was_asked_before(
    presence: Presence, latest: Episode | None
) -> None:
    seen = review(looked(presence, episode()), latest, after(99_999), PATIENCE)
    assert (seen.sighting, seen.changed, seen.opened) == (S.QUIET, None, None)


steps = st.lists(
    st.tuples(
        st.floats(0, 700),
        st.one_of(
            st.sampled_from(list(Presence)),
            st.just("told"),
            st.just("resolved"),
        ),
    ),
    max_size=12,
)


@given(steps)
def test_nothing_ends_before_its_time_or_against_what_was_said(
    told: list[tuple[float, Presence | str]],
) -> None:
    known: Episode | None = observe(firing(0), None, after(0)).opened
    minute, last = 0.0, 0.0
    for wait, what in told:
        minute += wait
        now = after(minute)
        assert known is not None
        if not known.is_open:
            break
        before = known
        known = _step(before, what, minute, now)
        if what in ("told", P.FIRING, P.SUPPRESSED):
            last = minute
        if known.closed is Closed.VANISHED:
            assert what is P.ABSENT
            assert minute - last >= 60
        elif known.closed is Closed.LAPSED:
            assert what is P.UNKNOWN
            assert minute - last >= 1440
        else:
            assert known.is_open or what == "resolved"


def _step(known: Episode, what: Presence | str, minute: float, now: datetime) -> Episode:
    if isinstance(what, Presence):
        return review(looked(what, known), known, now, PATIENCE).changed or known
    alert = firing(0) if what == "told" else resolved(0, minute)
    return observe(alert, known, now).changed or known


def test_a_look_has_the_key_of_its_episode() -> None:
    assert looked(P.ABSENT, episode()).key == AlertKey("am", "f1")
