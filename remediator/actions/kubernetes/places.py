"""Where pods run, as the API server knows it."""

from __future__ import annotations

from remediator.clients.kubernetes import ApiError, KubernetesClient, Problem
from remediator.core.ports.places import Places, Unplaced
from remediator.core.targets import DEFAULT_CLUSTER, Target


class PodPlaces(Places):
    """Reads each pod anew: its name may belong to another one by now. Needs to ``get`` pods."""

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client

    async def node_of(self, pod: Target) -> Target | Unplaced:
        if pod.cluster != DEFAULT_CLUSTER:
            return Unplaced(f"no access to the cluster {pod.cluster} is configured")
        try:
            found = await self._client.get_pod(pod.namespace, pod.name)
        except ApiError as error:
            return Unplaced("there is no such pod" if error.problem is Problem.NOT_FOUND else str(error))
        node = (found.get("spec") or {}).get("nodeName")
        return Target(pod.cluster, "node", "", str(node)) if node else Unplaced("it is not bound to one yet")
