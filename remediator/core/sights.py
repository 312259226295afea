"""Sights: what a plan saw of its target, for the guards to judge by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sight:
    """The target as it was when a step was planned.

    ``labels`` are its object's; what is no object bears none. ``ready`` is how many of a service's replicas
    are ready, and ``least`` how many would be at the worst moment of what is planned; both ``None`` for
    what has no replicas.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    ready: int | None = None
    least: int | None = None


#: Of what is no object of a cluster.
NOTHING_SEEN = Sight()
