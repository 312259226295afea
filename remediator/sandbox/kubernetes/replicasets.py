"""The ReplicaSet controller: as many pods as asked for, and a count of how they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remediator.sandbox.kubernetes.deployments import owner_reference
from remediator.sandbox.kubernetes.resources import PODS, REPLICA_SETS
from remediator.sandbox.kubernetes.rollout import condition, parse_time, replicas
from remediator.sandbox.kubernetes.store import Object, Store


class ReplicaSetController:
    """Creates and removes one ReplicaSet's pods; `later` asks to be called when they become available."""

    def __init__(self, store: Store, later: Callable[[str, str, float], None]) -> None:
        self._store = store
        self._later = later

    def reconcile(self, namespace: str, name: str) -> None:
        found = self._store.find(REPLICA_SETS, namespace, name)
        if found is None:
            return
        missing = replicas(found) - len(self._pods(found))
        for _ in range(missing):
            self._store.create(PODS, namespace, _pod(found))
        for surplus in sorted(self._pods(found), key=_first_to_go)[: max(0, -missing)]:
            self._store.delete(PODS, namespace, surplus["metadata"]["name"])
        self._write_status(found, self._pods(found))

    def _pods(self, found: Object) -> list[Object]:
        uid, namespace = found["metadata"]["uid"], found["metadata"]["namespace"]
        return self._store.list(PODS, namespace, lambda pod: uid in owners(pod))

    def _write_status(self, found: Object, pods: list[Object]) -> None:
        ready = [pod for pod in pods if is_ready(pod)]
        counts = {
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": len(ready),
            "availableReplicas": sum(1 for pod in ready if self._is_available(found, pod)),
            "observedGeneration": found["metadata"]["generation"],
        }
        found["status"] = {key: value for key, value in counts.items() if value or key == "replicas"}
        self._store.update(REPLICA_SETS, found, "status")

    def _is_available(self, found: Object, pod: Object) -> bool:
        needed = int(found["spec"].get("minReadySeconds", 0))
        held = condition(pod["status"], "Ready")
        if not needed or held is None:
            return True
        left = needed - (self._store.clock() - parse_time(held["lastTransitionTime"])).total_seconds()
        if left > 0:
            self._later(found["metadata"]["namespace"], found["metadata"]["name"], left)
        return left <= 0


def owners(found: Object) -> set[str]:
    """The uids of those that own an object."""
    return {owner["uid"] for owner in found["metadata"].get("ownerReferences", ())}


def is_ready(pod: Object) -> bool:
    """Whether its Ready condition holds."""
    held = condition(pod.get("status", {}), "Ready")
    return held is not None and held["status"] == "True"


def _first_to_go(pod: Object) -> tuple[Any, ...]:
    """Pods that don't serve first, then the youngest."""
    age = parse_time(pod["metadata"]["creationTimestamp"]).timestamp()
    return (is_ready(pod), -age, -int(pod["metadata"]["resourceVersion"]))


def _pod(found: Object) -> Object:
    template = found["spec"]["template"]
    metadata = {key: value for key, value in template["metadata"].items() if key in ("labels", "annotations")}
    metadata["generateName"] = f"{found['metadata']['name']}-"
    metadata["ownerReferences"] = [owner_reference(found)]
    return {"metadata": metadata, "spec": template["spec"]}
