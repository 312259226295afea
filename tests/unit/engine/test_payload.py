"""A stored webhook is taken apart or quarantined with a reason; no post stops the intake."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.alerts import fingerprint
from remediator.core.answers import AlertState, Listed
from remediator.core.changes import Intake, RawWebhook
from remediator.core.ids import WebhookId
from remediator.core.inquiries import LeftOut
from remediator.engine.payload import put_together, take_apart

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HASH = "0123456789abcdef"
START = "2026-03-01T12:00:00.123456789Z"


def taken(body: bytes) -> Intake:
    return take_apart(RawWebhook(WebhookId(7), "am", NOW, body))


def body(*alerts: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"version": "4", "alerts": list(alerts), **fields}).encode()


def alert(**fields: Any) -> dict[str, Any]:
    return {"status": "firing", "labels": {"alertname": "Down"}, "startsAt": START, **fields}


def test_what_is_told_is_kept_and_what_is_unknown_passed_over() -> None:
    told = alert(
        annotations={"summary": "s"}, endsAt="0001-01-01T00:00:00Z", fingerprint=HASH, generatorURL="x"
    )
    (one,) = taken(body(told, groupLabels={"g": "1"}, receiver="r", truncatedAlerts=0, new=[1])).alerts
    assert (one.source, one.fingerprint, one.firing, one.ends_at) == ("am", HASH, True, None)
    assert (one.labels, one.annotations, one.group) == ({"alertname": "Down"}, {"summary": "s"}, {"g": "1"})
    assert one.starts_at == datetime(2026, 3, 1, 12, 0, 0, 123457, UTC)


def test_times_are_utc_whatever_their_offset() -> None:
    told = alert(status="resolved", startsAt="2026-03-01T14:00:00+02:00", endsAt="2026-03-01T14:30:00+02:00")
    (one,) = taken(body(told)).alerts
    assert (one.starts_at, one.ends_at) == (NOW, NOW.replace(minute=30))
    assert one.starts_at.tzinfo is UTC


def test_without_a_fingerprint_the_labels_are_hashed() -> None:
    """Equal labels are one alert, in whatever order they come."""
    one, same, other = taken(
        body(alert(labels={"a": "1", "b": "2"}), alert(labels={"b": "2", "a": "1"}), alert(labels={"a": "1"}))
    ).alerts
    assert one.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    "told", ["a\x00b", "f", HASH.upper(), HASH + "0", HASH + "\n", "\uff11" * 16, " ", "x" * 10_000]
)
def test_what_is_no_fingerprint_is_replaced_by_our_own_hash_of_the_labels(told: str) -> None:
    """It is the alert's key in the ledger: no text of a sender's choice may be one."""
    (one,) = taken(body(alert(fingerprint=told))).alerts
    assert one.fingerprint == fingerprint({"alertname": "Down"})


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"version":"4"}',
        body(version="3"),
        body(version=4),
        body(alert(status="maybe")),
        body(alert(labels=None)),
        body(alert(labels={"a": 1})),
        body(alert(labels=[])),
        body(alert(startsAt="yesterday")),
        body(alert(startsAt="2026-03-01T12:00:00")),
        body(alert(startsAt="0001-01-01T00:00:00+10:00")),
        body(alert(startsAt="9999-12-31T23:59:59-10:00")),
        body(alert(startsAt=None)),
        body(alert(endsAt="9999-12-31T23:59:59-10:00")),
        body({"labels": {}}),
        body("alert"),  # type: ignore[arg-type]  # as wrong as anybody can make it
        body(alert(labels={"a": "X"})).replace(b"X", b"\\ud800"),
        body(alert(), alert(status="odd")),
        b'{"version":"4","alerts":[],"x":' + b"[" * 100_000,
        b'{"version":"4","alerts":[],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"version":"4","alerts":[],"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    ],
    ids=lambda hostile: repr(hostile[-40:]),
)
def test_what_is_no_v4_payload_is_quarantined_whole_with_a_reason(hostile: bytes) -> None:
    intake = taken(hostile)
    assert intake.alerts == ()
    assert intake.quarantine is not None
    assert intake.quarantine.startswith("no Alertmanager v4 payload: ")


@pytest.mark.parametrize(
    "text", ["a/b", "../..", "<!channel>", "{{ x }}", "$(reboot)", "\n\x00", "x" * 10_000]
)
def test_hostile_labels_are_kept_as_they_are(text: str) -> None:
    """They are escaped where they are shown and validated where they are used (law 10), and lost nowhere."""
    (one,) = taken(body(alert(labels={"job": text}))).alerts
    assert one.labels == {"job": text}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
odd_alert = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["firing", "resolved"]) | anything,
        "labels": st.dictionaries(st.text(max_size=3), st.text(max_size=3)) | anything,
        "startsAt": st.datetimes().map(lambda t: t.isoformat() + "Z") | anything,
        "endsAt": st.datetimes().map(lambda t: t.isoformat() + "+14:00") | anything,
        "fingerprint": st.text(max_size=3) | anything,
    },
)


@given(
    st.fixed_dictionaries(
        {"version": st.just("4") | anything, "alerts": st.lists(odd_alert, max_size=3) | anything},
        optional={"groupLabels": anything},
    )
)
def test_no_json_raises(payload: dict[str, Any]) -> None:
    intake = taken(json.dumps(payload).encode())
    assert intake.webhook == 7
    assert all(one.starts_at.utcoffset() is not None for one in intake.alerts)


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    assert taken(raw).quarantine


@pytest.mark.parametrize(("told", "count"), [(0, None), (-1, None), (1, 1), (2**60, 2**31 - 1)])
def test_what_was_left_out_is_told_with_its_group(told: int, count: int | None) -> None:
    left_out = taken(
        body(alert(), truncatedAlerts=told, receiver=r"web\.hook", groupLabels={"g": "1"})
    ).left_out
    assert left_out == (None if count is None else LeftOut(count, r"web\.hook", {"g": "1"}))


labels = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3)
listed = st.builds(
    Listed,
    st.integers(0, 2**64 - 1).map(lambda value: f"{value:016x}"),
    st.just(AlertState.ACTIVE),
    labels,
    labels,
    st.datetimes(timezones=st.just(UTC)),
)


@given(st.lists(listed, max_size=3), labels)
def test_what_is_put_together_is_taken_apart_again(alerts: list[Listed], group: dict[str, str]) -> None:
    intake = taken(put_together(LeftOut(3, "r", group), alerts))
    assert (intake.quarantine, intake.left_out) == (None, None)
    for found, told in zip(intake.alerts, alerts, strict=True):
        assert (found.fingerprint, found.starts_at) == (told.fingerprint, told.starts_at)
        assert (found.labels, found.annotations, found.group) == (told.labels, told.annotations, group)
        assert (found.firing, found.ends_at) == (True, None)
