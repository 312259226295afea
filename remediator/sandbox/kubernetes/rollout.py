"""The arithmetic of a rollout, as the Deployment controller does it: pure, over Deployments and ReplicaSets.

Followed: pkg/controller/deployment/{rolling,sync,progress}.go and util/deployment_util.go of kubernetes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from remediator.sandbox.kubernetes.store import hash_letters, timestamp

Object = dict[str, Any]

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
TEMPLATE_HASH = "pod-template-hash"
NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
    }
)

_FNV32_OFFSET, _FNV32_PRIME = 0x811C9DC5, 0x01000193


def replicas(found: Object) -> int:
    """How many pods its spec asks for."""
    return int(found["spec"]["replicas"])


def wanted(sets: Iterable[Object]) -> int:
    """Pods that these ReplicaSets are told to run."""
    return sum(map(replicas, sets))


def counted(sets: Iterable[Object], field: str) -> int:
    """Sum of a status count: replicas, readyReplicas or availableReplicas."""
    return sum(int(each.get("status", {}).get(field, 0)) for each in sets)


def revision(found: Object) -> int:
    """0 when it has none yet."""
    return int(found["metadata"].get("annotations", {}).get(REVISION, 0))


def rolling(deployment: Object) -> bool:
    """Whether it replaces pods bit by bit, and not all at once."""
    return bool(deployment["spec"]["strategy"]["type"] == "RollingUpdate")


def _bounds(deployment: Object) -> tuple[int, int]:
    """MaxSurge and maxUnavailable in pods; one pod may be missing when both came to none."""
    chosen, total = deployment["spec"]["strategy"].get("rollingUpdate", {}), replicas(deployment)
    surge = _pods(chosen.get("maxSurge", "25%"), total, math.ceil)
    unavailable = _pods(chosen.get("maxUnavailable", "25%"), total, math.floor)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def _pods(value: int | str, total: int, rounded: Any) -> int:
    return int(rounded(int(value.rstrip("%")) * total / 100)) if isinstance(value, str) else value


def max_surge(deployment: Object) -> int:
    """How many pods more than asked for a rollout may run."""
    return _bounds(deployment)[0] if rolling(deployment) else 0


def max_unavailable(deployment: Object) -> int:
    """How many pods fewer than asked for may be available."""
    if not rolling(deployment) or replicas(deployment) == 0:
        return 0
    return min(_bounds(deployment)[1], replicas(deployment))


def size_annotations(deployment: Object) -> dict[str, str]:
    """What a ReplicaSet notes about the Deployment's size when it is scaled."""
    total = replicas(deployment)
    return {DESIRED_REPLICAS: str(total), MAX_REPLICAS: str(total + max_surge(deployment))}


def template_hash(template: Object) -> str:
    """Equal for equal templates; FNV-1a over canonical JSON where kubernetes hashes Go's printout of it."""
    number = _FNV32_OFFSET
    for byte in json.dumps(_comparable(template), sort_keys=True).encode():
        number = (number ^ byte) * _FNV32_PRIME % 2**32
    return hash_letters(number)


def same_template(one: Object, other: Object) -> bool:
    """Whether two pod templates are equal apart from the hash label."""
    return _comparable(one) == _comparable(other)


def _comparable(template: Object) -> Object:
    metadata = {key: value for key, value in template.get("metadata", {}).items() if value}
    labels = {key: value for key, value in metadata.get("labels", {}).items() if key != TEMPLATE_HASH}
    return {"metadata": metadata | {"labels": labels}, "spec": template["spec"]}


def new_size(deployment: Object, new: Object, everything: Sequence[Object]) -> int:
    """How many replicas the newest ReplicaSet should have now."""
    goal, now = replicas(deployment), replicas(new)
    if not rolling(deployment) or now >= goal:
        return goal
    room = goal + max_surge(deployment) - wanted(everything)
    return now + max(0, min(room, goal - now))


def old_sizes(deployment: Object, new: Object, old: Sequence[Object]) -> list[int]:
    """How many replicas each old ReplicaSet may keep, in order: unhealthy pods go first, then spare ones."""
    least = replicas(deployment) - max_unavailable(deployment)
    new_unavailable = replicas(new) - counted([new], "availableReplicas")
    cut = max(0, wanted([*old, new]) - least - new_unavailable)
    sizes = [replicas(each) for each in old]
    for at, each in enumerate(old):
        unhealthy = max(0, sizes[at] - counted([each], "availableReplicas"))
        removed = min(cut, unhealthy)
        sizes[at], cut = sizes[at] - removed, cut - removed
    spare = max(0, min(cut, counted([*old, new], "availableReplicas") - least))
    for at, size in enumerate(sizes):
        removed = min(spare, size)
        sizes[at], spare = size - removed, spare - removed
    return sizes


