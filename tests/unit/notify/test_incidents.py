"""Any page becomes an event that PagerDuty takes, with the evidence, and always for the same incident."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.clients.pagerduty import PagerDuty
from remediator.core.ids import RunId
from remediator.core.notices import Call, Envelope, Lane, Notice, NoticeKind, Signal, Tone
from remediator.core.ports.channels import Delivered
from remediator.notify.incidents import DEDUP_KEY, EVENT, SUMMARY, dedup_key, event_of
from remediator.sandbox.pagerduty import LARGEST_EVENT, ROUTING_KEY, PagerDutyReceiver
from tests.unit.notify.hostile import HOSTILE, anything

NOTICE = Notice(
    NoticeKind.RUN,
    "cart: FAILED",
    Tone.BAD,
    "P1",
    summary="the rollout did not finish",
    fields=(("Rule", "rollback"), ("Target", "deployment/shop/cart"), ("rolled_out: no", "1 of 2")),
    lines=("03:12:04 decided", "03:12:05 acting"),
    diff="--- a\n+++ b\n",
    commands=("remediator explain r-7k2m9q4xza",),
    run=RunId("r-7k2m9q4xza"),
    page=True,
    evidence=(("facts", ("rolled_out no (1 of 2)",)), ("guards", ("pause allows: not paused",))),
)
CALL = Call(NOTICE.run, None, "rollback", "deployment/shop/cart")


def an_envelope(notice: Notice = NOTICE, signal: Signal | None = Signal.TRIGGER) -> Envelope:
    call = CALL if signal is Signal.TRIGGER else None
    return Envelope("pagerduty", "page:r-7k2m9q4xza", notice, lane=Lane.PAGES, signal=signal, call=call)


def size(event: dict[str, Any]) -> int:
    return len(msgspec.json.encode(event))


def test_a_trigger_carries_what_a_person_at_night_needs() -> None:
    event = event_of(an_envelope())
    assert (event["event_action"], event["dedup_key"]) == ("trigger", "page:r-7k2m9q4xza")
    payload = event["payload"]
    assert payload["summary"] == "[P1] cart: FAILED – the rollout did not finish"
    assert (payload["source"], payload["component"], payload["class"]) == (
        "deployment/shop/cart",
        "cart",
        "rollback",
    )
    assert payload["custom_details"] == {
        "summary": "the rollout did not finish",
        "rule": "rollback",
        "target": "deployment/shop/cart",
        "facts": ["rolled_out no (1 of 2)"],
        "guards": ["pause allows: not paused"],
        "timeline": ["03:12:04 decided", "03:12:05 acting"],
        "diff": "--- a\n+++ b\n",
        "commands": ["remediator explain r-7k2m9q4xza"],
        "run": "r-7k2m9q4xza",
    }


@pytest.mark.parametrize("signal", [Signal.ACKNOWLEDGE, Signal.RESOLVE])
def test_other_signals_name_the_incident_and_nothing_else(signal: Signal) -> None:
    event = event_of(an_envelope(signal=signal))
    assert event == {"event_action": signal.value, "dedup_key": "page:r-7k2m9q4xza"}


@pytest.mark.parametrize(
    ("severity", "told"),
    [
        ("P0", "critical"),
        ("P1", "error"),
        ("P2", "warning"),
        ("P3", "info"),
        ("", "error"),
        ("gold", "error"),
    ],
)
def test_severities_are_pagerdutys(severity: str, told: str) -> None:
    assert event_of(an_envelope(replace(NOTICE, severity=severity)))["payload"]["severity"] == told


def test_how_many_alike_it_tells_of_is_told() -> None:
    assert event_of(an_envelope(replace(NOTICE, count=4)))["payload"]["custom_details"]["count"] == 4


def test_a_long_summary_is_cut_to_the_limit() -> None:
    summary = event_of(an_envelope(replace(NOTICE, summary="x" * 5_000)))["payload"]["summary"]
    assert len(summary) == SUMMARY
    assert summary.endswith("…")


def test_a_key_is_always_the_same_and_never_too_long() -> None:
    long = "pages:rule:cooldown:" + "x" * 400
    assert dedup_key("page:r-1") == "page:r-1"
    assert dedup_key(long) == dedup_key(long)
    assert len(dedup_key(long)) <= DEDUP_KEY
    assert dedup_key(long) != dedup_key(long + "y")


@pytest.mark.parametrize(
    "huge",
    [
        {"diff": "+é\n" * 300_000},
        {"lines": ("a long line " * 100,) * 1_000},
        {"evidence": (("facts", ("f" * 1_000,) * 900),)},
        {"diff": "+x\n" * 300_000, "lines": ("y" * 1_000,) * 900, "summary": "s" * 900_000},
        {"fields": tuple((f"n{n}", "v" * 1_000) for n in range(900))},
    ],
    ids=["diff", "timeline", "facts", "all", "fields"],
)
async def test_what_is_too_large_is_cut_and_says_so(huge: dict[str, Any]) -> None:
    event = event_of(an_envelope(replace(NOTICE, **huge)))
    assert size(event) <= EVENT < LARGEST_EVENT
    assert "cut" in str(event["payload"]["custom_details"])
    async with PagerDutyReceiver() as pagerduty:
        assert isinstance(await PagerDuty(pagerduty.url).send(event, ROUTING_KEY), Delivered)


def test_the_diff_goes_first_and_of_the_timeline_its_beginning() -> None:
    huge = replace(NOTICE, diff="+x\n" * 250_000, lines=("old", *("mid " * 30,) * 100, "new"))
    details = event_of(an_envelope(huge))["payload"]["custom_details"]
    assert "characters cut" in details["diff"]
    assert details["timeline"][-1] == "new"
    assert details["timeline"][0] == "old"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_pagerduty_takes_hostile_pages(text: str) -> None:
    notice = Notice(
        NoticeKind.DECISION, text, Tone.BAD, text, text, ((text, text),), (text,), text, (text,), page=True
    )
    event = event_of(Envelope("pagerduty", text, notice, signal=Signal.TRIGGER))
    async with PagerDutyReceiver() as pagerduty:
        assert isinstance(await PagerDuty(pagerduty.url).send(event, ROUTING_KEY), Delivered)
        assert pagerduty.refused == []


@given(anything, anything, anything)
def test_any_text_makes_an_event_within_the_limits(title: str, summary: str, thread: str) -> None:
    notice = replace(NOTICE, title=title, summary=summary, severity=title, diff=summary)
    event = event_of(Envelope("pagerduty", thread, notice, signal=Signal.TRIGGER))
    assert 0 < len(event["payload"]["summary"]) <= SUMMARY
    assert len(event["dedup_key"]) <= DEDUP_KEY
    assert event["payload"]["source"]
    assert size(event) <= EVENT


@given(st.text(max_size=600), st.text(max_size=600))
def test_no_two_threads_share_a_key(one: str, other: str) -> None:
    assert (dedup_key(one) == dedup_key(other)) is (one == other)
