"""The kinds that the stand-in serves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API names it; `subresources` are the ones served below an object."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    subresources: frozenset[str] = frozenset()
    short: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`deployments.apps`, `pods`: how messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_STATUS = frozenset({"status"})
_SCALED = frozenset({"status", "scale"})

NAMESPACES = Resource(
    "", "v1", "namespaces", "Namespace", namespaced=False, subresources=_STATUS, short=("ns",)
)
PODS = Resource("", "v1", "pods", "Pod", subresources=_STATUS, short=("po",))
SERVICES = Resource("", "v1", "services", "Service", subresources=_STATUS, short=("svc",))
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", short=("cm",))
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", subresources=_SCALED, short=("deploy",))
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", subresources=_SCALED, short=("rs",))
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")

ALL = (NAMESPACES, PODS, SERVICES, CONFIG_MAPS, DEPLOYMENTS, REPLICA_SETS, LEASES)
BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in ALL}
BY_PLURAL = {resource.plural: resource for resource in ALL}