def proportional_sizes(deployment: Object, sets: Sequence[Object]) -> list[int]:
    """Sizes of several active ReplicaSets, newest first, after the Deployment was scaled in mid-rollout."""
    goal = replicas(deployment)
    allowed = goal + max_surge(deployment) if goal else 0
    left = allowed - wanted(sets)
    sizes = []
    for each in sets:
        share = _share(each, allowed) - replicas(each) if left else 0
        step = max(0, min(share, left)) if left > 0 else min(0, max(share, left))
        sizes.append(replicas(each) + step)
        left -= step
    if sizes:
        sizes[0] = max(0, sizes[0] + left)
    return sizes


def _share(found: Object, allowed: int) -> int:
    before = int(found["metadata"].get("annotations", {}).get(MAX_REPLICAS, 0)) or allowed
    return math.floor(replicas(found) * allowed / before + 0.5) if before else 0


def status_of(deployment: Object, new: Object | None, everything: Sequence[Object], now: datetime) -> Object:
    """The Deployment's status, conditions included; counts of zero are left out, as the API server does."""
    ready, available = counted(everything, "readyReplicas"), counted(everything, "availableReplicas")
    counts = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": counted(everything, "replicas"),
        "updatedReplicas": counted([new], "replicas") if new else 0,
        "readyReplicas": ready,
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted(everything) - available),
    }
    fresh = {key: value for key, value in counts.items() if value}
    fresh["conditions"] = [dict(each) for each in deployment.get("status", {}).get("conditions", ())]
    enough = available >= replicas(deployment) - max_unavailable(deployment)
    reason, message = (
        ("MinimumReplicasAvailable", "Deployment has minimum availability.")
        if enough
        else ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    )
    set_condition(fresh, "Available", str(enough), reason, message, now)
    if new is not None and not deployment["spec"].get("paused"):
        _progress(deployment, fresh, new["metadata"]["name"], now)
    return fresh


def _progress(deployment: Object, fresh: Object, name: str, now: datetime) -> None:
    before, held = deployment.get("status", {}), condition(fresh, "Progressing")
    settled = fresh.get("replicas", 0) == fresh.get("updatedReplicas", 0)
    if held is not None and settled and held["reason"] == "NewReplicaSetAvailable":
        return
    if complete(deployment, fresh):
        text = f'ReplicaSet "{name}" has successfully progressed.'
        set_condition(fresh, "Progressing", "True", "NewReplicaSetAvailable", text, now)
    elif _moved(before, fresh):
        text = f'ReplicaSet "{name}" is progressing.'
        fresh["conditions"] = [each for each in fresh["conditions"] if each is not held]
        since = held["lastTransitionTime"] if held and held["status"] == "True" else None
        set_condition(fresh, "Progressing", "True", "ReplicaSetUpdated", text, now, since=since)
    elif held is not None and overdue(deployment, held, now):
        text = f'ReplicaSet "{name}" has timed out progressing.'
        set_condition(fresh, "Progressing", "False", "ProgressDeadlineExceeded", text, now)


def complete(deployment: Object, fresh: Object) -> bool:
    """Whether a status says that every replica is of the newest template and available."""
    goal = replicas(deployment)
    fields = ("updatedReplicas", "replicas", "availableReplicas")
    seen = fresh.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return seen and all(fresh.get(field, 0) == goal for field in fields)


def _moved(before: Object, after: Object) -> bool:
    def old(counts: Object) -> int:
        return int(counts.get("replicas", 0)) - int(counts.get("updatedReplicas", 0))

    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return old(after) < old(before) or any(after.get(field, 0) > before.get(field, 0) for field in grown)


def overdue(deployment: Object, held: Object, now: datetime) -> bool:
    """Whether a Progressing condition saw no progress for longer than progressDeadlineSeconds."""
    return seconds_left(deployment, held, now) < 0


def seconds_left(deployment: Object, held: Object, now: datetime) -> float:
    """Seconds until the rollout counts as stuck; negative once it does."""
    passed = (now - parse_time(held["lastUpdateTime"])).total_seconds()
    return float(deployment["spec"]["progressDeadlineSeconds"]) - passed


def parse_time(text: str) -> datetime:
    """A Kubernetes timestamp, in UTC."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def condition(status: Object, kind: str) -> Object | None:
    """The status condition of a type, if it is there."""
    return next((each for each in status.get("conditions", ()) if each["type"] == kind), None)


def set_condition(
    status: Object,
    kind: str,
    value: str,
    reason: str,
    message: str,
    now: datetime,
    *,
    since: str | None = None,
) -> None:
    """Set a condition in place, unless it says so already; its transition time moves with its status."""
    held, moment = condition(status, kind), timestamp(now)
    if held is not None and (held["status"], held["reason"]) == (value, reason):
        return
    if held is not None and held["status"] == value:
        since = held["lastTransitionTime"]
    others = [each for each in status.get("conditions", ()) if each["type"] != kind]
    status["conditions"] = [
        *others,
        {
            "type": kind,
            "status": value,
            "lastUpdateTime": moment,
            "lastTransitionTime": since or moment,
            "reason": reason,
            "message": message,
        },
    ]
