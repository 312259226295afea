"""Scope and protection by labels: judged when a step is planned, and tested by the writes themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remediator.sandbox.kubernetes.api import ApiRequest
from tests.support.daemon import World, changing
from tests.support.rulebooks import NAMESPACE, rule, rules

TOKEN = "remediator.dev/fencing-token"


def noted(world: World) -> dict[str, str]:
    found: dict[str, str] = world.cluster.get("deployments", NAMESPACE, "cart")["metadata"]["annotations"]
    return found


CRITICAL = {"protect": [{"labels": "tier in (critical, db)"}]}
SHOP = {"scope": {"namespaces": [NAMESPACE], "labels": {"team": "shop"}}}
LABELLED: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "protected": (CRITICAL, {"tier": "db"}, "protected"),
    "out of scope": (SHOP, {"team": "bank"}, "scope"),
    "out of scope without the label": (SHOP, {}, "scope"),
}


@pytest.mark.parametrize("name", LABELLED)
async def test_what_its_labels_forbid_is_refused_when_it_is_planned_and_pages(
    world: World, name: str
) -> None:
    policy, labels, reason = LABELLED[name]
    await world.start(rules(**policy))
    firing = await world.break_service()
    world.cluster.label(NAMESPACE, "cart", labels)
    await world.fire(firing)
    run = await world.run_ended()
    assert (run["outcome"], run["reason"]) == ("refused", reason)
    await world.paged("refused by a guard", "its labels")
    code, said, errors = await world.cli("explain", run["id"])
    assert code == 0, errors
    assert "its labels are looked at once it is planned" in " ".join(said.split())
    assert TOKEN not in noted(world)


@pytest.mark.parametrize(("policy", "labels"), [(CRITICAL, {"tier": "web"}), (SHOP, {"team": "shop"})])
async def test_what_its_labels_allow_is_done(
    world: World, policy: dict[str, Any], labels: dict[str, str]
) -> None:
    await world.start(rules(**policy))
    firing = await world.break_service()
    world.cluster.label(NAMESPACE, "cart", labels)
    await world.fire(firing)
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 1


async def test_who_observes_says_that_the_labels_would_forbid_it(world: World) -> None:
    await world.start(rules(rule(mode="observe"), **CRITICAL))
    firing = await world.break_service()
    world.cluster.label(NAMESPACE, "cart", {"tier": "db"})
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "observed"
    assert "would refuse: protection:" in run["detail"]


def any_change(request: ApiRequest) -> bool:
    return request.verb == "patch" and request.resource.plural == "deployments"


@pytest.mark.parametrize(("policy", "labels"), [(CRITICAL, {"tier": "db"}), (SHOP, {"team": None})])
@pytest.mark.parametrize("matches", [any_change, changing])
async def test_an_object_that_is_labelled_after_the_plan_is_not_touched(
    world: World, policy: dict[str, Any], labels: dict[str, str | None], matches: Any
) -> None:
    """The label comes while the stamp, or the write itself, is on its way: the API server refuses that."""
    await world.start(rules(**policy))
    firing = await world.break_service()
    world.cluster.label(NAMESPACE, "cart", {"team": "shop"})
    held = world.hold(matches)
    await world.fire(firing)
    await held.struck()
    world.cluster.label(NAMESPACE, "cart", labels)
    held.release()
    run = await world.run_ended()
    assert run["outcome"] == "failed"
    assert "was judged by its label" in run["attempts"][0]["detail"]
    assert not world.applied()
    assert (TOKEN in noted(world)) is (matches is changing), "a late stamp is refused like the write"


@pytest.mark.parametrize(("mounted", "own"), [(None, "remediator"), ("ops", "ops")])
async def test_remediator_s_own_namespace_is_protected_whatever_the_scope_says(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounted: str | None, own: str
) -> None:
    file = tmp_path / "namespace"
    monkeypatch.setattr("remediator.settings.home.NAMESPACE_FILE", file)
    if mounted is not None:
        file.write_text(mounted)
    await world.start(rules(scope={"namespaces": [own]}))
    await world.fire(await world.break_service("remediator", namespace=own))
    decision = await world.decided("protected")
    assert (decision["kind"], "Remediator's own namespace" in decision["detail"]) == ("skip", True)
    assert not world.applied("remediator")
