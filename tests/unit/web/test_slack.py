"""Slack's clicks: none that Slack did not sign, none of nobody, each counted once, refusals told quietly."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from remediator.clients.slack import SlackSignature
from remediator.core.approvals import APPROVE, DENY, Approval, How
from remediator.core.ports.store import StoreUnavailableError
from remediator.core.runs import RunState
from remediator.sandbox.clicks import SIGNING_SECRET, SignedRequest, click, signed, signed_body
from remediator.sandbox.slack import Message
from remediator.store.sqlite import SqliteStore
from remediator.web import Limits
from tests.store import values
from tests.store.asking import ask
from tests.unit.web.harness import CLOSED, Web, served

PATH = "/slack/interactivity"


class Heard:
    """Slack's own signature, and whispers that are kept."""

    def __init__(self) -> None:
        self._signature = SlackSignature(SIGNING_SECRET)
        self.whispers: asyncio.Queue[tuple[str, str, str, str]] = asyncio.Queue()

    def is_slacks(self, body: bytes, headers: Mapping[str, str]) -> bool:
        return self._signature.holds(body, headers)

    async def whisper(self, text: str, *, channel: str, user: str, response_url: str) -> None:
        await self.whispers.put((text, channel, user, response_url))


@dataclass(slots=True)
class Slack:
    """The daemon's door, the request that it shows, and what was whispered."""

    web: Web
    heard: Heard
    asked: Approval

    def message(self, value: str | None = None) -> Message:
        """The message as it would stand in the channel."""
        elements = [
            {"type": "button", "action_id": action, "text": {}, "value": value or self.asked.ticket}
            for action in (APPROVE, DENY, "somebody.else")
        ]
        return Message("1.2", "C1", {"blocks": [{"type": "actions", "elements": elements}]})

    def payload(self, user: str = "UADA", action: str = APPROVE, value: str | None = None) -> dict[str, Any]:
        return click(
            self.message(value), action, user, response_url="https://hooks.example/x", at=time.time()
        )

    async def post(self, request: SignedRequest, **headers: str) -> int:
        sent = {**request.headers, **headers}
        status, _, _ = await self.web.ask("POST", PATH, headers=sent, data=request.body)
        return status

    async def press(self, user: str = "UADA", action: str = APPROVE, value: str | None = None) -> int:
        return await self.post(signed(self.payload(user, action, value), at=time.time()))

    async def state(self) -> RunState:
        run = await self.web.store.run(self.asked.run)
        assert run is not None
        return run.state

    async def whispered(self) -> str:
        async with asyncio.timeout(5):
            return (await self.heard.whispers.get())[0]

    async def silent(self) -> bool:
        """Nothing was whispered; each whisper is begun before its request is answered."""
        await asyncio.sleep(0)
        return self.heard.whispers.empty()


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[Slack]:
    heard = Heard()
    async with served(tmp_path, credentials=CLOSED, clicks=heard) as web:
        run = await values.begin(web.store, "r-1")
        yield Slack(web, heard, await ask(web.store, run))


@pytest.mark.parametrize(
    ("user", "action", "state", "settled"),
    [
        ("UADA", APPROVE, RunState.PENDING, "granted"),
        ("USAM", APPROVE, RunState.PENDING, "granted"),
        ("UADA", DENY, RunState.REFUSED, "denied"),
    ],
)
async def test_a_click_of_a_person_who_may_answers_the_request(
    slack: Slack, user: str, action: str, state: RunState, settled: str
) -> None:
    assert await slack.press(user, action) == 200
    assert await slack.state() is state
    ((approval,),) = [row.approvals for row in await slack.web.store.run_row("r-1")]
    assert (approval.settled, approval.how) == (settled, How.SLACK)
    assert approval.who == {"UADA": "ada", "USAM": "sam"}[user]
    assert await slack.silent()
    assert await slack.web.metric("remediator_approvals_total", outcome=settled, how="slack") == 1


