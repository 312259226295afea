"""Selections: targets by what they are called, as `scope`, `protect` and `freezes` name them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from remediator.core.targets import Target


@dataclass(frozen=True, slots=True)
class Selection:
    """Targets by kind, namespace and name; each list of shell patterns, an empty one holds for all."""

    namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def covers(self, target: Target) -> bool:
        return (
            _any_of(self.namespaces, _namespace_of(target))
            and _any_of(self.kinds, target.kind)
            and _any_of(self.names, target.name)
        )


def _namespace_of(target: Target) -> str:
    return target.name if target.kind == "namespace" else target.namespace


def _any_of(patterns: tuple[str, ...], text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


#: Never acted on, whatever a rulebook says.
ALWAYS_PROTECTED = (Selection(namespaces=("kube-system", "kube-public", "kube-node-lease")),)
