"""When a rule's trigger holds for an episode, and what the rule's templates see of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from remediator.core.counts import Place
from remediator.core.episodes import Episode
from remediator.core.manual import request_of
from remediator.core.rules import AlertTrigger, Count, Rule
from remediator.core.templates import scope_of


def ripe_at(episode: Episode, rule: Rule) -> datetime:
    """When an episode has fired for as long as the rule asks; what a person asked for waits for nothing.

    A startsAt that lies ahead of the receipt is another machine's clock, and is not believed.
    """
    since = min(episode.starts_at, episode.first_seen)
    if request_of(episode) is not None or not isinstance(rule.trigger, AlertTrigger):
        return since
    return since + rule.trigger.firing_for


def count_of(rule: Rule) -> Count | None:
    """How many alerts the rule asks for together, if it counts them."""
    return rule.trigger.count if isinstance(rule.trigger, AlertTrigger) else None


def place_of(episode: Episode, rule: Rule) -> Place | None:
    """Where an episode counts for a rule, if that counts alerts; what a person asked for is not counted."""
    count = count_of(rule)
    if count is None or request_of(episode) is not None:
        return None
    by = tuple((name, episode.labels.get(name, "")) for name in sorted(set(count.by)))
    return Place(rule.name, rule.names, count, by, max(episode.first_seen, ripe_at(episode, rule)))


def in_scope(
    rule: Rule, episode: Episode, steps: Mapping[str, Mapping[str, object]] | None = None
) -> dict[str, object]:
    """What the rule's templates see of an episode, and of earlier ``steps``.

    A rule that counts is about several alerts, and sees the labels that they share alone.
    """
    count = count_of(rule)
    if count is None:
        return scope_of(
            labels=episode.labels,
            annotations=episode.annotations,
            fingerprint=episode.fingerprint,
            starts_at=episode.starts_at,
            group=episode.group,
            steps=steps,
        )
    labels = {name: episode.labels[name] for name in count.by if name in episode.labels}
    return {"labels": labels, "steps": dict(steps or {})}
