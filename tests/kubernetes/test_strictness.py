"""What an API server refuses although a kinder one would take it: the stand-in is as strict as a real one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.clusters import GOOD, JSON_PATCH, MERGE_PATCH, Cluster
from tests.support.control_plane import ApiRefused


def status_of(refused: ApiRefused) -> dict[str, Any]:
    """The `Status` that the API server gave for an answer."""
    found: dict[str, Any] = json.loads(str(refused).partition(": ")[2])
    return found


@pytest.mark.parametrize("path", ["/version", "/version/", "/api", "/api/v1", "/apis/apps/v1"])
@pytest.mark.parametrize("content_type", [JSON_PATCH, MERGE_PATCH, "text/plain"])
async def test_what_the_server_tells_of_itself_is_asked_for_with_no_type_but_json(
    cluster: Cluster, path: str, content_type: str
) -> None:
    with pytest.raises(ApiRefused) as refused:
        await cluster.ask("GET", path, content_type=content_type)
    said = status_of(refused.value)
    told = (refused.value.status, said["reason"], said["message"])
    assert told == (406, "NotAcceptable", "406: Not Acceptable")
    assert await cluster.ask("GET", path)
    assert await cluster.ask("GET", path, content_type="application/json; charset=utf-8")


@pytest.mark.parametrize("path", ["/apis", "/apis/apps"])
async def test_the_lists_of_groups_and_objects_are_given_for_any_type(cluster: Cluster, path: str) -> None:
    assert await cluster.ask("GET", path, content_type=JSON_PATCH)
    await cluster.call("GET", "deployments", content_type=JSON_PATCH)


async def test_a_rollout_must_have_longer_than_a_pod_has_to_be_ready(cluster: Cluster) -> None:
    await cluster.deploy("cart", GOOD)
    await cluster.merge("cart", {"spec": {"minReadySeconds": 599}})
    with pytest.raises(ApiRefused) as refused:
        await cluster.merge("cart", {"spec": {"minReadySeconds": 600}})
    assert refused.value.status == 422
    why = "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"
    assert why in status_of(refused.value)["message"]
