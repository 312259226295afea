"""What a real API server did, read from its own audit log: the only count of changes that tests trust."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: RequestResponse
    verbs: [create, update, patch, delete, deletecollection]
    resources: [{group: apps}]
  - level: Metadata
"""
"""Bodies of every write to apps/*, one line for anything else."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One request as the API server logged it (audit.k8s.io/v1 Event). Absent strings are empty."""

    stage: str
    verb: str
    user: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    dry_run: bool
    uri: str
    received: datetime
    request: Any
    response: Any

    @classmethod
    def parse(cls, event: Mapping[str, Any]) -> AuditEntry:
        what = event.get("objectRef", {})
        query = parse_qs(urlsplit(event["requestURI"]).query)
        return cls(
            stage=event["stage"],
            verb=event["verb"],
            user=event["user"].get("username", ""),
            group=what.get("apiGroup", ""),
            resource=what.get("resource", ""),
            subresource=what.get("subresource", ""),
            namespace=what.get("namespace", ""),
            name=what.get("name", ""),
            code=event.get("responseStatus", {}).get("code", 0),
            dry_run="dryRun" in query,
            uri=event["requestURI"],
            received=datetime.fromisoformat(event["requestReceivedTimestamp"]),
            request=event.get("requestObject"),
            response=event.get("responseObject"),
        )

    @property
    def applied(self) -> bool:
        """Whether this request changed the world: a completed, accepted write that was no dry run."""
        succeeded = 200 <= self.code < 300
        return self.stage == "ResponseComplete" and self.verb in WRITES and succeeded and not self.dry_run


@dataclass(slots=True)
class AuditLog:
    """A growing JSON-lines file, each complete line parsed once."""

    path: Path
    entries: list[AuditEntry] = field(default_factory=list)
    _offset: int = 0

    def read(self) -> tuple[AuditEntry, ...]:
        """Every entry written so far, oldest first; a line still being written is left for the next time."""
        with self.path.open("rb") as log:
            log.seek(self._offset)
            complete, newline, _ = log.read().rpartition(b"\n")
        self._offset += len(complete) + len(newline)
        self.entries.extend(AuditEntry.parse(json.loads(line)) for line in complete.splitlines())
        return tuple(self.entries)


def applied_changes(
    entries: Iterable[AuditEntry],
    *,
    namespace: str | None = None,
    resource: str | None = None,
    name: str | None = None,
    verb: str | None = None,
    user: str | None = None,
) -> list[AuditEntry]:
    """The writes that took effect, narrowed by whatever is given.

    Status writes are not counted: they are controllers' and kubelets' reports, not changes of intent.
    """
    wanted = {"namespace": namespace, "resource": resource, "name": name, "verb": verb, "user": user}
    narrowed = {key: value for key, value in wanted.items() if value is not None}
    return [
        entry
        for entry in entries
        if entry.applied
        and entry.subresource != "status"
        and all(getattr(entry, key) == value for key, value in narrowed.items())
    ]


def service_account_user(namespace: str, name: str) -> str:
    """The user name under which the API server logs a ServiceAccount."""
    return f"system:serviceaccount:{namespace}:{name}"
