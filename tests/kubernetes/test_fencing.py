"""Law 5 on both clusters: one actor per target, and the API server itself refuses whoever is late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from remediator.core.ports.actions import Sighting
from remediator.core.runs import Outcome
from tests.support.acting import RESTART, SCALE, UNDO, ArmedClient, Hand
from tests.support.clusters import BROKEN, GOOD, Cluster, image_of
from tests.support.proxy import Proxy

TOKEN = "remediator.dev/fencing-token"


@pytest.fixture
async def proxy(cluster: Cluster) -> AsyncIterator[Proxy]:
    async with Proxy(cluster.url) as running:
        yield running


@pytest.fixture
async def hand(cluster: Cluster) -> AsyncIterator[Hand]:
    async with Hand(cluster) as made:
        yield made


async def token_of(cluster: Cluster) -> str | None:
    noted: dict[str, str] = (await cluster.get("cart"))["metadata"].get("annotations", {})
    return noted.get(TOKEN)


async def test_planning_stamps_nothing_and_applying_stamps_the_token(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    context = hand.context(token=3)
    plan = await hand.planned(UNDO, context)
    assert await token_of(cluster) is None
    await hand.apply(UNDO, context, plan)
    assert await token_of(cluster) == "3"


async def test_an_older_token_is_refused_and_a_newer_one_takes_over(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    await cluster.annotate("cart", fencing_token="10")
    late = await hand.act(token=9)
    assert late.outcome is Outcome.FAILED
    assert "superseded" in late.detail
    assert (cluster.writes(), await token_of(cluster)) == ([], "10")
    assert (await hand.act(token=11)).outcome is Outcome.SUCCEEDED
    assert await token_of(cluster) == "11"


async def test_tokens_are_compared_as_numbers(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    await cluster.annotate("cart", fencing_token="9")
    assert (await hand.act(token=10)).outcome is Outcome.SUCCEEDED


async def test_a_token_that_is_no_number_stops_it_and_says_the_remedy(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    await cluster.annotate("cart", fencing_token="soon")
    refused = await hand.act()
    assert refused.outcome is Outcome.FAILED
    assert f"remove the annotation {TOKEN}" in refused.detail
    assert cluster.writes() == []


async def test_a_probe_stamps_its_own_token_first(cluster: Cluster, hand: Hand) -> None:
    """So that whoever it looks for can't arrive after it looked."""
    await cluster.deploy("cart", GOOD, BROKEN)
    first = hand.context(token=1)
    plan = await hand.planned(UNDO, first)
    probe = await hand.probe(UNDO, hand.context(token=2), plan)
    assert probe.sighting is Sighting.NOT_HAPPENED
    assert await token_of(cluster) == "2"
    result = await hand.apply(UNDO, first, plan)
    assert result.outcome is Outcome.FAILED
    assert image_of(await cluster.get("cart")) == BROKEN


