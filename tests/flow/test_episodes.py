"""Once per episode: repeats, resolves and refires, from an Alertmanager that contradicts itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.support.daemon import World, changing, moment, reading, reasons
from tests.support.rulebooks import alert, image, page_only, rule, rules

RECENT = {"check": "kubernetes.rolled_out_within", "with": {"window": "1h"}}


async def test_an_alert_that_resolves_before_the_intent_cancels_its_run(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    held = world.hold(reading)
    await world.fire(firing)
    await held.struck()
    await world.get("/status")
    _, paused = await world.ask("POST", "/api/v1/pauses", {"scope": "all", "value": "", "why": "to be slow"})
    held.release()
    await world.run_in("ready")
    await world.resolve(firing)
    run = await world.run_ended()
    assert (run["outcome"], run["reason"], paused["scope"]) == ("cancelled", "resolved", "all")
    assert not world.applied()
    assert not world.pages


async def test_an_alert_that_resolves_after_the_intent_cancels_nothing(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    held = world.hold(changing)
    await world.fire(firing)
    await held.struck()
    await world.resolve(firing)
    held.release()
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 1


async def test_an_alert_that_is_resolved_when_first_seen_starts_nothing(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    await world.fire(firing.resolved())
    await world.idle()
    assert await world.get("/decisions") == []
    assert not world.applied()


async def test_a_starts_at_that_moves_back_is_the_same_episode(world: World) -> None:
    """Alertmanager merges a peer's earlier startsAt into an alert that it told before."""
    await world.start(rules())
    firing = await world.break_service()
    await world.fire(firing)
    earlier = firing.starts_at - timedelta(minutes=3)
    await world.fire(replace(firing, starts_at=earlier))
    run = await world.run_ended()
    await world.idle()
    assert len(await world.runs()) == 1
    (episode,) = (await world.story(run))["episodes"]
    assert moment(episode["starts_at"]) == earlier
    assert episode["repeats"] == 1


async def test_a_refire_without_a_resolve_in_between_is_a_new_episode(world: World) -> None:
    """A startsAt over five minutes after the last sighting: the end in between was never told."""
    await world.start(rules())
    firing = await world.break_service()
    await world.fire(firing)
    await world.run_ended()
    await world.fire(replace(firing, starts_at=datetime.now(UTC) + timedelta(minutes=6)))
    await world.decided("cooldown")
    assert len(await world.events("episode.refired")) == 1
    assert len(world.applied()) == 1


async def test_a_firing_told_late_for_an_episode_that_ended_is_stale(world: World) -> None:
    """A peer that lags repeats what the other has already told the end of."""
    await world.start(rules())
    firing = await world.break_service()
    await world.fire(firing)
    await world.run_ended()
    await world.resolve(firing)
    await world.fire(firing)
    await world.idle()
    assert len(await world.events("episode.stale")) == 1
    assert reasons(await world.get("/decisions")) == [("run", "matched")]


async def test_a_resolve_and_a_refire_within_the_cooldown_are_not_acted_on(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    await world.fire(firing)
    await world.run_ended()
    await world.resolve(firing)
    await world.fire(replace(firing, starts_at=datetime.now(UTC)))
    await world.decided("cooldown")
    await world.paged("cooldown")
    assert len(world.applied()) == 1


async def test_an_instance_that_alerts_during_the_run_joins_it(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    held = world.hold(changing)
    await world.fire(firing)
    await held.struck()
    await world.fire(alert(instance="another"))
    assert (await world.decided("joined"))["kind"] == "join"
    held.release()
    run = await world.run_ended()
    assert len(run["episodes"]) == 2
    assert len(world.applied()) == 1


async def test_an_alert_that_began_before_the_run_ended_belongs_to_it(world: World) -> None:
    await world.start(rules())
    firing = await world.break_service()
    await world.fire(firing)
    run = await world.run_ended()
    await world.fire(alert(instance="late", starts_at=firing.starts_at))
    decision = await world.decided("joined_late")
    assert (decision["kind"], decision["run"]) == ("join", run["id"])
    assert not world.pages


async def test_an_instance_joins_although_the_facts_have_changed_by_the_run_itself(world: World) -> None:
    """After the rollback no rollout is to blame any more: that must not hand the alert to the next rule."""
    within = {"within": "20s", "checks": [{"check": "kubernetes.rolled_out"}]}
    await world.start(rules(rule(only_if=[RECENT], verify=within), page_only()))
    firing = await world.break_service()
    world.cluster.break_image(image("cart", 2))
    await world.fire(firing)
    await world.run_in("verifying")
    await world.fire(alert(instance="another"))
    assert (await world.decided("joined"))["rule"] == "rollback"
    world.cluster.mend_image(image("cart", 2))
    run = await world.run_ended()
    await world.fire(alert(instance="late", starts_at=firing.starts_at))
    assert (await world.decided("joined_late"))["run"] == run["id"]
    await world.idle()
    assert run["outcome"] == "succeeded"
    assert not world.pages


async def test_joining_a_run_that_did_not_succeed_is_reported(world: World) -> None:
    never = {"within": "1s", "checks": [{"check": "kubernetes.rolled_out"}]}
    await world.start(rules(rule(verify=never)))
    firing = await world.break_service()
    world.cluster.break_image("registry.example/cart:2")
    await world.fire(firing)
    assert (await world.run_ended())["outcome"] == "failed"
    await world.fire(alert(instance="late", starts_at=firing.starts_at))
    await world.decided("joined_late")
    await world.told("belongs to a run that did not succeed")


async def test_firing_for_defers_and_then_runs(world: World) -> None:
    trigger = {"matchers": ['alertname="ServiceDown"'], "firing_for": "2s"}
    await world.start(rules(rule(when=trigger)))
    firing = await world.break_service()
    fired_at = datetime.now(UTC)
    await world.fire(replace(firing, starts_at=fired_at))
    deferred = await world.decided("firing_for")
    assert deferred["kind"] == "defer"
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert moment(run["started"]) >= fired_at + timedelta(seconds=2)


async def test_an_alert_that_ends_before_firing_for_is_over_starts_nothing(world: World) -> None:
    trigger = {"matchers": ['alertname="ServiceDown"'], "firing_for": "1s"}
    await world.start(rules(rule(when=trigger)))
    firing = replace(await world.break_service(), starts_at=datetime.now(UTC))
    await world.fire(firing)
    await world.decided("firing_for")
    await world.resolve(firing)
    await world.decided("resolved")
    assert await world.runs() == []


async def test_coming_back_within_the_cooldown_is_no_other_rules_although_our_rollback_changed_the_facts(
    world: World,
) -> None:
    """After our rollback `rolled_out_within` says no: still, what is told is that the repair did not last."""
    await world.start(rules(rule(only_if=[RECENT]), page_only()))
    firing = await world.break_service()
    await world.fire(firing)
    assert (await world.run_ended())["outcome"] == "succeeded"
    await world.fire(alert(instance="another"))
    decision = await world.decided("cooldown")
    assert (decision["rule"], decision["kind"]) == ("rollback", "skip")
    await world.paged("cooldown")
    assert len(world.applied()) == 1