async def test_slacks_own_published_payload_is_understood(slack: Slack) -> None:
    """It is no button of ours, and so it is taken and changes nothing."""
    published = {
        "type": "block_actions",
        "team": {"id": "T9TK3CUKW", "domain": "example"},
        "user": {"id": "UA8RXUSPL", "username": "jtorrance", "team_id": "T9TK3CUKW"},
        "api_app_id": "AABA1ABCD",
        "token": "9s8d9as89d8as9d8as989",
        "container": {
            "type": "message_attachment",
            "message_ts": "1548261231.000200",
            "attachment_id": 1,
            "channel_id": "CBR2V3XEX",
            "is_ephemeral": False,
            "is_app_unfurl": False,
        },
        "trigger_id": "12321423423.333649436676.d8c1bb837935619ccad0f624c448ffb3",
        "channel": {"id": "CBR2V3XEX", "name": "review-updates"},
        "message": {
            "bot_id": "BAH5CA16Z",
            "type": "message",
            "text": "This content can't be displayed.",
            "user": "UAJ2RU415",
            "ts": "1548261231.000200",
        },
        "response_url": "https://hooks.slack.com/actions/AABA1ABCD/1232321423432/D09sSasdasdAS9091209",
        "actions": [
            {
                "action_id": "WaXA",
                "block_id": "=qXel",
                "text": {"type": "plain_text", "text": "View", "emoji": True},
                "value": "click_me_123",
                "type": "button",
                "action_ts": "1548426417.840180",
            }
        ],
    }
    assert await slack.post(signed(published, at=time.time())) == 200
    assert await slack.state() is RunState.ASKING
    mine = {**published, "user": {"id": "UADA"}, "actions": slack.payload()["actions"]}
    assert await slack.post(signed(mine, at=time.time())) == 200
    assert await slack.state() is RunState.PENDING


FORGED = {
    "another secret": lambda slack: signed(slack.payload(), at=time.time(), secret="another"),
    "another body": lambda slack: replace(
        signed(slack.payload("UVIC"), at=time.time()), body=signed(slack.payload(), at=0).body
    ),
    "too old": lambda slack: signed(slack.payload(), at=time.time() - 302),
    "from the future": lambda slack: signed(slack.payload(), at=time.time() + 302),
    "another time": lambda slack: replace(
        one := signed(slack.payload(), at=time.time()),
        headers={**one.headers, "X-Slack-Request-Timestamp": str(int(time.time()) - 5)},
    ),
    "no time": lambda slack: replace(
        one := signed(slack.payload(), at=time.time()),
        headers={k: v for k, v in one.headers.items() if "Timestamp" not in k},
    ),
    "no number for a time": lambda slack: replace(
        one := signed(slack.payload(), at=time.time()),
        headers={**one.headers, "X-Slack-Request-Timestamp": "soon"},
    ),
    "no signature": lambda slack: replace(
        one := signed(slack.payload(), at=time.time()),
        headers={k: v for k, v in one.headers.items() if "Signature" not in k},
    ),
    "a signature of what no signature is made of": lambda slack: replace(
        one := signed(slack.payload(), at=time.time()),
        headers={**one.headers, "X-Slack-Signature": "v0=\u00fc"},
    ),
    "a bearer's token instead": lambda slack: SignedRequest(
        {"Authorization": "Bearer adas", "Content-Type": "application/x-www-form-urlencoded"},
        urlencode({"payload": json.dumps(slack.payload())}).encode(),
    ),
}


@pytest.mark.parametrize("forged", FORGED)
async def test_what_slack_did_not_sign_a_moment_ago_is_counted_alarmed_and_nothing_else(
    slack: Slack, forged: str
) -> None:
    assert await slack.post(FORGED[forged](slack)) == 401
    assert await slack.state() is RunState.ASKING
    assert slack.web.heard.kinds == ["slack_unauthorized"]
    assert await slack.web.metric("remediator_auth_refused_total", route=PATH) == 1
    assert await slack.silent()


async def test_a_body_that_is_no_text_is_refused_like_any_that_slack_did_not_sign(slack: Slack) -> None:
    good = signed(slack.payload(), at=time.time())
    assert await slack.post(replace(good, body=b"\xff\xfe")) == 401


async def test_without_a_signing_secret_nobody_gets_in(tmp_path: Path) -> None:
    async with served(tmp_path, credentials=CLOSED) as web:
        slack = Slack(web, Heard(), await ask(web.store, await values.begin(web.store, "r-1")))
        assert await slack.press() == 401
        assert await slack.state() is RunState.ASKING
        assert web.heard.alarms[0][0] == "slack_unauthorized"
        assert "no signing secret" in web.heard.alarms[0][1]


async def test_a_click_that_comes_twice_counts_once_and_says_nothing(slack: Slack) -> None:
    one = signed(slack.payload(), at=time.time())
    assert [await slack.post(one), await slack.post(one), await slack.press()] == [200, 200, 200]
    assert await slack.silent()
    assert await slack.web.metric("remediator_approvals_total") == 1
    ((approval,),) = [row.approvals for row in await slack.web.store.run_row("r-1")]
    assert approval.who == "ada"