async def test_an_older_probe_proves_nothing(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    context = hand.context(token=1)
    plan = await hand.planned(UNDO, context)
    await cluster.annotate("cart", fencing_token="2")
    assert (await hand.probe(UNDO, context, plan)).sighting is Sighting.UNPROVABLE


async def test_a_write_that_arrives_after_its_probe_is_refused_by_the_server(
    cluster: Cluster, hand: Hand, proxy: Proxy
) -> None:
    """A replica's write is stuck on its way; its run is taken over and probed; then the write arrives."""
    await cluster.deploy("cart", GOOD, BROKEN)
    client = ArmedClient(cluster.kubeconfig(url=proxy.url), proxy, cut=False, timeout=30)
    async with Hand(cluster, client) as stuck:
        context = stuck.context(token=1)
        plan = await stuck.planned(UNDO, context)
        writing = asyncio.create_task(stuck.apply(UNDO, context, plan))
        await proxy.holding.wait()
        probe = await hand.probe(UNDO, hand.context(token=2), plan)
        assert probe.sighting is Sighting.NOT_HAPPENED
        client.held.set()
        late = await writing
    assert late.outcome is Outcome.FAILED
    assert "superseded" in late.detail
    assert image_of(await cluster.get("cart")) == BROKEN
    assert cluster.template_writes() == []


async def test_a_stamp_that_arrives_late_never_lowers_the_token(
    cluster: Cluster, hand: Hand, proxy: Proxy
) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    client = ArmedClient(cluster.kubeconfig(url=proxy.url), proxy, cut=False, timeout=30, stamp=True)
    async with Hand(cluster, client) as stuck:
        context = stuck.context(token=1)
        plan = await stuck.planned(UNDO, context)
        writing = asyncio.create_task(stuck.apply(UNDO, context, plan))
        await proxy.holding.wait()
        assert (await hand.probe(UNDO, hand.context(token=2), plan)).sighting is Sighting.NOT_HAPPENED
        client.held.set()
        assert (await writing).outcome is Outcome.FAILED
    assert await token_of(cluster) == "2"


async def test_without_that_probe_the_same_write_is_accepted(cluster: Cluster, proxy: Proxy) -> None:
    """The test above proves something only if nothing but the token refuses the write."""
    await cluster.deploy("cart", GOOD, BROKEN)
    client = ArmedClient(cluster.kubeconfig(url=proxy.url), proxy, cut=False, timeout=30)
    async with Hand(cluster, client) as stuck:
        writing = asyncio.create_task(stuck.act())
        await proxy.holding.wait()
        client.held.set()
        assert (await writing).outcome is Outcome.SUCCEEDED


PAUSED = {"spec": {"paused": True}}
ANOTHER_TEMPLATE = {"spec": {"template": {"metadata": {"labels": {"release": "2"}}}}}
PROTECTED = {"metadata": {"annotations": {"remediator.dev/protected": "true"}}}
SCALED = {"spec": {"replicas": 6}}
LABELLED = {"metadata": {"labels": {"tier": "db"}}}
BARE = {"metadata": {"labels": None}}


@pytest.mark.parametrize(
    ("before", "judged", "change", "why"),
    [
        ({}, {"tier": None}, LABELLED, "which is 'db' now"),
        ({"team": "shop"}, {"tier": None}, LABELLED, "which is 'db' now"),
        ({"tier": "web"}, {"tier": "web"}, LABELLED, "which is 'db' now"),
        ({"tier": "web"}, {"tier": "web"}, BARE, "which is gone"),
        ({"tier": "web"}, {"tier": "web"}, PROTECTED, "has been protected"),
    ],
    ids=["none to one", "others to one", "another", "one to none", "protected"],
)
@pytest.mark.parametrize("stamp", [True, False], ids=["stamp", "write"])
async def test_what_is_labelled_or_protected_at_that_very_moment_is_left_alone(
    cluster: Cluster,
    proxy: Proxy,
    before: dict[str, str],
    judged: dict[str, str | None],
    change: dict[str, object],
    why: str,
    *,
    stamp: bool,
) -> None:
    """Neither stamped nor changed: the API server itself tests what the guards judged by."""
    await cluster.deploy("cart", GOOD, BROKEN)
    await cluster.merge("cart", {"metadata": {"labels": before}})
    client = ArmedClient(cluster.kubeconfig(url=proxy.url), proxy, cut=False, timeout=30, stamp=stamp)
    async with Hand(cluster, client) as stuck:
        context = replace(stuck.context(), labels=judged)
        plan = await stuck.planned(UNDO, context)
        assert {key: plan.sight.labels.get(key) for key in judged} == judged
        writing = asyncio.create_task(stuck.apply(UNDO, context, plan))
        await proxy.holding.wait()
        await cluster.merge("cart", change)
        client.held.set()
        late = await writing
    assert (late.outcome, why in late.detail) == (Outcome.FAILED, True), late
    assert image_of(await cluster.get("cart")) == BROKEN
    assert await token_of(cluster) == (None if stamp else "1")


@pytest.mark.parametrize("labels", [{}, {"tier": "web"}])
async def test_labels_that_nobody_judged_by_may_change(
    cluster: Cluster, hand: Hand, labels: dict[str, str]
) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    await cluster.merge("cart", {"metadata": {"labels": labels}})
    context = replace(hand.context(), labels={"tier": labels.get("tier")})
    plan = await hand.planned(UNDO, context)
    await cluster.merge("cart", {"metadata": {"labels": {"seen": "yes"}}})
    assert (await hand.apply(UNDO, context, plan)).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("action", "params", "change", "why"),
    [
        (UNDO, {}, PAUSED, "/spec/paused"),
        (UNDO, {}, ANOTHER_TEMPLATE, "/spec/template"),
        (UNDO, {}, PROTECTED, "has been protected"),
        (RESTART, {}, PAUSED, "/spec/paused"),
        (RESTART, {}, ANOTHER_TEMPLATE, "/spec/template"),
        (SCALE, {"replicas": 4}, SCALED, "/spec/replicas"),
    ],
    ids=["undo paused", "undo moved", "undo protected", "restart paused", "restart moved", "scale scaled"],
)
async def test_what_changes_between_the_last_look_and_the_write_refuses_it(
    cluster: Cluster,
    proxy: Proxy,
    action: str,
    params: dict[str, object],
    change: dict[str, object],
    why: str,
) -> None:
    """No window is left: the fields that matter are tested by the write itself."""
    await cluster.deploy("cart", GOOD, BROKEN)
    client = ArmedClient(cluster.kubeconfig(url=proxy.url), proxy, cut=False, timeout=30)
    async with Hand(cluster, client) as stuck:
        writing = asyncio.create_task(stuck.act(action, params=params))
        await proxy.holding.wait()
        await cluster.merge("cart", change)
        client.held.set()
        late = await writing
    assert late.outcome is Outcome.FAILED
    assert why in late.detail
    assert [
        write for write in cluster.writes() if write.sets("/spec/template") or write.sets("/spec/replicas")
    ] == []


