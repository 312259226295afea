"""The Role of deploy/ on a real API server: each verb taken away stops what needs it, and says so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.actions.kubernetes.places import PodPlaces
from remediator.actions.specs import ACTIONS, CHECKS
from remediator.clients.kubernetes import KubernetesClient
from remediator.core.checks import Said
from remediator.core.ports.actions import ActionSpec, CheckSpec, Refusal
from remediator.core.ports.places import Unplaced
from remediator.core.runs import Outcome
from remediator.core.targets import Target
from tests.support.acting import RESTART, SCALE, UNDO, Hand
from tests.support.clusters import BROKEN, GOOD, RealCluster
from tests.support.control_plane import ControlPlane
from tests.support.rbac import Permission, permissions, shipped_role, without

SPECS: tuple[ActionSpec | CheckSpec, ...] = (*ACTIONS.values(), *CHECKS.values())
CHECKED: dict[str, dict[str, object]] = {
    "kubernetes.rolled_out": {},
    "kubernetes.rolled_out_within": {"window": "1h"},
    "kubernetes.pods_ready": {},
    "kubernetes.gitops_managed": {},
    "kubernetes.deployments": {},
}
ACTED: dict[str, dict[str, object]] = {UNDO: {}, RESTART: {}, SCALE: {"replicas": 3}}


@pytest.fixture
async def real(control_plane: ControlPlane) -> AsyncIterator[RealCluster]:
    with control_plane.namespace() as name:
        async with RealCluster(control_plane, name) as cluster:
            yield cluster


def needing(taken: Permission) -> set[str]:
    """The actions and checks that say that they need it."""
    key = (taken.group, taken.resource, taken.verb)
    return {spec.name for spec in SPECS if key in spec.permissions}


def test_the_role_grants_what_is_needed_and_nothing_more() -> None:
    needed = {each for spec in SPECS for each in spec.permissions}
    granted = {(each.group, each.resource, each.verb) for each in permissions(shipped_role())}
    assert granted == needed


async def failing(real: RealCluster) -> tuple[set[str], set[str]]:
    """The names of all that doesn't work on a broken release, and what it said."""
    wrong: dict[str, str] = {}
    await real.deploy("cart", GOOD, BROKEN)
    async with Hand(real) as hand:
        for check, params in CHECKED.items():
            answer = await hand.look(check, params)
            if answer.said is Said.ERROR:
                wrong[check] = answer.detail
        for token, (action, wanted) in zip((1, 3, 5), ACTED.items(), strict=True):
            context = hand.context(action, token=token, params=wanted, attempt=f"r-{token}/x/1")
            plan = await hand.plan(action, context)
            if isinstance(plan, Refusal):
                wrong[action] = plan.detail
                continue
            done = await hand.apply(action, context, plan)
            # what never was, so that the revisions are looked through too
            other = hand.context(action, token=token + 1, params=wanted, attempt="r-0/never/1")
            probe = await hand.probe(action, other, plan)
            if done.outcome is not Outcome.SUCCEEDED or probe.sighting.value != "not_happened":
                wrong[action] = f"{done.detail} {probe.detail}"
            await real.taken_up("cart")
    return set(wrong), set(wrong.values())


async def test_the_whole_role_is_enough(real: RealCluster) -> None:
    assert await failing(real) == (set(), set())


@pytest.mark.parametrize("taken", permissions(shipped_role()), ids=str)
async def test_each_verb_is_needed_by_exactly_what_says_so(real: RealCluster, taken: Permission) -> None:
    real.bind(without(shipped_role(), taken))
    names, said = await failing(real)
    assert names == needing(taken)
    assert all("403" in detail and taken.resource in detail for detail in said)


async def test_where_a_pod_runs_is_not_known_to_who_may_not_list_pods(real: RealCluster) -> None:
    pod = Target("default", "pod", real.namespace, "cart-1")
    places = PodPlaces(client := KubernetesClient(real.kubeconfig()))
    assert await places.node_of(pod) == Unplaced("there is no such pod")
    real.bind(without(shipped_role(), Permission("", "pods", "list")))
    found = await places.node_of(pod)
    await client.close()
    assert isinstance(found, Unplaced)
    assert found.detail.startswith("403")
