"""The log tells what a channel would have been told, and no terminal obeys it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from remediator.core.notices import Envelope, Notice, NoticeKind, Tone
from remediator.core.ports.channels import Delivered, Notifier
from remediator.notify.log import LogNotifier


@pytest.mark.parametrize(
    ("tone", "page", "level"),
    [
        (Tone.GOOD, False, "info"),
        (Tone.WORKING, False, "info"),
        (Tone.QUIET, False, "info"),
        (Tone.BAD, False, "warning"),
        (Tone.UNSURE, False, "warning"),
        (Tone.BAD, True, "error"),
    ],
)
async def test_the_level_says_how_bad_it_is(tone: Tone, *, page: bool, level: str) -> None:
    with capture_logs() as logs:
        notice = Notice(NoticeKind.RUN, "100% done", tone, page=page)
        told = await LogNotifier().deliver(Envelope("log", "t", notice), head="", sent="")
    assert told == Delivered()
    assert [(line["event"], line["log_level"]) for line in logs] == [("100% done", level)]


async def test_everything_is_told_and_what_is_empty_is_left_out() -> None:
    notice = Notice(
        NoticeKind.RUN, "t", Tone.GOOD, "P1", "s", (("Target", "x"),), ("a", "b"), "+c", ("d",), count=3
    )
    with capture_logs() as logs:
        await LogNotifier("slack").deliver(Envelope("slack:#ops", "t", notice), head="", sent="")
    assert logs == [
        {
            "event": "t",
            "log_level": "info",
            "channel": "slack:#ops",
            "notice": "run",
            "tone": "good",
            "severity": "P1",
            "summary": "s",
            "fields": {"Target": "x"},
            "lines": ["a", "b"],
            "diff": "+c",
            "commands": ["d"],
            "more": 2,
        }
    ]


async def test_control_characters_do_not_reach_the_terminal() -> None:
    hostile = "a\x1b[2J\r\nb"
    notice = Notice(
        NoticeKind.RUN, hostile, Tone.GOOD, hostile, hostile, ((hostile, hostile),), (hostile,), hostile
    )
    with capture_logs() as logs:
        await LogNotifier().deliver(Envelope("log", "t", notice), head="", sent="")
    assert "\x1b" not in str(logs).encode().decode("unicode_escape")


@pytest.mark.parametrize("scheme", ["log", "slack"])
def test_it_stands_in_for_any_scheme(scheme: str) -> None:
    notifier: Notifier = LogNotifier(scheme)
    assert notifier.scheme == scheme
