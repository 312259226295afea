"""What tests ask of the stand-in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes_asyncio.client.exceptions import ApiException

from remediator.sandbox.kubernetes import StandIn
from tests.unit.sandbox.conftest import Api

REVISION = "deployment.kubernetes.io/revision"
JSON_PATCH = "application/json-patch+json"
BARE = "the server rejected our request due to an error in our request"


def by_revision(cluster: StandIn) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["annotations"][REVISION]: each for each in cluster.list("replicasets", "shop")}


def body_of(error: pytest.ExceptionInfo[ApiException]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(error.value.body or b"")
    return found


async def patch(api: Api, operations: list[dict[str, Any]], name: str = "web") -> Any:
    return await api.apps.patch_namespaced_deployment(name, "shop", operations, _content_type=JSON_PATCH)


async def undo_to(api: Api, cluster: StandIn, revision: str) -> Any:
    template = by_revision(cluster)[revision]["spec"]["template"]
    del template["metadata"]["labels"]["pod-template-hash"]
    return await patch(api, [{"op": "replace", "path": "/spec/template", "value": template}])
