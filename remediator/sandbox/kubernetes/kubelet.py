"""The kubelet's part: pods start, become ready after a while, or crash because their release is broken."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from remediator.sandbox.kubernetes.audit import images
from remediator.sandbox.kubernetes.resources import PODS
from remediator.sandbox.kubernetes.store import Object, Store, timestamp

BROKEN_ANNOTATION = "sandbox.remediator.dev/broken"
NODE = "sandbox-node"
POD_NETWORK = "10.244.0"
_ADDRESSES = 250
_RESTARTS = 3


class Kubelet:
    """Runs every pod of the cluster.

    A pod is Pending for `ready_after` seconds, then Ready; or in CrashLoopBackOff, when an image of it is
    in `broken` or it is annotated as broken.
    """

    def __init__(self, store: Store, later: Callable[[str, str, float], None], ready_after: float) -> None:
        self.ready_after = ready_after
        self.broken: set[str] = set()
        self._store = store
        self._later = later
        self._addresses = itertools.count()
        self._started: set[str] = set()

    def reconcile(self, namespace: str, name: str) -> None:
        pod = self._store.find(PODS, namespace, name)
        if pod is None:
            return
        if not pod["status"].get("phase"):
            self._accept(pod)
            self._later(namespace, name, self.ready_after)
        elif pod["metadata"]["uid"] in self._started:
            self._run(pod)

    def start(self, namespace: str, name: str) -> None:
        """The pod's start-up time is over."""
        pod = self._store.find(PODS, namespace, name)
        if pod is not None:
            self._started.add(pod["metadata"]["uid"])
            self._run(pod)

    def forget(self, uid: str) -> None:
        self._started.discard(uid)

    def _accept(self, pod: Object) -> None:
        address = f"{POD_NETWORK}.{next(self._addresses) % _ADDRESSES + 2}"
        now = timestamp(self._store.clock())
        waiting = {"waiting": {"reason": "ContainerCreating"}}
        pod["status"] = {
            "phase": "Pending",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "hostIP": "127.0.0.1",
            "startTime": now,
            "qosClass": "BestEffort",
            "conditions": _conditions({}, now, ready=False),
            "containerStatuses": [
                _container(container, waiting, ready=False) for container in pod["spec"]["containers"]
            ],
        }
        self._store.update(PODS, pod, "status")

    def _run(self, pod: Object) -> None:
        ready = not self._is_broken(pod)
        now = timestamp(self._store.clock())
        was = {each["type"]: each for each in pod["status"].get("conditions", ())}
        if was.get("Ready", {}).get("status") == str(ready) and pod["status"]["phase"] == "Running":
            return
        state = {"running": {"startedAt": now}} if ready else _crash_loop(pod["metadata"]["name"])
        pod["status"] |= {
            "phase": "Running",
            "conditions": _conditions(was, now, ready=ready),
            "containerStatuses": [
                _container(container, state, ready=ready) for container in pod["spec"]["containers"]
            ],
        }
        self._store.update(PODS, pod, "status")

    def _is_broken(self, pod: Object) -> bool:
        annotated = pod["metadata"].get("annotations", {}).get(BROKEN_ANNOTATION) == "true"
        return annotated or not self.broken.isdisjoint(images(pod["spec"]))


def _conditions(was: Object, now: str, *, ready: bool) -> list[Object]:
    def one(kind: str, *, holds: bool) -> Object:
        held = was.get(kind, {})
        since = held["lastTransitionTime"] if held.get("status") == str(holds) else now
        said: Object = {
            "type": kind,
            "status": str(holds),
            "lastTransitionTime": since,
            "lastProbeTime": None,
        }
        if not holds:
            said |= {"reason": "ContainersNotReady", "message": "containers with unready status"}
        return said

    return [
        one("Initialized", holds=True),
        one("Ready", holds=ready),
        one("ContainersReady", holds=ready),
        one("PodScheduled", holds=True),
    ]


def _crash_loop(name: str) -> Object:
    message = f"back-off 40s restarting failed container in pod {name}"
    return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}


def _container(container: Object, state: Object, *, ready: bool) -> Object:
    crashed = state.get("waiting", {}).get("reason") == "CrashLoopBackOff"
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": ready,
        "started": ready,
        "restartCount": _RESTARTS if crashed else 0,
        "state": state,
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}} if crashed else {},
    }
