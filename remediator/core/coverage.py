"""Coverage: what else a target is, and what it lies in or holds, so that leases on overlapping ones meet.

A database is also the objects that run it. A pod lies in its node and its namespace, every other object in
its namespace. A target covers itself and all that it also is as a whole, and passes through what each of
them lies in: there it meets whoever covers that as a whole. So a conflict holds in both directions, and is
found by looking at equal places alone. A node and a namespace may share pods, and nobody knows which before
it looks: they always meet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from remediator.core.leases import Cover, Side, merged
from remediator.core.rules import Database
from remediator.core.targets import DEFAULT_CLUSTER, Target


def identities(target: Target, databases: Collection[Database] = ()) -> tuple[Target, ...]:
    """The target and all that it also is, sorted: databases, their objects, and what these are part of."""
    found = {target}
    groups = [frozenset({database.target, *database.objects}) for database in databases]
    while reached := [group for group in groups if found & group and not group <= found]:
        found = found.union(*reached)
    return tuple(sorted(found))


def covers(
    target: Target,
    databases: Collection[Database] = (),
    nodes: Mapping[Target, Target] | None = None,
    *,
    shared: bool = False,
) -> frozenset[Cover]:
    """All that acting on the target concerns, and that a lease on it has to cover.

    ``nodes`` says where pods run; a pod that it lacks may be on any node, and meets whoever covers one.
    Without ``nodes`` nothing is said of what pods share.
    """
    found = (
        Cover(place, shared, side)
        for identity in identities(target, databases)
        for place, side in (*_own(identity), *_by_pods(identity, nodes))
    )
    return frozenset(merged(found))


def _own(target: Target) -> Iterator[tuple[str, Side]]:
    yield str(target), Side.WHOLE
    if target.namespace:
        yield str(Target(target.cluster, "namespace", "", target.namespace)), Side.WITHIN


def _by_pods(target: Target, nodes: Mapping[Target, Target] | None) -> Iterator[tuple[str, Side]]:
    if nodes is None:
        return
    if target in nodes:
        yield str(nodes[target]), Side.WITHIN
    elif target.kind == "node":
        yield _pods_of(target.cluster), Side.BY_NODE
    elif target.kind in ("namespace", "pod"):
        yield _pods_of(target.cluster), Side.BY_NAMESPACE


def _pods_of(cluster: str) -> str:
    """All pods of a cluster as a place; no target is written like this."""
    return "pod/*" if cluster == DEFAULT_CLUSTER else f"{cluster}/pod/*"


def touches(target: Target, covered: Collection[Cover]) -> bool:
    """Whether what is said of a target, such as that it is paused, concerns who covers these places.

    It does if one is, holds or lies in the other.
    """
    return any(mine.bars(other) for mine in covers(target) for other in covered)


def kinds_concerned(acted_on: Collection[str], databases: Collection[Database] = ()) -> frozenset[str]:
    """The kinds of targets that may touch one of the kinds which are acted on."""
    found = frozenset(acted_on) | {"namespace"}
    for database in databases:
        same = frozenset({database.target.kind, *(each.kind for each in database.objects)})
        found |= same if same & frozenset(acted_on) else frozenset()
    return found | {"node"} if "pod" in found else found
