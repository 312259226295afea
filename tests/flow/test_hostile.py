"""Labels are hostile: nothing in them is executed, addressed or lost, wherever they end up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from remediator.sandbox.slack import Message
from tests.support.daemon import World
from tests.support.rulebooks import alert, rule, rules

HOSTILE = {
    "slack markup": "<!channel> <@U0001> <https://evil.example|click> *bold* `code`",
    "shell": "$(touch pwned); `touch pwned` && touch pwned | sh",
    "jinja": "{{ 7331 * 1337 }}{{ ''.__class__.__mro__ }}{% for x in range(9) %}x{% endfor %}",
    "slash": "cart/../../kube-system/deployment/coredns",
    "dots": "..",
    "newlines": "cart\nfake: line\r\n```\nfence",
    "nul and controls": "cart\x00\x1b[31m\u202eevil",
    "10,000 characters": "a" * 10_000,
    "empty": "",
    "upper case": "CART",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_target_is_no_target(world: World, text: str) -> None:
    """No valid name: no action, a page, an event; and no request to the cluster for anything of that name."""
    world.cluster.deploy("kube-system", "coredns", "registry.example/coredns:1")
    await world.start(rules())
    await world.fire(alert(labels={"job": text}))
    decision = await world.decided("target_invalid")
    await world.idle()
    assert decision["kind"] == "skip"
    page = await world.paged("target_invalid")
    assert set(_mentions(page)) <= {"<!here>"}
    assert [each["data"]["reason"] for each in await world.events("decision.made")] == ["target_invalid"]
    assert not [each for each in world.cluster.audit.entries if each.user_agent.startswith("remediator")]
    assert await _nothing_was_lost(world)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_text_beside_a_valid_target_is_shown_and_not_obeyed(world: World, text: str) -> None:
    await world.start(rules())
    await world.break_service()
    firing = alert(
        instance=text, labels={"alertname": "ServiceDown", "note": text}, annotations={"summary": text}
    )
    await world.fire(firing)
    run = await world.run_ended()
    await world.idle()
    assert run["outcome"] == "succeeded"
    assert run["episodes"][0]["labels"].get("note", "") == text
    for message in world.slack.messages:
        assert not list(_mentions(message))
    assert not list(world.folder.rglob("pwned"))
    assert "9801547" not in json.dumps([message.payload for message in world.slack.messages])
    assert await _nothing_was_lost(world)


async def test_an_alert_without_alertname_is_matched_by_what_it_has(world: World) -> None:
    await world.start(rules(rule(when={"matchers": ['alertname=""', 'severity="critical"']})))
    firing = await world.break_service()
    labels = {name: value for name, value in firing.labels.items() if name != "alertname"}
    await world.fire(type(firing)(labels))
    assert (await world.run_ended())["outcome"] == "succeeded"
    await world.told("without a name")


async def test_an_alert_without_alertname_that_no_rule_takes_is_reported(world: World) -> None:
    await world.start(rules())
    await world.fire(type(alert())({"job": "cart"}))
    await world.decided("no_rule")
    await world.told("an alert without a name", "no_rule")


async def test_an_undefined_label_in_the_target_is_an_invalid_target(world: World) -> None:
    await world.start(rules(rule(target="deployment/shop/{{ labels.app }}")))
    await world.fire(alert())
    decision = await world.decided("target_invalid")
    assert "app" in decision["detail"]
    await world.paged("target_invalid")


@pytest.mark.parametrize(
    "body", [b'{"version":"4"}', b'{"version":"3","alerts":[]}', b"[1]", b'{"a":"\xff"}']
)
async def test_what_is_no_v4_payload_is_kept_and_alarmed_and_holds_nothing_up(
    world: World, body: bytes
) -> None:
    await world.start(rules())
    firing = await world.break_service()
    status, _ = await world.post(body)
    await world.fire(firing)
    assert (await world.run_ended())["outcome"] == "succeeded"
    if status == 200:
        await world.told("webhook quarantined")
    else:
        assert status == 400
        assert b"\xff" in body


async def test_a_fingerprint_that_is_none_is_one_episode_however_often_it_is_told(world: World) -> None:
    """It is the key of its episode: a NUL in it must not keep the alerts after it out."""
    await world.start(rules())
    firing = await world.break_service()
    told = {"status": "firing", "labels": {"alertname": "Odd"}, "startsAt": "2026-03-01T12:00:00Z"}
    body = json.dumps({"version": "4", "alerts": [{**told, "fingerprint": "a\x00b"}]}).encode()
    for _ in range(2):
        assert (await world.post(body))[0] == 200
        await world.idle()
    await world.fire(firing)
    assert (await world.run_ended())["outcome"] == "succeeded"
    opened = [each["data"]["alertname"] for each in await world.events("episode.opened")]
    assert opened == ["Odd", "ServiceDown"]


def _mentions(message: Message) -> Iterator[str]:
    """What Slack would make a link, mention or broadcast of."""
    for text in _texts(message.payload):
        yield from re.findall(r"<[^>]*>", text)


def _texts(payload: Any) -> Iterator[str]:
    if isinstance(payload, dict):
        if payload.get("type") == "plain_text":
            return
        for key, value in payload.items():
            if key == "text" and isinstance(value, str):
                yield value
            else:
                yield from _texts(value)
    elif isinstance(payload, list):
        for each in payload:
            yield from _texts(each)


async def _nothing_was_lost(world: World) -> bool:
    status: dict[str, Any] = await world.get("/status")
    return bool(status["backlog"]["parked_notices"] == 0)
