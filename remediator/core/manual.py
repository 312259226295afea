"""Manual runs: what a person asked for, as an alert of a source that no webhook can have.

A request goes the way of every alert: kept as a webhook, folded into an episode, decided on by every guard.
So a request that is made twice is one episode, and what became of it is explained as everything else is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from remediator.core.episodes import Episode
from remediator.core.guards import OVERRIDABLE, Guard, Override

#: The source of requests; webhook tokens can't be called so.
SOURCE = "manual"
#: What a request's episode says beside the labels that the person gave; never heeded of another source.
_RULE, _WHO, _WHY, _OVERRIDES = (
    f"remediator.dev/{name}" for name in ("rule", "asked-by", "why", "overridden-guards")
)
#: The name under which alerts are shown, unless the person gave one.
ALERTNAME = "ManualRun"


@dataclass(frozen=True, slots=True)
class Request:
    """A person's wish that a rule be run; ``overridden`` are guards whose no is passed over."""

    rule: str
    who: str
    why: str
    labels: Mapping[str, str] = field(default_factory=dict)
    overridden: frozenset[Guard] = frozenset()

    @property
    def annotations(self) -> dict[str, str]:
        """What the request's alert bears."""
        return {
            _RULE: self.rule,
            _WHO: self.who,
            _WHY: self.why,
            _OVERRIDES: ",".join(sorted(self.overridden)),
        }

    @property
    def override(self) -> Override | None:
        """What the guards are told of it."""
        return Override(self.overridden, self.who, self.why) if self.overridden else None


def fingerprint_of(request: str) -> str:
    """The alert's fingerprint, from the request's own id: the same request is the same alert."""
    return sha256(request.encode()).hexdigest()[:16]


def request_of(episode: Episode) -> Request | None:
    """The request that an episode is of; ``None`` for an alert's."""
    if episode.source != SOURCE:
        return None
    said = episode.annotations
    named = [name for name in said.get(_OVERRIDES, "").split(",") if name]
    return Request(
        said.get(_RULE, ""), said.get(_WHO, ""), said.get(_WHY, ""), episode.labels, _overridable(named)
    )


def override_of(episodes: Collection[Episode]) -> Override | None:
    """The override that a run was asked for with: that of the request which began it, if one did."""
    first = next(iter(episodes), None)
    request = None if first is None else request_of(first)
    return None if request is None else request.override


def _overridable(names: Collection[str]) -> frozenset[Guard]:
    return frozenset(guard for guard in OVERRIDABLE if guard.value in names)
