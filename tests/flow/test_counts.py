"""A rule that takes several alerts together, as those who fire them and read what became of them see it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from remediator.sandbox.alertmanager import Alert
from tests.support.daemon import Story, World, moment, reasons
from tests.support.daemon import written as shown
from tests.support.processes import eventually
from tests.support.rulebooks import SERVICE, TARGET, alert, page_only, rule, rules, step

DOWN = 'alertname="ServiceDown"'


def counting(*, at_least: int = 3, within: str = "5m", **fields: Any) -> dict[str, Any]:
    count = {"at_least": at_least, "within": within, "by": ["namespace", "job"]}
    return rule(**{"when": {"matchers": [DOWN], "count": count}, **fields})


def instance(number: int, **given: Any) -> Alert:
    return alert(instance=f"10.0.0.{number}:80", **given)


async def counted(world: World, said: str) -> Story:
    """The decision by which an alert waits for others, once one says so."""

    async def there() -> Story:
        found = [each for each in await world.get("/decisions?limit=100") if each["reason"] == "count"]
        told = [each for each in found if each["detail"].startswith(said)]
        assert told, [each["detail"] for each in found]
        return dict(told[0])

    return await eventually(there, f"a decision says {said}", within=15)


async def episodes_of(world: World, run: dict[str, Any]) -> set[str]:
    return {each["labels"]["instance"] for each in (await world.story(run))["episodes"]}


async def test_as_many_alerts_as_it_asks_for_are_one_run_and_the_wait_is_told(world: World) -> None:
    await world.start(rules(counting()))
    await world.break_service()
    for number in (1, 2):
        await world.fire(instance(number))
        waiting = await counted(world, f"{number} of 3 within 5m (job=cart, namespace=shop)")
        assert (waiting["kind"], waiting["rule"]) == ("defer", "rollback")
    assert await world.runs() == []
    assert not world.applied()
    await world.fire(instance(3))
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    await world.idle()
    assert await episodes_of(world, run) == {f"10.0.0.{number}:80" for number in (1, 2, 3)}
    assert len(world.applied()) == len(await world.runs()) == 1
    status, told, _ = await world.cli("explain", run["id"])
    assert status == 0
    assert "2 of 3 within 5m" in told
    assert "ServiceDown matched rollback, 3 alerts within 5m" in told


async def test_alerts_that_come_in_one_group_are_one_run_at_once(world: World) -> None:
    await world.start(rules(counting()))
    await world.break_service()
    await world.fire(*map(instance, (1, 2, 3, 4)))
    run = await world.run_ended()
    await world.idle()
    assert len(await episodes_of(world, run)) == 4
    assert "count" not in {each["reason"] for each in await world.get("/decisions?limit=100")}


async def test_too_few_go_on_to_the_next_rule_when_their_time_is_over(world: World) -> None:
    await world.start(rules(counting(within="1s"), page_only()))
    await world.break_service()
    await world.fire(instance(1))
    paged = await world.decided("page_only")
    waited, over = (await world.get("/decisions?limit=100"))[:0:-1]
    assert (waited["reason"], waited["detail"][:6], over["reason"]) == ("count", "1 of 3", "count")
    assert over["detail"].endswith("on to the next rule")
    (opened,) = await world.events("episode.opened")
    assert (moment(over["at"]) - moment(opened["at"])).total_seconds() >= 1
    assert moment(paged["at"]) >= moment(over["at"])
    await world.paged("page wants a person")
    assert await world.runs() == []


async def test_too_few_that_no_other_rule_takes_are_reported(world: World) -> None:
    await world.start(rules(counting(within="1s")))
    await world.fire(instance(1), instance(2))
    decision = await world.decided("no_rule")
    assert decision["detail"].startswith("matchers hold for rollback, but not all else that they ask for")
    await world.told("not acted on (no_rule)")
    await world.idle()
    assert await world.runs() == []


async def test_one_alert_that_flaps_is_not_many_and_one_that_resolved_did_fire(world: World) -> None:
    await world.start(rules(counting(at_least=2)))
    await world.break_service()
    flapping = instance(1)
    for _ in range(3):
        await world.fire(flapping)
        await counted(world, "1 of 2")
        await world.resolve(flapping)
        await world.idle()
        flapping = instance(1)
    assert await world.runs() == []
    await world.fire(instance(2))
    run = await world.run_ended()
    assert await episodes_of(world, run) == {"10.0.0.2:80"}


async def test_a_group_that_waits_survives_a_kill(world: World) -> None:
    text = rules(counting(at_least=2))
    process = await world.spawn(text)
    await world.break_service()
    await world.fire(instance(1))
    await world.decided("count")
    process.kill()
    await world.spawn()
    await world.fire(instance(2))
    run = await world.run_ended()
    await world.idle()
    assert await episodes_of(world, run) == {"10.0.0.1:80", "10.0.0.2:80"}


async def test_a_window_that_ended_while_the_daemon_was_away_is_over(world: World) -> None:
    await world.start(rules(counting(at_least=2, within="1s"), page_only()))
    await world.fire(instance(1))
    waiting = await world.decided("count")
    await world.stop()
    await world.past(moment(waiting["at"]) + timedelta(seconds=1))
    await world.start()
    await world.decided("page_only")


async def test_facts_are_asked_for_once_there_are_enough(world: World) -> None:
    recent = {"check": "kubernetes.rolled_out_within", "with": {"window": "1h"}}
    await world.start(rules(counting(at_least=2, only_if=[recent])))
    await world.break_service()
    await world.fire(instance(1))
    assert (await world.decided("count"))["facts"] == []
    await world.fire(instance(2))
    run = await world.run_ended()
    await world.idle()
    assert len(await episodes_of(world, run)) == 2
    began = next(each for each in run["decisions"] if each["kind"] == "run")
    assert [fact["said"] for fact in began["facts"]] == ["yes"]


async def test_an_alert_counts_once_it_has_fired_for_long_enough(world: World) -> None:
    count = {"at_least": 2, "within": "5m", "by": ["job", "namespace"]}
    young = counting(when={"matchers": [DOWN], "firing_for": "1s", "count": count})
    await world.start(rules(young))
    await world.break_service()
    await world.fire(instance(1), instance(2))
    run = await world.run_ended()
    (opened, _) = await world.events("episode.opened")
    assert (moment(run["started"]) - moment(opened["at"])).total_seconds() >= 0.9
    kinds = reasons(await world.get("/decisions?limit=100"))
    assert kinds.count(("defer", "firing_for")) == 2


async def test_later_rules_may_take_what_waits_if_it_says_so(world: World) -> None:
    await world.start(rules({**counting(within="1s"), "continue": True}, page_only()))
    await world.fire(instance(1))
    await world.decided("page_only")
    await world.idle()
    await world.paged("page wants a person")
    assert not [each for each in world.slack.messages if "no_rule" in each.text]


@pytest.mark.parametrize("written", [rule, partial(counting, at_least=2)], ids=["plain", "counting"])
async def test_one_that_comes_back_within_the_cooldown_escalates_and_repairs_nothing_more(
    world: World, written: Callable[..., dict[str, Any]]
) -> None:
    """Law 2, whether or not the rule counts: the repair did not last, and one alert tells so."""
    contacts = {"lead": {"summary": "leads", "slack": "U0123456"}}
    await world.start(rules(written(escalate=["lead"]), page_only(), contacts=contacts))
    await world.break_service()
    first, second = instance(1), instance(2)
    await world.fire(first, second)
    assert (await world.run_ended())["outcome"] == "succeeded"
    await world.resolve(first, second)
    for _ in range(2):
        back = instance(1)
        await world.fire(back)
        await world.idle()
        await world.resolve(back)
    said = [each for each in await world.get("/decisions?limit=100") if each["reason"] == "cooldown"]
    assert {(each["kind"], each["rule"], each["target"]) for each in said} == {("skip", "rollback", TARGET)}
    assert len(said) == 2
    assert "U0123456" in shown(await world.paged("cooldown", TARGET))
    assert len(world.applied()) == len(await world.runs()) == 1


async def test_after_the_cooldown_the_count_begins_anew(world: World) -> None:
    restart = counting(at_least=2, limits={"cooldown": 0}, steps=[step("kubernetes.rollout_restart")])
    await world.start(rules(restart))
    await world.break_service()
    world.cluster.mend_image(world.image_of())
    first, second = instance(1), instance(2)
    await world.fire(first, second)
    assert (await world.run_ended())["outcome"] == "succeeded"
    await world.resolve(first, second)
    await world.fire(instance(1))
    await counted(world, "1 of 2")
    await world.fire(instance(3))
    run = await world.run_ended(2)
    await world.idle()
    assert await episodes_of(world, run) == {"10.0.0.1:80", "10.0.0.3:80"}
    assert len(world.applied()) == 2


async def test_who_only_observes_counts_as_well(world: World) -> None:
    await world.start(rules(counting(at_least=2, mode="observe")))
    await world.break_service()
    await world.fire(instance(1))
    await counted(world, "1 of 2")
    await world.fire(instance(2))
    assert (await world.run_ended())["outcome"] == "observed"
    assert not world.applied()


async def test_a_guard_is_asked_once_there_are_enough_and_its_no_is_each_ones(world: World) -> None:
    await world.start(rules(counting(at_least=2)))
    assert (await world.cli("pause", "--rule", "rollback", "--why", "a release"))[0] == 0
    await world.fire(instance(1))
    await counted(world, "1 of 2")
    await world.idle()
    assert reasons(await world.get("/decisions?limit=100")) == [("defer", "count")]
    await world.fire(instance(2))
    await world.decided("paused")
    await world.idle()
    assert reasons(await world.get("/decisions?limit=100")).count(("skip", "paused")) == 2
    assert await world.runs() == []


async def test_a_person_waits_for_nobody(world: World) -> None:
    await world.start(rules(counting()))
    await world.break_service()
    labels = ("--label", "namespace=shop", "--label", f"job={SERVICE}")
    status, said, errors = await world.cli("run", "rollback", *labels, "--why", "I saw enough")
    assert status == 0, (said, errors)
    assert (await world.run_ended())["outcome"] == "succeeded"
