"""A real control plane for the suite, when `KUBEBUILDER_ASSETS` names the folder of its binaries.

Without it, tests that only make sense on a real one are not collected, so that none is ever skipped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.clusters import Cluster, RealCluster, StandInCluster
from tests.support.control_plane import ControlPlane, assets_from_environment, running_control_plane

ASSETS = assets_from_environment()

collect_ignore = [] if ASSETS else ["test_deploy.py", "test_control_plane.py", "test_permissions.py"]


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One etcd, kube-apiserver and kube-controller-manager for the whole session, on loopback."""
    assert ASSETS, (
        "set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager, kubectl"
    )
    with running_control_plane(ASSETS, tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture
def cluster_namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A new namespace of the real control plane, in which pods can start."""
    with control_plane.namespace() as name:
        yield name


@pytest.fixture(params=["standin", "real"] if ASSETS else ["standin"])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Each cluster of the suite in turn; the same tests on both are what the stand-in is trusted for."""
    if request.param == "standin":
        async with StandInCluster.make() as standin, StandInCluster(standin, tmp_path) as embedded:
            yield embedded
    else:
        control_plane: ControlPlane = request.getfixturevalue("control_plane")
        with control_plane.namespace() as name:
            async with RealCluster(control_plane, name) as real:
                yield real


@pytest.fixture
async def standin(tmp_path: Path) -> AsyncIterator[StandInCluster]:
    """The stand-in alone, for faults that a healthy API server can't be told to commit."""
    async with StandInCluster.make() as server, StandInCluster(server, tmp_path) as embedded:
        yield embedded
