"""The Deployment controller: ReplicaSets per pod template, numbered revisions, rolling updates, status."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from remediator.sandbox.kubernetes import rollout
from remediator.sandbox.kubernetes.resources import DEPLOYMENTS, REPLICA_SETS
from remediator.sandbox.kubernetes.store import Object, Store

_DEADLINE_SLACK_SECONDS = 1.0


class DeploymentController:
    """Brings one Deployment a step closer to its spec each time it is called.

    `later(namespace, name, seconds)` asks to be called again when nothing else would: a rollout that gets
    stuck makes no sound.
    """

    def __init__(self, store: Store, later: Callable[[str, str, float], None]) -> None:
        self._store = store
        self._later = later

    def reconcile(self, namespace: str, name: str) -> None:
        deployment = self._store.find(DEPLOYMENTS, namespace, name)
        if deployment is None:
            return
        owned = self._owned(deployment)
        new = next((each for each in owned if _is_for(deployment, each)), None)
        old = [each for each in owned if each is not new]
        paused = bool(deployment["spec"].get("paused"))
        deployment = self._note_pause(deployment, paused=paused)
        if new is not None or not (paused or self._old_pods_block(deployment, old)):
            new, deployment = self._newest(deployment, new, old)
        if paused or _was_scaled(deployment, owned):
            new, old = self._resize(deployment, new, old)
        elif new is not None:
            new, old = self._roll(deployment, new, old)
        elif not rollout.rolling(deployment):
            old = [self._scale(deployment, each, 0) for each in old]
        self._write_status(deployment, new, old)
        self._prune(deployment, old)

    def _owned(self, deployment: Object) -> list[Object]:
        """The Deployment's ReplicaSets, oldest first."""
        uid = deployment["metadata"]["uid"]
        namespace = deployment["metadata"]["namespace"]
        mine = self._store.list(REPLICA_SETS, namespace, lambda each: _owner(each) == uid)
        return sorted(mine, key=lambda each: (each["metadata"]["creationTimestamp"], rollout.revision(each)))

    def _note_pause(self, deployment: Object, *, paused: bool) -> Object:
        held = rollout.condition(deployment.get("status", {}), "Progressing")
        if held is None or held["reason"] == "ProgressDeadlineExceeded":
            return deployment
        noted = held["reason"] == "DeploymentPaused"
        if paused == noted:
            return deployment
        reason, text = ("DeploymentPaused", "paused") if paused else ("DeploymentResumed", "resumed")
        message = f"Deployment is {text}"
        rollout.set_condition(
            deployment["status"], "Progressing", "Unknown", reason, message, self._store.clock()
        )
        return self._store.update(DEPLOYMENTS, deployment, "status")

    def _old_pods_block(self, deployment: Object, old: Sequence[Object]) -> bool:
        """Recreate starts new pods only once the old ones are gone."""
        return not rollout.rolling(deployment) and rollout.counted(old, "replicas") > 0

    def _newest(self, deployment: Object, new: Object | None, old: Sequence[Object]) -> tuple[Object, Object]:
        """The current template's ReplicaSet, with the highest revision and the Deployment's annotations."""
        number = max((rollout.revision(each) for each in old), default=0) + 1
        created = new is None
        if new is None:
            new = self._store.create(
                REPLICA_SETS, deployment["metadata"]["namespace"], _replica_set(deployment, number, old)
            )
        else:
            _annotate(deployment, new, number)
            new["spec"]["minReadySeconds"] = deployment["spec"].get("minReadySeconds", 0)
            if not new["spec"]["minReadySeconds"]:
                del new["spec"]["minReadySeconds"]
            new = self._store.update(REPLICA_SETS, new)
        deployment["metadata"].setdefault("annotations", {})[rollout.REVISION] = str(rollout.revision(new))
        status = deployment.setdefault("status", {})
        if created or rollout.condition(status, "Progressing") is None:
            reason, verb = ("NewReplicaSetCreated", "Created") if created else ("FoundNewReplicaSet", "Found")
            text = f'{verb} new replica set "{new["metadata"]["name"]}"'
            rollout.set_condition(status, "Progressing", "True", reason, text, self._store.clock())
        return new, self._store.update(DEPLOYMENTS, deployment, "status")

    def _roll(self, deployment: Object, new: Object, old: Sequence[Object]) -> tuple[Object, list[Object]]:
        grown = self._scale(deployment, new, rollout.new_size(deployment, new, [*old, new]))
        if not rollout.rolling(deployment) or grown["spec"] != new["spec"]:
            return grown, list(old)
        sizes = rollout.old_sizes(deployment, new, old)
        return new, [self._scale(deployment, each, size) for each, size in zip(old, sizes, strict=True)]

    def _resize(
        self, deployment: Object, new: Object | None, old: Sequence[Object]
    ) -> tuple[Object | None, list[Object]]:
        """Follow a changed `spec.replicas` without rolling anything out."""
        newest_first = [each for each in (new, *reversed(old)) if each is not None]
        active = [each for each in newest_first if rollout.replicas(each)] or newest_first[:1]
        goal = rollout.replicas(deployment)
        if len(active) == 1:
            sizes = [goal]
        elif new is not None and _saturated(deployment, new):
            sizes = [goal if each is new else 0 for each in active]
        else:
            sizes = rollout.proportional_sizes(deployment, active)
        scaled = {
            each["metadata"]["name"]: self._scale(deployment, each, size)
            for each, size in zip(active, sizes, strict=True)
        }
        after = [scaled.get(each["metadata"]["name"], each) for each in old]
        return (None if new is None else scaled.get(new["metadata"]["name"], new)), after

    def _scale(self, deployment: Object, found: Object, size: int) -> Object:
        noted = rollout.size_annotations(deployment)
        annotations = found["metadata"].setdefault("annotations", {})
        if rollout.replicas(found) == size and noted.items() <= annotations.items():
            return found
        changed = found | {"spec": found["spec"] | {"replicas": size}}
        changed["metadata"] = found["metadata"] | {"annotations": annotations | noted}
        return self._store.update(REPLICA_SETS, changed)

    def _write_status(self, deployment: Object, new: Object | None, old: Sequence[Object]) -> None:
        now = self._store.clock()
        everything = [*old, *([] if new is None else [new])]
        fresh = rollout.status_of(deployment, new, everything, now)
        deployment["status"] = fresh
        self._store.update(DEPLOYMENTS, deployment, "status")
        held = rollout.condition(fresh, "Progressing")
        if held is not None and held["status"] == "True" and not rollout.complete(deployment, fresh):
            wait = max(0.0, rollout.seconds_left(deployment, held, now)) + _DEADLINE_SLACK_SECONDS
            metadata = deployment["metadata"]
            self._later(metadata["namespace"], metadata["name"], wait)

    def _prune(self, deployment: Object, old: Sequence[Object]) -> None:
        """Forget the oldest revisions beyond `revisionHistoryLimit`, once the rollout is over."""
        if not rollout.complete(deployment, deployment["status"]):
            return
        empty = [
            each for each in old if not rollout.replicas(each) and not rollout.counted([each], "replicas")
        ]
        excess = len(empty) - int(deployment["spec"]["revisionHistoryLimit"])
        for each in sorted(empty, key=rollout.revision)[: max(0, excess)]:
            self._store.delete(REPLICA_SETS, each["metadata"]["namespace"], each["metadata"]["name"])


