"""Selections: targets by what they are called and how they are labelled, as `scope` and `protect` say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from remediator.core.labels import Requirement
from remediator.core.targets import Target

#: Where Remediator itself runs, unless the cluster says otherwise: the namespace of `deploy/kubernetes`.
DEFAULT_HOME = "remediator"


@dataclass(frozen=True, slots=True)
class Selection:
    """Targets by kind, namespace and name; each list of shell patterns, an empty one holds for all.

    ``labels`` are those that the target's object has to bear besides, as Kubernetes' selectors have them.
    """

    namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    labels: tuple[Requirement, ...] = ()

    def covers(self, target: Target) -> bool:
        """Whether it is meant, as far as its name tells."""
        return (
            _any_of(self.namespaces, _namespace_of(target))
            and _any_of(self.kinds, target.kind)
            and _any_of(self.names, target.name)
        )

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels are those of one that is meant."""
        return all(requirement.holds(labels) for requirement in self.labels)

    @property
    def selector(self) -> str:
        """Its labels as ``kubectl get -l`` has them."""
        return ", ".join(map(str, self.labels))


def _namespace_of(target: Target) -> str:
    return target.name if target.kind == "namespace" else target.namespace


def _any_of(patterns: tuple[str, ...], text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


#: Namespaces in which nothing is ever acted on, whatever a rulebook says.
ALWAYS_PROTECTED = frozenset({"kube-system", "kube-public", "kube-node-lease"})


def always_protected(namespace: str, home: str) -> str | None:
    """Why nothing may be acted on in a namespace, whatever a rulebook says; ``None`` if that is not so."""
    if namespace in ALWAYS_PROTECTED:
        return f"{namespace} always is"
    return f"{namespace} is Remediator's own namespace" if namespace == home else None
