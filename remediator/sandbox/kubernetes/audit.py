"""What was asked of the API server and what came of it, as its audit log records it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One request that reached the API.

    `before` and `after` summarise the object around it (None: it wasn't there), `code` is the HTTP status,
    `body` the decoded request body. `answered` is False when a planned fault kept the reply from the client.
    """

    at: datetime
    verb: str
    resource: str
    namespace: str
    name: str
    subresource: str
    user: str
    user_agent: str
    code: int
    body: Any
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    answered: bool = True

    @property
    def changed(self) -> bool:
        """Whether the object differs after it: writing what is there already changes nothing."""
        return self.verb in WRITES and self.before != self.after


class AuditLog:
    """Entries in the order in which the API server applied them."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def select(self, **wanted: Any) -> list[AuditEntry]:
        """Entries whose fields equal all that is wanted: `select(verb="patch", name="web")`."""
        return [entry for entry in self.entries if all(getattr(entry, key) == wanted[key] for key in wanted)]

    def changes(self, **wanted: Any) -> list[AuditEntry]:
        """Those of `select` that changed their object."""
        return [entry for entry in self.select(**wanted) if entry.changed]

    def clear(self) -> None:
        self.entries.clear()


def summary(found: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What of an object tells whether and how it was changed."""
    if found is None:
        return None
    metadata, spec = found["metadata"], found.get("spec") or {}
    said = {
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "generation": metadata.get("generation"),
        "annotations": dict(metadata.get("annotations", {})),
        "replicas": spec.get("replicas"),
        "images": images(spec.get("template", {}).get("spec", spec)),
    }
    return {key: value for key, value in said.items() if value not in (None, {}, [])}


def images(pod_spec: Mapping[str, Any]) -> list[str]:
    """Of every container, in their order."""
    return [container["image"] for container in pod_spec.get("containers", ())]
