"""What all Alertmanagers together say of a group that a webhook was truncated of."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.answers import AlertState, Answer, Heard, Listed, Silent
from remediator.core.inquiries import LeftOut, reply
from tests.unit.core.values import NOW, after

GROUP = {"alertname": "Down"}
LEFT_OUT = LeftOut(2, "remediator", GROUP)
SILENT = Silent("http://c", "connection refused")


def listed(
    fingerprint: str = "a",
    state: AlertState = AlertState.ACTIVE,
    labels: Mapping[str, str] = GROUP,
    minute: float = 0,
) -> Listed:
    return Listed(fingerprint, state, {**labels, "instance": fingerprint}, {}, after(minute))


def answer(*alerts: Listed) -> Answer:
    return Answer("http://a", NOW, alerts)


@pytest.mark.parametrize(
    ("heard", "firing", "complete"),
    [
        pytest.param([], "", False, id="none is configured"),
        pytest.param([SILENT, SILENT], "", False, id="none answers"),
        pytest.param([answer()], "", True, id="all answer that there is none"),
        pytest.param([answer(), SILENT], "", False, id="one that has none may be of another cluster"),
        pytest.param([answer(listed("a")), SILENT], "a", True, id="one that has any has them all"),
        pytest.param([answer(listed("a")), answer(listed("a"))], "a", True, id="both have it"),
        pytest.param([answer(listed("a")), answer(listed("b"))], "ab", True, id="each has its own"),
        pytest.param(
            [answer(listed("a", AlertState.SUPPRESSED)), SILENT], "", True, id="silenced or inhibited"
        ),
        pytest.param([answer(listed("a", AlertState.UNPROCESSED))], "", True, id="not looked at yet"),
        pytest.param([answer(listed("a", labels={"alertname": "Up"}))], "", True, id="of another group"),
    ],
)
def test_what_is_taken_in_and_whether_that_is_all(heard: list[Heard], firing: str, *, complete: bool) -> None:
    found = reply(LEFT_OUT, heard)
    assert [alert.fingerprint for alert in found.alerts] == list(firing)
    assert found.complete is complete


def test_of_an_alert_that_several_have_the_earliest_start_counts() -> None:
    found = reply(LEFT_OUT, [answer(listed(minute=3)), answer(listed(minute=1)), answer(listed(minute=2))])
    assert [alert.starts_at for alert in found.alerts] == [after(1)]


def test_one_that_is_silenced_at_one_of_them_fires_if_it_does_at_another() -> None:
    """A silence that has not spread yet mutes the one, and the other tells people."""
    found = reply(LEFT_OUT, [answer(listed(state=AlertState.SUPPRESSED)), answer(listed())])
    assert len(found.alerts) == 1


alerts = st.builds(
    listed,
    st.sampled_from("abc"),
    st.sampled_from(AlertState),
    st.sampled_from([GROUP, {"alertname": "Up"}]),
    st.floats(-9, 9),
)
answers = st.one_of(st.just(SILENT), st.lists(alerts, max_size=4).map(lambda some: answer(*some)))


@given(st.lists(answers, max_size=3))
def test_nothing_is_taken_in_twice_and_nothing_that_does_not_fire(heard: list[Heard]) -> None:
    found = reply(LEFT_OUT, heard)
    assert len({alert.fingerprint for alert in found.alerts}) == len(found.alerts)
    assert all(
        alert.state is AlertState.ACTIVE and alert.labels["alertname"] == "Down" for alert in found.alerts
    )
    assert not found.complete or any(isinstance(each, Answer) for each in heard)