async def test_of_two_people_the_second_is_told_who_was_first(slack: Slack) -> None:
    assert await slack.press("UADA") == 200
    assert await slack.press("USAM", DENY) == 200
    assert "already approved by ada (slack)" in await slack.whispered()
    assert await slack.state() is RunState.PENDING


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("U0123", "Slack user U0123 is nobody of OPERATORS_FILE"),
        ("", "is nobody of OPERATORS_FILE"),
        ("UVIC", "vic may look, not act"),
    ],
)
async def test_who_may_not_answer_is_told_why_and_nobody_else_is(slack: Slack, user: str, said: str) -> None:
    assert await slack.press(user) == 200
    text, channel, to, response_url = await asyncio.wait_for(slack.heard.whispers.get(), 5)
    assert said in text
    assert (channel, to, response_url) == ("C1", user, "https://hooks.example/x")
    assert await slack.state() is RunState.ASKING


async def test_who_may_not_act_on_the_target_is_refused_by_name(tmp_path: Path) -> None:
    heard = Heard()
    async with served(tmp_path, credentials=CLOSED, clicks=heard) as web:
        run = await values.begin(web.store, "r-1", target=values.NODE)
        slack = Slack(web, heard, await ask(web.store, run))
        assert await slack.press("USAM") == 200
        said = await slack.whispered()
        assert "sam may not approve what is done to west/node/n1: only act on targets of shop" in said
        assert await slack.state() is RunState.ASKING


async def test_the_button_of_an_older_message_answers_nothing(slack: Slack) -> None:
    assert await slack.press(value=f"r-1 {'e' * 64}") == 200
    assert "the plan has changed since" in await slack.whispered()
    assert await slack.state() is RunState.ASKING


@pytest.mark.parametrize(
    ("value", "said"),
    [("r-1", "another version"), (f"r-none {'e' * 64}", "there is no run r-none")],
)
async def test_a_button_that_names_nothing_of_ours_says_so(slack: Slack, value: str, said: str) -> None:
    assert await slack.press(value=value) == 200
    assert said in await slack.whispered()


async def test_too_late_is_told(slack: Slack) -> None:
    await slack.press("UADA", DENY)
    await slack.press("USAM")
    assert "already denied by ada" in await slack.whispered()


@pytest.mark.parametrize(
    "body",
    [b"", b"payload=", b"payload=%7B", b"payload=%5B%5D", b"x=1", urlencode({"payload": "{}"}).encode()],
)
async def test_what_slack_signed_and_nobody_understands_is_400(slack: Slack, body: bytes) -> None:
    assert await slack.post(signed_body(body, at=time.time())) == 400


async def test_other_interactions_and_other_buttons_are_taken_and_change_nothing(slack: Slack) -> None:
    assert await slack.press(action="somebody.else") == 200
    assert await slack.post(signed({**slack.payload(), "type": "view_submission"}, at=time.time())) == 200
    assert await slack.post(signed({"type": "view_closed"}, at=time.time())) == 200
    assert await slack.state() is RunState.ASKING
    assert await slack.silent()


async def test_a_body_beyond_all_measure_is_413(tmp_path: Path) -> None:
    async with served(tmp_path, clicks=Heard(), limits=Limits(click_bytes=1000)) as web:
        status, _, _ = await web.ask("POST", PATH, data=b"x" * 1001)
        assert status == 413


class Gone(SqliteStore):
    """A ledger that fails once a click is to be answered."""

    async def run_row(self, prefix: str) -> Any:
        del prefix
        raise StoreUnavailableError("planted")


async def test_a_ledger_that_does_not_answer_is_503(tmp_path: Path) -> None:
    heard = Heard()
    async with served(tmp_path, credentials=CLOSED, clicks=heard, make_store=Gone) as web:
        slack = Slack(web, heard, await ask(web.store, await values.begin(web.store, "r-1")))
        assert await slack.press() == 503
        assert await web.metric("remediator_store_errors_total") == 1


class Slow(SqliteStore):
    async def run_row(self, prefix: str) -> Any:
        del prefix
        await asyncio.Event().wait()


async def test_it_is_answered_before_slack_loses_patience(tmp_path: Path) -> None:
    heard = Heard()
    limits = Limits(click=0.2)
    assert Limits().click < 3
    async with served(tmp_path, credentials=CLOSED, clicks=heard, make_store=Slow, limits=limits) as web:
        slack = Slack(web, heard, await ask(web.store, await values.begin(web.store, "r-1")))
        assert await slack.press() == 503