def _owner(found: Object) -> str | None:
    for reference in found["metadata"].get("ownerReferences", ()):
        if reference.get("controller"):
            return str(reference["uid"])
    return None


def _is_for(deployment: Object, found: Object) -> bool:
    return rollout.same_template(deployment["spec"]["template"], found["spec"]["template"])


def _was_scaled(deployment: Object, owned: Sequence[Object]) -> bool:
    desired = str(rollout.replicas(deployment))
    active = [each for each in owned if rollout.replicas(each)]
    noted = [each["metadata"].get("annotations", {}).get(rollout.DESIRED_REPLICAS) for each in active]
    return any(note is not None and note != desired for note in noted)


def _saturated(deployment: Object, new: Object) -> bool:
    goal = rollout.replicas(deployment)
    desired = new["metadata"].get("annotations", {}).get(rollout.DESIRED_REPLICAS)
    return (
        rollout.replicas(new) == goal
        and desired == str(goal)
        and rollout.counted([new], "availableReplicas") == goal
    )


def _annotate(deployment: Object, found: Object, number: int) -> None:
    """Copy the Deployment's annotations, and raise the revision, keeping the one that it had before."""
    annotations = found["metadata"].setdefault("annotations", {})
    copied = deployment["metadata"].get("annotations", {}).items()
    annotations.update((key, value) for key, value in copied if key not in rollout.NOT_COPIED)
    before = annotations.get(rollout.REVISION)
    if before is None or int(before) < number:
        annotations[rollout.REVISION] = str(number)
        if before is not None:
            history = annotations.get(rollout.REVISION_HISTORY)
            annotations[rollout.REVISION_HISTORY] = f"{history},{before}" if history else before


def _replica_set(deployment: Object, number: int, old: Sequence[Object]) -> Object:
    metadata, spec = deployment["metadata"], deployment["spec"]
    hashed = rollout.template_hash(spec["template"])
    template = spec["template"]
    labels = template["metadata"].get("labels", {}) | {rollout.TEMPLATE_HASH: hashed}
    selector = spec["selector"]
    created: Object = {
        "metadata": {
            "name": f"{metadata['name']}-{hashed}",
            "labels": labels,
            "annotations": rollout.size_annotations(deployment),
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": 0,
            "selector": selector
            | {"matchLabels": selector.get("matchLabels", {}) | {rollout.TEMPLATE_HASH: hashed}},
            "template": template | {"metadata": template["metadata"] | {"labels": labels}},
        },
    }
    if spec.get("minReadySeconds"):
        created["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    _annotate(deployment, created, number)
    created["spec"]["replicas"] = rollout.new_size(deployment, created, [*old, created])
    return created


def owner_reference(owner: Object) -> Object:
    """What a controller writes on the objects that it creates, and the garbage collector follows."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
