"""Which release a Deployment runs, since when, and which earlier one to go back to. Pure.

A *release* is a pod template but for the time of its last restart: restarting a broken release makes a new
revision of it, and going back to the one before the restart would mend nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from remediator.actions.kubernetes.objects import (
    REVISION_HISTORY,
    UNDONE_TO,
    Json,
    annotations_of,
    condition_of,
    created_at,
    digest,
    fled_by,
    name_of,
    release_of,
    revision_of,
    template_of,
)


@dataclass(frozen=True, slots=True)
class Revision:
    """One ReplicaSet of a Deployment, by the number that `kubectl rollout history` shows.

    ``release`` is a digest; ``reused`` says that the controller rolled an older ReplicaSet out again, so
    that its creation tells nothing about this rollout. ``fled_by`` is the attempt that fled from it.
    """

    number: int
    replica_set: Json
    release: str
    reused: bool
    fled_by: str | None

    @property
    def name(self) -> str:
        return name_of(self.replica_set)


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is no revision to go back to, and why each known one is out."""

    why: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """When the release that runs was rolled out; ``ours`` says that it came by a rollback of ours."""

    at: datetime
    source: str
    ours: bool


def revisions_of(replica_sets: Iterable[Json]) -> list[Revision]:
    """The numbered revisions, newest first."""
    numbered = [(revision_of(each), each) for each in replica_sets]
    found = [_revision(number, each) for number, each in numbered if number is not None]
    return sorted(found, key=lambda revision: revision.number, reverse=True)


def current_of(deployment: Json, revisions: Sequence[Revision]) -> Revision | None:
    """The revision of the Deployment's own template; None until the controller has made it."""
    template = template_of(deployment)
    return next((each for each in revisions if template_of(each.replica_set) == template), None)


def last_known_good(current: Revision, revisions: Sequence[Revision]) -> Revision | Nothing:
    """The newest earlier revision of another release, none of whose revisions was ever fled from."""
    fled = _fled(revisions)
    out: list[str] = []
    for each in revisions:
        if each.number >= current.number:
            continue
        why = _why_out(each, current, fled)
        if why is None:
            return each
        out.append(f"revision {each.number} {why}")
    return Nothing("; ".join(out) if out else f"revision {current.number} is the oldest that is kept")


def chosen(number: int, current: Revision, revisions: Sequence[Revision]) -> Revision | Nothing:
    """The revision of that number, unless it was fled from or runs already."""
    found = next((each for each in revisions if each.number == number), None)
    if found is None:
        known = ", ".join(str(each.number) for each in revisions) or "none"
        return Nothing(f"revision {number} is not kept; those kept are {known}")
    why = _why_out(found, current, _fled(revisions))
    return found if why is None else Nothing(f"revision {number} {why}")


def rollout_of(deployment: Json, revisions: Sequence[Revision]) -> Rollout | None:
    """When the running release was rolled out; None when nothing on the cluster tells.

    A ReplicaSet made for a revision is as old as its rollout. One that was used before (its
    ``revision-history`` is not empty) is older; then the last time that the Deployment's ``Progressing``
    condition was updated stands in, which is when its rollout last moved: its end, if it ended. Revisions
    that only restarted the same release don't count, so that a restart is not taken for a rollout.
    """
    current = current_of(deployment, revisions)
    if current is None:
        return None
    undone_to = annotations_of(deployment).get(UNDONE_TO)
    same = _run_of_one_release(current, revisions)
    ours = any(each.name == undone_to for each in same)
    made = [each for each in same if not each.reused]
    if made:
        oldest = made[-1]
        return Rollout(created_at(oldest.replica_set), f"ReplicaSet {oldest.name} was made", ours)
    moved = (condition_of(deployment, "Progressing") or {}).get("lastUpdateTime")
    if moved is None:
        return None
    source = f"the rollout of ReplicaSet {current.name}, used before, last moved"
    return Rollout(datetime.fromisoformat(moved), source, ours)


def _revision(number: int, replica_set: Json) -> Revision:
    noted = annotations_of(replica_set)
    return Revision(
        number,
        replica_set,
        release=digest(release_of(template_of(replica_set))),
        reused=bool(noted.get(REVISION_HISTORY)),
        fled_by=fled_by(replica_set),
    )


def _fled(revisions: Sequence[Revision]) -> dict[str, str]:
    """The attempt that fled from it, by release."""
    return {each.release: each.fled_by for each in revisions if each.fled_by is not None}


def _why_out(revision: Revision, current: Revision, fled: dict[str, str]) -> str | None:
    if revision.release in fled:
        return f"was fled from by {fled[revision.release]}"
    if revision.number == current.number:
        return "is the current one"
    if revision.release == current.release:
        return "is the same release as the current one"
    return None


def _run_of_one_release(current: Revision, revisions: Sequence[Revision]) -> list[Revision]:
    """The current revision and those right before it that run the same release, newest first."""
    same: list[Revision] = []
    for each in revisions:
        if each.number > current.number:
            continue
        if each.release != current.release:
            break
        same.append(each)
        if each.reused:
            break
    return same
