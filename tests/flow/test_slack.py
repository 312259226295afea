"""What people are told: at least once, in order, whatever Slack does; and no run waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from remediator.sandbox.faults import Answer, DropReply, Hang
from remediator.sandbox.slack import WEBHOOK_CHANNEL, Call
from tests.support.daemon import World, written
from tests.support.processes import eventually
from tests.support.rulebooks import alert, page_only, rule, rules, step


def anything(_: Call) -> bool:
    return True


def called(method: str) -> Callable[[Call], bool]:
    return lambda call: call.method == method


async def test_a_run_is_one_message_that_is_kept_up_to_date(world: World) -> None:
    await world.start(rules())
    await world.fire(await world.break_service())
    run = await world.run_ended()
    await world.idle()
    (message,) = world.slack.messages
    assert message.channel == "#incidents"
    assert "repaired and verified" in message.text
    assert run["id"] in written(message)
    assert "more like it" not in written(message)


async def test_slack_down_for_the_whole_run_holds_nothing_up_and_loses_nothing(world: World) -> None:
    await world.start(rules())
    await world.slack.down()
    await world.fire(await world.break_service())
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert world.slack.messages == []
    await world.slack.up()
    await world.idle()
    (message,) = world.slack.messages
    assert "repaired and verified" in message.text
    assert "more like it" not in written(message)


async def test_slack_down_for_an_hour_is_tried_again_and_again_and_keeps_the_order(world: World) -> None:
    """The backoff is scaled down; what counts is that no number of failures makes it give up."""
    await world.start(rules(rule(limits={"cooldown": "1h"})))
    down = world.slack.faults.add(anything, Answer(503), times=None)
    await world.fire(await world.break_service())
    await world.run_ended()
    for number in range(3):
        await world.fire(alert(instance=f"again-{number}"))
    await world.decided("cooldown")
    await eventually(lambda: down.hits >= 8, "it was tried eight times", within=20)
    assert (await world.get("/status"))["backlog"]["parked_notices"] == 0
    world.slack.faults.remove(down)
    status = await world.idle()
    assert status["backlog"]["parked_notices"] == 0
    assert len([each for each in world.slack.messages if "repaired and verified" in each.text]) == 1
    (page,) = world.pages
    assert "and 2 more like it" in page.text


async def test_a_backlog_survives_a_restart(world: World) -> None:
    await world.start(rules())
    await world.slack.down()
    await world.fire(await world.break_service())
    await world.run_ended()
    await world.stop()
    await world.slack.up()
    await world.start()
    await world.told("repaired and verified")


async def test_retry_after_is_honoured(world: World) -> None:
    await world.start(rules())
    throttled = world.slack.faults.add(anything, Answer(429, retry_after=2), times=1)
    await world.fire(await world.break_service())
    await throttled.struck()
    at = asyncio.get_running_loop().time()
    await world.run_ended()
    await world.told("repaired and verified")
    assert asyncio.get_running_loop().time() - at >= 1.8


@pytest.mark.parametrize("fault", [Answer(500), Answer(503), DropReply()], ids=str)
async def test_a_failed_delivery_is_made_again(world: World, fault: Answer | DropReply) -> None:
    await world.start(rules())
    planned = world.slack.faults.add(called("chat.postMessage"), fault, times=2)
    await world.fire(await world.break_service())
    await world.run_ended()
    await world.told("repaired and verified")
    status = await world.idle()
    assert planned.hits == 2
    assert status["backlog"]["parked_notices"] == 0


async def test_a_slack_that_hangs_holds_no_run_up(world: World) -> None:
    await world.start(rules())
    world.slack.faults.add(anything, Hang(), times=None)
    await world.fire(await world.break_service())
    assert (await world.run_ended(within=5))["outcome"] == "succeeded"


async def test_pages_do_not_queue_behind_reports(world: World) -> None:
    """The first rule's reports can't be delivered; the page of the second must be."""
    await world.start(
        rules(
            {**rule(report=["slack:#stuck"]), "continue": True}, page_only("a-page", report=["slack:#oncall"])
        )
    )
    world.slack.faults.add(lambda call: call.arguments.get("channel") == "#stuck", Answer(503), times=None)
    await world.fire(await world.break_service())
    page = await world.paged("a-page wants a person")
    assert page.channel == "#oncall"


async def test_a_channel_that_slack_refuses_is_parked_with_an_event_and_stops_no_other(world: World) -> None:
    await world.start(rules(rule(report=["slack:#incidents"])), slack_bot_token=SecretStr("xoxb-wrong"))
    await world.fire(await world.break_service())
    run = await world.run_ended()
    status = await world.idle()
    assert run["outcome"] == "succeeded"
    assert status["backlog"]["parked_notices"] >= 1
    parked = await world.events("notice.parked")
    assert "invalid_auth" in parked[0]["data"]["error"]


async def test_by_an_incoming_webhook_the_beginning_the_end_and_pages_are_told(world: World) -> None:
    url = SecretStr(world.slack.webhook_url)
    await world.start(rules(), slack_bot_token=None, slack_webhook_url=url)
    await world.fire(await world.break_service())
    await world.run_ended()
    await world.told("repaired and verified")
    await world.idle()
    assert 1 <= len(world.slack.messages) <= 2


async def test_a_secret_that_a_rule_file_refers_to_is_used_and_written_nowhere(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor is a file taken up whose secret isn't there: it is told where it was looked for."""
    text = rules(rule(report=["leads"]), channels={"leads": {"slack_webhook": {"env": "LEADS_WEBHOOK"}}})
    await world.start(rules())
    world.write_rules(text)
    status, said = await world.ask("POST", "/api/v1/rulebook/reload", {})
    assert status == 422
    assert "the secret {env: LEADS_WEBHOOK} can't be had: the variable LEADS_WEBHOOK is not set" in str(said)
    monkeypatch.setenv("LEADS_WEBHOOK", world.slack.webhook_url)
    assert (await world.ask("POST", "/api/v1/rulebook/reload", {}))[0] == 200
    await world.fire(await world.break_service())
    run = await world.run_ended()
    message = await world.told("repaired and verified")
    assert message.channel == WEBHOOK_CHANNEL
    await world.idle()
    seen = [str(await world.story(run)), str(await world.get("/status")), str(await world.events())]
    await world.stop()
    kept = b"".join(file.read_bytes() for file in world.folder.glob("ledger*"))
    path = urlsplit(world.slack.webhook_url).path
    assert b"env=LEADS_WEBHOOK" in kept
    assert path.encode() not in kept
    assert path not in "".join((*seen, *capfd.readouterr()))


async def test_without_slack_what_is_to_be_told_is_logged(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.start(rules(), slack_bot_token=None)
    await world.fire(await world.break_service())
    await world.run_ended()
    await world.idle()
    assert "repaired and verified" in capsys.readouterr().out


async def test_a_run_that_fails_pages_once(world: World) -> None:
    await world.start(rules(rule(steps=[step()])))
    await world.fire(alert("missing"))
    assert (await world.run_ended())["outcome"] == "failed"
    await world.idle()
    assert len(world.pages) == 1
