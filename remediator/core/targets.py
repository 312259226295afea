"""Targets: what is acted on, and the key of limits and leases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

DEFAULT_CLUSTER = "default"

#: The kinds that have a namespace, and those that have none.
NAMESPACED_KINDS = frozenset({"deployment", "statefulset", "daemonset", "pod", "service"})
CLUSTER_KINDS = frozenset({"node", "namespace", "database"})
KINDS = NAMESPACED_KINDS | CLUSTER_KINDS

# RFC 1123 labels and subdomains, which is what Kubernetes allows as names.
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_PART}(?:\.{_PART})*")


class TargetError(ValueError):
    """The text is no target; the message says which segment and why."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """An object of the world; ``namespace`` is empty for kinds that have none."""

    cluster: str
    kind: str
    namespace: str
    name: str

    @property
    def space(self) -> Target | None:
        """The namespace that it lies in, or that it is; ``None`` for what lies in none."""
        if self.kind == "namespace":
            return self
        return _namespace(self.cluster, self.namespace) if self.namespace else None

    def __str__(self) -> str:
        parts = [self.kind, self.namespace, self.name] if self.namespace else [self.kind, self.name]
        if self.cluster != DEFAULT_CLUSTER:
            parts.insert(0, self.cluster)
        return "/".join(parts)


@lru_cache(maxsize=4096)
def _namespace(cluster: str, name: str) -> Target:
    return Target(cluster, "namespace", "", name)


def target_of(segments: list[str]) -> Target:
    """Build a target from ``[cluster,] kind, [namespace,] name``, each segment validated.

    Raises:
        TargetError: a segment is missing, of an unknown kind, or no Kubernetes name.
    """
    cluster = DEFAULT_CLUSTER
    rest = list(segments)
    if rest and rest[0] not in KINDS and len(rest) > 2:
        cluster = _checked("cluster", rest.pop(0), _LABEL)
    if not rest or rest[0] not in KINDS:
        known = ", ".join(sorted(KINDS))
        message = f"kind {_shown(rest[0] if rest else '')} is none of {known}"
        raise TargetError(message)
    kind = rest.pop(0)
    wanted = ["namespace", "name"] if kind in NAMESPACED_KINDS else ["name"]
    if len(rest) != len(wanted):
        message = f"a {kind} is written {'/'.join([kind, *wanted])}, optionally with its cluster in front"
        raise TargetError(message)
    namespace = _checked("namespace", rest[0], _LABEL) if kind in NAMESPACED_KINDS else ""
    return Target(cluster, kind, namespace, _checked("name", rest[-1], _SUBDOMAIN))


def parse_target(text: str) -> Target:
    """Read a target as it is written, such as ``deployment/shop/cart``.

    Raises:
        TargetError: the text is no target.
    """
    return target_of(text.split("/"))


def _checked(part: str, text: str, allowed: re.Pattern[str]) -> str:
    if allowed.fullmatch(text) is None:
        message = f"{part} {_shown(text)} is not a valid Kubernetes name"
        raise TargetError(message)
    return text


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
