"""A cluster, and kubernetes_asyncio's own generated clients, connected to it by kubeconfig as any user's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio import client, config

from remediator.sandbox.kubernetes import StandIn


@dataclass
class Api:
    """The generated API groups over one connection pool."""

    client: client.ApiClient
    # Any: their annotations know neither plain dictionaries nor `_content_type`, both of which they take
    core: Any
    apps: Any
    coordination: Any
    version: Any


@pytest.fixture
async def cluster() -> AsyncIterator[StandIn]:
    async with StandIn(ready_after=0.01) as running:
        yield running


@pytest.fixture
async def api(cluster: StandIn, tmp_path: Path) -> AsyncIterator[Api]:
    async with await connect(cluster, tmp_path / "kubeconfig") as connection:
        yield groups(connection)


async def connect(cluster: StandIn, path: Path, token: str | None = None) -> client.ApiClient:
    settings = client.Configuration()
    settings.retries = 0
    cluster.kubeconfig(path, token=token)
    await config.load_kube_config(config_file=str(path), client_configuration=settings)
    return client.ApiClient(settings)


def groups(connection: client.ApiClient) -> Api:
    return Api(
        connection,
        client.CoreV1Api(connection),
        client.AppsV1Api(connection),
        client.CoordinationV1Api(connection),
        client.VersionApi(connection),
    )