async def test_a_deployment_made_anew_at_that_very_moment_is_left_alone(
    cluster: Cluster, proxy: Proxy
) -> None:
    """Even one with the same template and the same token: it has another uid."""
    found = await cluster.deploy("cart", GOOD, BROKEN)
    client = ArmedClient(cluster.kubeconfig(url=proxy.url), proxy, cut=False, timeout=30)
    async with Hand(cluster, client) as stuck:
        writing = asyncio.create_task(stuck.act(token=4))
        await proxy.holding.wait()
        await cluster.call("DELETE", "deployments/cart")
        anew = {"name": "cart", "annotations": {TOKEN: "4"}}
        await cluster.call("POST", "deployments", {"metadata": anew, "spec": found["spec"]})
        client.held.set()
        late = await writing
    assert late.outcome is Outcome.FAILED
    assert "made anew" in late.detail
    assert image_of(await cluster.get("cart")) == BROKEN


async def test_replicas_changed_at_that_very_moment_survive(cluster: Cluster, proxy: Proxy) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    client = ArmedClient(cluster.kubeconfig(url=proxy.url), proxy, cut=False, timeout=30)
    async with Hand(cluster, client) as stuck:
        writing = asyncio.create_task(stuck.act())
        await proxy.holding.wait()
        await cluster.merge("cart", SCALED)
        client.held.set()
        assert (await writing).outcome is Outcome.SUCCEEDED
    assert (await cluster.get("cart"))["spec"]["replicas"] == 6


async def test_a_write_that_is_never_answered_is_unknown_and_its_probe_finds_nothing(
    cluster: Cluster, hand: Hand, proxy: Proxy
) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    client = ArmedClient(cluster.kubeconfig(url=proxy.url), proxy, cut=False, timeout=1)
    async with Hand(cluster, client) as stuck:
        context = stuck.context(token=1)
        plan = await stuck.planned(UNDO, context)
        result = await stuck.apply(UNDO, context, plan)
    assert result.outcome is Outcome.UNKNOWN
    assert "no answer within 1 s" in result.detail
    probe = await hand.probe(UNDO, hand.context(token=2), plan)
    assert probe.sighting is Sighting.NOT_HAPPENED
    assert cluster.template_writes() == []


async def test_a_lost_reply_is_unknown_and_its_probe_finds_that_it_happened_once(
    cluster: Cluster, hand: Hand, proxy: Proxy
) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    client = ArmedClient(cluster.kubeconfig(url=proxy.url), proxy, cut=True, timeout=10)
    async with Hand(cluster, client) as unlucky:
        context = unlucky.context(token=1)
        plan = await unlucky.planned(UNDO, context)
        result = await unlucky.apply(UNDO, context, plan)
    assert (result.outcome, proxy.cuts) == (Outcome.UNKNOWN, 1)
    probe = await hand.probe(UNDO, hand.context(token=2), plan)
    assert probe.sighting is Sighting.HAPPENED
    assert probe.values == {"from_revision": 2, "to_revision": 1}
    assert len(cluster.template_writes()) == 1


async def test_a_probe_finds_it_though_another_hand_rewrote_the_annotations(
    cluster: Cluster, hand: Hand
) -> None:
    """`kubectl rollout undo` puts a revision's own annotations on the Deployment, ours gone."""
    await cluster.deploy("cart", GOOD, BROKEN)
    context = hand.context(token=1)
    plan = await hand.planned(UNDO, context)
    await hand.apply(UNDO, context, plan)
    await cluster.taken_up("cart")
    await cluster.annotate("cart", attempt=None, fencing_token=None)
    probe = await hand.probe(UNDO, hand.context(token=2), plan)
    assert probe.sighting is Sighting.HAPPENED
    assert "ReplicaSet" in probe.detail


async def test_two_replicas_with_one_plan_change_it_once(cluster: Cluster, hand: Hand) -> None:
    await cluster.deploy("cart", GOOD, BROKEN)
    async with Hand(cluster) as other:
        plan = await hand.planned(UNDO, hand.context(token=1))
        first = await hand.apply(UNDO, hand.context(token=1), plan)
        second = await other.apply(UNDO, other.context(token=2, attempt="r-1/undo/2"), plan)
    assert [first.outcome, second.outcome] == [Outcome.SUCCEEDED, Outcome.FAILED]
    assert len(cluster.template_writes()) == 1


async def test_a_target_without_annotations_is_stamped_too(cluster: Cluster, hand: Hand) -> None:
    """A Deployment that no controller has numbered yet has no annotations map to add to."""
    await cluster.deploy("cart", GOOD, BROKEN)
    context = hand.context(token=4)
    plan = await hand.planned(UNDO, context)
    await cluster.merge("cart", {"metadata": {"annotations": None}})
    assert (await hand.probe(UNDO, context, plan)).sighting is Sighting.NOT_HAPPENED
    assert await token_of(cluster) == "4"
