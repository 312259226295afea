"""Where pods run, on both clusters: what is not known is said, and never guessed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from remediator.actions.kubernetes.places import PodPlaces
from remediator.clients.kubernetes import KubernetesClient
from remediator.core.ports.places import Unplaced
from remediator.core.targets import Target, parse_target
from tests.support.clusters import Cluster


@pytest.fixture
async def places(cluster: Cluster) -> AsyncIterator[PodPlaces]:
    client = KubernetesClient(cluster.kubeconfig())
    yield PodPlaces(client)
    await client.close()


def a_pod(name: str, node: str = "") -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"name": "main", "image": "shop/cart:1"}]}
    return {"metadata": {"name": name}, "spec": {**spec, **({"nodeName": node} if node else {})}}


def the_pod(cluster: Cluster, name: str) -> Target:
    return Target("default", "pod", cluster.namespace, name)


async def test_a_bound_pod_is_on_its_node(cluster: Cluster, places: PodPlaces) -> None:
    await cluster.call("POST", "pods", a_pod("cart-1", "n1"))
    await cluster.call("POST", "pods", a_pod("cart-10", "n2"))
    assert await places.node_of(the_pod(cluster, "cart-1")) == parse_target("node/n1")
    assert await places.node_of(the_pod(cluster, "cart-10")) == parse_target("node/n2")


async def test_a_pod_made_anew_is_where_it_is_now(cluster: Cluster, places: PodPlaces) -> None:
    await cluster.call("POST", "pods", a_pod("cart-1", "n1"))
    await cluster.call("DELETE", "pods/cart-1?gracePeriodSeconds=0")
    await cluster.call("POST", "pods", a_pod("cart-1", "n2"))
    assert await places.node_of(the_pod(cluster, "cart-1")) == parse_target("node/n2")


async def test_a_pod_that_is_not_there_or_not_bound_is_nowhere(cluster: Cluster, places: PodPlaces) -> None:
    await cluster.call("POST", "pods", a_pod("cart-1"))
    said = {
        "cart-1": "not bound to one yet",
        "cart-2": "no such pod",
    }
    for name, why in said.items():
        found = await places.node_of(the_pod(cluster, name))
        assert isinstance(found, Unplaced)
        assert why in found.detail


async def test_another_cluster_s_pods_are_not_looked_for_in_ours(places: PodPlaces) -> None:
    found = await places.node_of(parse_target("west/pod/shop/x"))
    assert isinstance(found, Unplaced)
    assert "no access to the cluster west" in found.detail


async def test_a_server_that_does_not_answer_is_no_place(cluster: Cluster) -> None:
    client = KubernetesClient(cluster.kubeconfig(url="http://127.0.0.1:9"))
    found = await PodPlaces(client).node_of(the_pod(cluster, "cart-1"))
    await client.close()
    assert isinstance(found, Unplaced)
    assert "can't be reached" in found.detail
