"""Where pods run, as the API server knows it."""

from __future__ import annotations

from remediator.clients.kubernetes import ApiError, KubernetesClient
from remediator.core.ports.places import Places, Unplaced
from remediator.core.targets import DEFAULT_CLUSTER, Target


class PodPlaces(Places):
    """Looks for each pod anew: its name may belong to another one by now. Needs to list pods."""

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client

    async def node_of(self, pod: Target) -> Target | Unplaced:
        if pod.cluster != DEFAULT_CLUSTER:
            return Unplaced(f"no access to the cluster {pod.cluster} is configured")
        try:
            found = await self._client.find_pod(pod.namespace, pod.name)
        except ApiError as error:
            return Unplaced(str(error))
        if found is None:
            return Unplaced("there is no such pod")
        node = (found.get("spec") or {}).get("nodeName")
        return Target(pod.cluster, "node", "", str(node)) if node else Unplaced("it is not bound to one yet")
