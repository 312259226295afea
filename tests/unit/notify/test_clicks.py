"""Slack is known by its signature, and who clicked is told what nobody else has to read."""

from __future__ import annotations

import pytest
from slack_sdk.signature import Clock

from remediator.clients.slack import SlackBot, SlackSignature
from remediator.notify.clicks import SlackClicks
from remediator.sandbox.clicks import SIGNING_SECRET
from remediator.sandbox.faults import Answer
from remediator.sandbox.slack import SlackReceiver, Whisper

#: The example of https://docs.slack.dev/authentication/verifying-requests-from-slack.
AT = 1531420618
BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
HEADERS = {
    "X-Slack-Request-Timestamp": str(AT),
    "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}


@pytest.mark.parametrize(
    ("passed", "holds"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)]
)
def test_slacks_own_example_holds_for_five_minutes(
    monkeypatch: pytest.MonkeyPatch, passed: int, *, holds: bool
) -> None:
    monkeypatch.setattr(Clock, "now", lambda _: AT + passed)
    assert SlackSignature(SIGNING_SECRET).holds(BODY, HEADERS) is holds
    assert not SlackSignature("other").holds(BODY, HEADERS)
    assert not SlackSignature(SIGNING_SECRET).holds(BODY + b"&x=1", HEADERS)


def _clicks(slack: SlackReceiver, *, bot: bool = True) -> SlackClicks:
    return SlackClicks(
        SlackSignature(SIGNING_SECRET), SlackBot(slack.token, api_url=slack.api_url) if bot else None
    )


async def test_the_bot_whispers_in_the_channel(slack: SlackReceiver) -> None:
    await _clicks(slack).whisper("no", channel="C1", user="U1", response_url=slack.response_url("U1"))
    assert slack.whispers == [Whisper("U1", "C1", "no")]
    assert slack.messages == []


@pytest.mark.parametrize("without", ["bot", "channel", "success"])
async def test_else_the_click_s_own_url_does(slack: SlackReceiver, without: str) -> None:
    if without == "success":
        slack.faults.add(lambda call: call.method == "chat.postEphemeral", Answer(503), times=None)
    channel = "" if without == "channel" else "C1"
    await _clicks(slack, bot=without != "bot").whisper(
        "no", channel=channel, user="U1", response_url=slack.response_url("U1")
    )
    assert slack.whispers == [Whisper("U1", "", "no")]


async def test_what_is_whispered_is_harmless(slack: SlackReceiver) -> None:
    """It may quote what another person wrote."""
    await _clicks(slack).whisper("<!channel> *x*", channel="C1", user="U1", response_url="")
    assert slack.whispers[0].text == "&lt;!channel&gt; `*x*`"


async def test_who_can_not_be_told_is_logged_and_holds_nothing_up(
    slack: SlackReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    await slack.down()
    await _clicks(slack).whisper("no", channel="C1", user="U1", response_url="")
    await _clicks(slack, bot=False).whisper("no", channel="", user="U1", response_url="")
    assert capsys.readouterr().out.count("who clicked was not told") == 2
