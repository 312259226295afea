"""What Kubernetes' JSON says: pure readers of its objects, and the names of the annotations that we write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from hashlib import sha256
from typing import Any

Json = Mapping[str, Any]

ATTEMPT = "remediator.dev/attempt"
TOKEN = "remediator.dev/fencing-token"  # noqa: S105  # the annotation's name
PROTECTED = "remediator.dev/protected"
#: On a ReplicaSet: the attempt that fled from it, and its own name, which tells the mark from copies of it:
#: `kubectl rollout undo` copies a ReplicaSet's annotations to its Deployment, and the controller those to
#: every later ReplicaSet.
FLED_FROM = "remediator.dev/fled-from"
#: On a Deployment: the ReplicaSet that we last rolled it back to.
UNDONE_TO = "remediator.dev/undone-to"

CHANGE_CAUSE = "kubernetes.io/change-cause"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
TEMPLATE_HASH = "pod-template-hash"


def annotations_of(found: Json) -> Mapping[str, str]:
    """Its annotations, empty if it has none."""
    return found["metadata"].get("annotations") or {}


def labels_of(found: Json) -> Mapping[str, str]:
    """Its labels, empty if it has none."""
    return found["metadata"].get("labels") or {}


def name_of(found: Json) -> str:
    """Its name, unique for its kind and namespace at any one time."""
    return str(found["metadata"]["name"])


def uid_of(found: Json) -> str:
    """Its uid, which an object made anew under the same name does not share."""
    return str(found["metadata"]["uid"])


def created_at(found: Json) -> datetime:
    """When it was made, by the API server's clock, in whole seconds."""
    return datetime.fromisoformat(found["metadata"]["creationTimestamp"])


def replicas_of(deployment: Json) -> int:
    """Wanted replicas; the API server defaults an absent number to 1."""
    return int(deployment["spec"].get("replicas", 1))


def fled_mark(attempt: str, replica_set: Json) -> str:
    """What :data:`FLED_FROM` is set to."""
    return f"{attempt} {name_of(replica_set)}"


def fled_by(replica_set: Json) -> str | None:
    """The attempt that fled from this ReplicaSet; None if none did."""
    attempt, _, name = annotations_of(replica_set).get(FLED_FROM, "").rpartition(" ")
    return attempt if attempt and name == name_of(replica_set) else None


def is_paused(deployment: Json) -> bool:
    """Whether the Deployment's rollouts are paused."""
    return bool(deployment["spec"].get("paused"))


def is_protected(found: Json) -> bool:
    """Whether it must not be touched: any value but ``false`` protects, so that a slip does too."""
    return annotations_of(found).get(PROTECTED, "false").strip().lower() != "false"


def revision_of(found: Json) -> int | None:
    """The revision that the controller numbered it with; None before it did."""
    text = annotations_of(found).get(REVISION, "")
    return int(text) if text.isdecimal() else None


def template_of(found: Json) -> dict[str, Any]:
    """A copy of the pod template, without the label that the controller adds on ReplicaSets."""
    template: dict[str, Any] = deepcopy(found["spec"]["template"])
    labels = (template.get("metadata") or {}).get("labels") or {}
    labels.pop(TEMPLATE_HASH, None)
    return template


def release_of(template: Json) -> dict[str, Any]:
    """The template but for the time of its last restart: what revisions of one release share."""
    release = deepcopy(dict(template))
    metadata = release.get("metadata") or {}
    noted = metadata.get("annotations") or {}
    noted.pop(RESTARTED_AT, None)
    if not noted:
        metadata.pop("annotations", None)
    return release


def digest(value: object) -> str:
    """SHA-256 (hex) of a JSON value, however its keys are ordered."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def images_of(template: Json) -> dict[str, str]:
    """Image by container name, init containers included."""
    spec = template.get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return {str(each["name"]): str(each.get("image", "")) for each in containers}


def condition_of(found: Json, kind: str) -> Json | None:
    """Its status condition of this type."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), None)
