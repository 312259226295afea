"""The broken rollout: as described when entered, and its alerts end once somebody has put it right."""

from __future__ import annotations

import asyncio

from remediator.sandbox.alertmanager import AlertmanagerStandIn
from remediator.sandbox.kubernetes import StandIn
from remediator.sandbox.scenario import BETTER, NAMESPACE, SERVICE, BrokenRollout


async def test_the_rollout_is_broken_at_revision_3_and_its_neighbour_healthy(cluster: StandIn) -> None:
    async with AlertmanagerStandIn() as alertmanager, BrokenRollout(cluster, alertmanager) as broken:
        found = cluster.get("deployments", NAMESPACE, SERVICE)
        assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        assert not cluster.healthy(NAMESPACE, SERVICE)
        assert found["status"]["availableReplicas"] == 2
        assert cluster.healthy(NAMESPACE, "user-profile-service")
        assert [each["metadata"]["name"] for each in cluster.list("services", NAMESPACE)] == [
            "auth-service",
            "user-profile-service",
        ]
        assert {alert.fingerprint for alert in broken.alerts} == {
            each.fingerprint for each in alertmanager.alerts
        }
        assert len(broken.alerts) == 2
        assert dict(broken.alert.labels) | {"instance": ""} == {
            "alertname": "ServiceDown",
            "namespace": "selfmonitor",
            "service": "auth-service",
            "job": "auth-service",
            "instance": "",
            "severity": "critical",
        }
        assert broken.alert.annotations == {"summary": "auth-service service is down"}


async def test_the_alerts_end_when_the_service_is_healthy_again(cluster: StandIn) -> None:
    async with (
        AlertmanagerStandIn() as alertmanager,
        BrokenRollout(cluster, alertmanager, resolves_after=0.01) as broken,
    ):
        cluster.set_image(NAMESPACE, SERVICE, BETTER)
        async with asyncio.timeout(10):
            await broken.over.wait()
        assert not alertmanager.alerts
        assert cluster.healthy(NAMESPACE, SERVICE)
