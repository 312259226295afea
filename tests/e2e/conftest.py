"""Real servers for the suite. What needs an API server is collected only with `KUBEBUILDER_ASSETS` set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.e2e.scene import Scene
from tests.support.clusters import RealCluster
from tests.support.control_plane import ControlPlane, assets_from_environment, running_control_plane

ASSETS = assets_from_environment()

collect_ignore = [] if ASSETS else ["test_main_job.py", "test_crash.py", "test_faults.py", "test_readme.py"]


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One etcd, kube-apiserver and kube-controller-manager for the whole session, on loopback."""
    assert ASSETS, (
        "set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager, kubectl"
    )
    with running_control_plane(ASSETS, tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture
async def cluster(control_plane: ControlPlane) -> AsyncIterator[RealCluster]:
    """A namespace of the real control plane in which deploy/'s ServiceAccount has deploy/'s Role."""
    with control_plane.namespace() as name:
        async with RealCluster(control_plane, name) as real:
            yield real


@pytest.fixture
async def scene(cluster: RealCluster, tmp_path: Path) -> AsyncIterator[Scene]:
    """A service on that cluster whose last rollout broke it, a Slack, and everything a daemon is given."""
    async with Scene(cluster, tmp_path) as prepared:
        yield prepared
